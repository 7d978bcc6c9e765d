"""Names with prefixes for IRIs, and back: `<http://www.wikidata.org/entity/Q42>` and `wd:Q42`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agentrl.errors import ConfigError, suggestion

COMMON = {
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "http://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
WIKIDATA = COMMON | {
    "bd": "http://www.bigdata.com/rdf#",
    "geo": "http://www.opengis.net/ont/geosparql#",
    "p": "http://www.wikidata.org/prop/",
    "pq": "http://www.wikidata.org/prop/qualifier/",
    "pqv": "http://www.wikidata.org/prop/qualifier/value/",
    "pr": "http://www.wikidata.org/prop/reference/",
    "prov": "http://www.w3.org/ns/prov#",
    "ps": "http://www.wikidata.org/prop/statement/",
    "psv": "http://www.wikidata.org/prop/statement/value/",
    "wd": "http://www.wikidata.org/entity/",
    "wds": "http://www.wikidata.org/entity/statement/",
    "wdt": "http://www.wikidata.org/prop/direct/",
    "wikibase": "http://wikiba.se/ontology#",
}
DBPEDIA = COMMON | {
    "dbc": "http://dbpedia.org/resource/Category:",
    "dbo": "http://dbpedia.org/ontology/",
    "dbp": "http://dbpedia.org/property/",
    "dbr": "http://dbpedia.org/resource/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "yago": "http://dbpedia.org/class/yago/",
}
TABLES = {"common": COMMON, "wikidata": WIKIDATA, "dbpedia": DBPEDIA}

NAME = re.compile(r"(?!_:)((?:[^\W\d_](?:[\w.-]*[\w-])?)?):([\w:%-](?:[\w:%.-]*[\w:%-])?)?")
"""A prefixed name without escapes: prefix and local part."""
LOCAL = re.compile(r"(?:[\w:](?:[\w:.-]*[\w:-])?)?")
"""Local parts that need no escape in SPARQL."""


def prefix_table(prefixes: str | Mapping[str, str]) -> dict[str, str]:
    """Prefixes from the name of a known table (`wikidata`, `dbpedia`, `common`) or as they are.

    Raises:
        ConfigError: no table has that name.
    """
    if not isinstance(prefixes, str):
        return dict(prefixes)
    if prefixes not in TABLES:
        raise ConfigError(f"unknown prefixes {prefixes!r}: {suggestion(prefixes, list(TABLES))}")
    return dict(TABLES[prefixes])


def shorten(term: str, prefixes: Mapping[str, str]) -> str:
    """A term in N-Triples notation with its IRI, or its datatype's, as a prefixed name.

    The longest namespace wins; what no prefix fits, or would need escapes, stays as it is.
    """
    head, mark, tail = term.rpartition("^^<") if term.startswith('"') else ("", "", term)
    iri = tail[:-1] if mark else tail[1:-1]
    if not tail.endswith(">") or not (mark or tail.startswith("<")):
        return term
    fitting = [name for name, space in prefixes.items() if space and iri.startswith(space)]
    for name in sorted(fitting, key=lambda name: -len(prefixes[name])):
        local = iri[len(prefixes[name]) :]
        if LOCAL.fullmatch(local):
            return f"{head}{mark[:2]}{name}:{local}"
    return term


def expand(name: str, prefixes: Mapping[str, str]) -> str:
    """The term in N-Triples notation behind a prefixed name, or behind a literal's datatype.

    What is no such name, or has an unknown prefix, comes back as it is: IRIs, literals, words.
    """
    head, mark, tail = name.rpartition("^^") if name.startswith('"') else ("", "", name)
    found = NAME.fullmatch(tail)
    if found is None or found[1] not in prefixes or (name.startswith('"') and not mark):
        return name
    return f"{head}{mark}<{prefixes[found[1]]}{found[2] or ''}>"
