"""Looking things up by label, and describing them: the SPARQL behind the agent's other actions.

A vocabulary is how a kind of graph names its things. Each look-up is a few queries, the exact one
first; the first that finds something answers. What the agent wrote reaches them only as an escaped
literal or as one IRI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from agentrl.errors import ConfigError
from agentrl.tools.sparql import expand

USES: Mapping[str, str] = {
    "query": "<query>SELECT ...</query> to read the rows of a SPARQL query",
    "entity": "<entity>label</entity> to find an entity by its label",
    "property": "<property>label</property> to find a property by its label",
    "describe": "<describe>prefix:name or <IRI></describe> to see what the graph says of it",
}
"""The actions, as an agent is told of them."""
MAX_LABEL = 200
"""Characters of a label that are looked up."""
MAX_FOUND = 100
"""Rows that a look-up asks for; how many are shown is the environment's."""
SAFE_IRI = re.compile(r"<[^<>\"{}|^`\\\x00-\x20]+>")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]+)*")
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
ALIAS = "<http://www.w3.org/2004/02/skos/core#altLabel>"
BLAZEGRAPH = "http://www.bigdata.com/rdf#"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Queries with the places `$label`, `$lower`, `$squeezed`, `$language`, `$iri`, `$limit`."""

    entity: tuple[str, ...]
    property: tuple[str, ...]
    describe: tuple[str, ...]

    def queries(self, action: str, text: str, language: str) -> list[str]:
        """The queries behind an `entity` or a `property` look-up, best first; none for no word."""
        label = literal(text)
        words = {
            "label": label,
            "lower": label.lower(),
            "squeezed": re.sub(r"[\W_]+", "", text.lower()) or label,
            "language": language,
            "limit": str(MAX_FOUND),
        }
        asked: tuple[str, ...] = getattr(self, action) if label else ()
        return [Template(query).substitute(words) for query in asked]

    def description(self, iri: str, language: str) -> list[str]:
        """The queries behind `describe`; `iri` is one that `iri_of` let pass."""
        words = {"iri": iri, "language": language, "limit": str(MAX_FOUND)}
        return [Template(query).substitute(words) for query in self.describe]


def literal(text: str) -> str:
    r"""A text for the inside of a SPARQL string in double quotes.

    It has no line break, no control character and no backslash of its own: SPARQL reads `\u0022`
    before it knows what a string is.
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(line.replace("\\", " ").split())[:MAX_LABEL].replace('"', '\\"')


def iri_of(text: str, prefixes: Mapping[str, str]) -> str | None:
    """The one IRI that a text names, as `<...>`; None if it names none."""
    name = text.strip()
    bare = name.startswith(("http://", "https://", "urn:"))
    term = f"<{name}>" if bare else expand(name, prefixes)
    return term if SAFE_IRI.fullmatch(term) else None


GENERIC = Vocabulary(
    entity=(
        f'SELECT DISTINCT ?item ?label {{ VALUES ?label {{ "$label" "$label"@$language }} '
        f"{{ ?item {LABEL} ?label }} UNION {{ ?item {ALIAS} ?label }} }} LIMIT $limit",
        f"SELECT DISTINCT ?item ?label {{ ?item {LABEL} ?label "
        'FILTER(CONTAINS(LCASE(STR(?label)), "$lower")) } LIMIT $limit',
    ),
    property=(
        f'SELECT DISTINCT ?property ?label {{ VALUES ?label {{ "$label" "$label"@$language }} '
        f"?property {LABEL} ?label FILTER EXISTS {{ ?s ?property ?o }} }} LIMIT $limit",
        "SELECT DISTINCT ?property { ?s ?property ?o "
        'FILTER(CONTAINS(LCASE(REPLACE(STR(?property), "^.*[/#]", "")), "$squeezed")) } '
        "LIMIT $limit",
    ),
    describe=(
        "SELECT ?property ?value { $iri ?property ?value } LIMIT $limit",
        "SELECT ?item ?property { ?item ?property $iri } LIMIT $limit",
    ),
)

WIKIDATA = Vocabulary(
    entity=(
        "SELECT ?item ?label ?about { "
        "SERVICE <http://wikiba.se/ontology#mwapi> { "
        f"<{BLAZEGRAPH}serviceParam> <http://wikiba.se/ontology#endpoint> "
        '"www.wikidata.org" ; <http://wikiba.se/ontology#api> "EntitySearch" ; '
        '<https://www.mediawiki.org/ontology#API/search> "$label" ; '
        '<https://www.mediawiki.org/ontology#API/language> "$language" . '
        "?item <http://wikiba.se/ontology#apiOutputItem> "
        "<https://www.mediawiki.org/ontology#API/item> . "
        "?rank <http://wikiba.se/ontology#apiOrdinal> true } "
        f'OPTIONAL {{ ?item {LABEL} ?label FILTER(LANG(?label) = "$language") }} '
        "OPTIONAL { ?item <http://schema.org/description> ?about "
        'FILTER(LANG(?about) = "$language") } } ORDER BY ?rank LIMIT $limit',
        # a graph of Wikidata's that is not at Wikidata has no such service
        "SELECT DISTINCT ?item ?label { "
        f'{{ ?item {LABEL} "$label"@$language }} UNION {{ ?item {ALIAS} "$label"@$language }} '
        f'?item {LABEL} ?label FILTER(LANG(?label) = "$language") }} LIMIT $limit',
    ),
    property=(
        "SELECT DISTINCT ?property ?name { "
        f'{{ ?item {LABEL} "$label"@$language }} UNION {{ ?item {ALIAS} "$label"@$language }} '
        f"?item <http://wikiba.se/ontology#directClaim> ?property ; {LABEL} ?name "
        'FILTER(LANG(?name) = "$language") } LIMIT $limit',
        "SELECT DISTINCT ?property ?name { "
        f"?item <http://wikiba.se/ontology#directClaim> ?property ; {LABEL} ?name "
        'FILTER(LANG(?name) = "$language" && CONTAINS(LCASE(?name), "$lower")) } LIMIT $limit',
    ),
    describe=(
        "SELECT ?property ?value { $iri ?property ?value "
        'FILTER(STRSTARTS(STR(?property), "http://www.wikidata.org/prop/direct/") || '
        f'(?property = {LABEL} && LANG(?value) = "$language")) }} LIMIT $limit',
    ),
)

DBPEDIA = Vocabulary(
    entity=(
        "SELECT DISTINCT ?item ?name { "
        f'{{ ?item {LABEL} "$label"@$language }} UNION {{ ?page {LABEL} "$label"@$language ; '
        "<http://dbpedia.org/ontology/wikiPageRedirects> ?item } "
        f"?item {LABEL} ?name "
        'FILTER(LANG(?name) = "$language" && '
        'STRSTARTS(STR(?item), "http://dbpedia.org/resource/") && '
        '!CONTAINS(STR(?item), "/Category:")) } LIMIT $limit',
    ),
    property=(
        "SELECT DISTINCT ?property ?name { VALUES ?kind { "
        "<http://www.w3.org/2002/07/owl#ObjectProperty> "
        "<http://www.w3.org/2002/07/owl#DatatypeProperty> } "
        f"?property a ?kind ; {LABEL} ?name "
        'FILTER(LANG(?name) = "$language" && CONTAINS(LCASE(STR(?name)), "$lower")) } '
        "ORDER BY STRLEN(STR(?name)) LIMIT $limit",
    ),
    describe=(
        "SELECT ?property ?value { $iri ?property ?value "
        'FILTER(!ISLITERAL(?value) || LANG(?value) IN ("", "$language")) } LIMIT $limit',
    ),
)

VOCABULARIES: Mapping[str, Vocabulary] = {
    "generic": GENERIC,
    "wikidata": WIKIDATA,
    "dbpedia": DBPEDIA,
}


def language_tag(language: str) -> str:
    """A language as labels are tagged. Raises: ConfigError."""
    if not LANGUAGE.fullmatch(language):
        raise ConfigError(f"env.language is {language!r}: give a tag like en", "language")
    return language
