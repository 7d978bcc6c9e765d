"""An answer as an agent writes it: RDF terms on lines of their own or between commas.

    <http://www.wikidata.org/entity/Q42>, wd:Q42      IRIs, full or with a declared prefix
    "Point Nemo", 'Point Nemo'@en, "3"^^xsd:integer   literals
    42, 0.5, 1969-07-20, true                         numbers, dates and truth values
    none                                              the empty answer

Names with commas need no quotes: a comma ends a term only before space or another term.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from agentrl.envs.sparql.terms import DAY, NUMBER, XSD, Term, term, truth, unescaped
from agentrl.errors import DataError

NONE = "none"
"""What an agent writes that found no answer."""
KNOWN = {"xsd": XSD}
"""Prefixes that answers may use, declared or not."""
QUOTED = r'"(?:[^"\\\r\n]|\\.)*"|' + r"'(?:[^'\\\r\n]|\\.)*'"
NAME = r"(?:[^\s,]|,(?!\s|$|[<\"']|[\w-]*:|[+-]?\d))+"
PIECE = re.compile(
    rf"<(?P<iri>[^<>\s]*)>|(?P<text>{QUOTED})(?:@(?P<tag>[A-Za-z]+(?:-[A-Za-z0-9]+)*)"
    rf"|\^\^(?:<(?P<type>[^<>\s]*)>|(?P<name>[\w.-]*:(?:\.*[\w:%-])*)))?|(?P<bare>{NAME})"
)
GAP = re.compile(r"[\s,]*")
PREFIX = re.compile(r"[\w.-]*")
LOCAL_ESCAPE = re.compile(r"\\(.)")
MONTH = re.compile(r"-?\d{4,}-\d\d", re.ASCII)


def said(text: str, prefixes: Mapping[str, str]) -> list[str]:
    """The terms of an answer in N-Triples notation, in their order, none twice.

    Raises:
        DataError: something is no term, or its prefix is not declared.
    """
    if text.strip().lower() in {NONE, NONE + "."}:
        return []
    prefixes = {**KNOWN, **prefixes}
    found: dict[str, None] = {}
    at = end = GAP.match(text).end()  # type: ignore[union-attr]  # it matches anything
    while at < len(text):
        piece = PIECE.match(text, at)
        if piece is None or (at == end and found):
            raise DataError(told(text[at:]))
        found[read(piece, prefixes).text] = None
        end = piece.end()
        at = GAP.match(text, end).end()  # type: ignore[union-attr]
    if not found:
        raise DataError(told(text))
    return list(found)


def read(piece: re.Match[str], prefixes: Mapping[str, str]) -> Term:
    """One term. Raises: DataError."""
    if piece["iri"] is not None:
        return Term("uri", unescaped(piece["iri"]))
    if piece["text"] is not None:
        value = unescaped(piece["text"][1:-1])
        datatype = piece["type"] or (expanded(piece["name"], prefixes) if piece["name"] else "")
        return Term("literal", value, datatype, piece["tag"] or "")
    return bare(piece["bare"], prefixes)


def bare(text: str, prefixes: Mapping[str, str]) -> Term:
    """A term that stands without quotes and brackets. Raises: DataError."""
    if text.startswith(("http://", "https://", "urn:")):
        return Term("uri", text)
    text = text.rstrip(".;")  # no name, number or date ends so
    if text.lower() in {"true", "false"}:
        return truth(text.lower() == "true")
    if NUMBER.fullmatch(text):
        form = "double" if "e" in text.lower() else "decimal" if "." in text else "integer"
        return Term("literal", text, XSD + form)
    if DAY.fullmatch(text):
        return Term("literal", text, XSD + ("dateTime" if "T" in text else "date"))
    if MONTH.fullmatch(text):
        return Term("literal", text, XSD + "gYearMonth")
    return Term("uri", expanded(text, prefixes))


def expanded(name: str, prefixes: Mapping[str, str]) -> str:
    """The IRI of a prefixed name. Raises: DataError."""
    prefix, colon, local = name.partition(":")
    if not colon or not PREFIX.fullmatch(prefix):
        raise DataError(told(name))
    if prefix not in prefixes:
        raise DataError(undeclared(prefix, prefixes))
    return prefixes[prefix] + LOCAL_ESCAPE.sub(r"\1", local)


def told(rest: str) -> str:
    """The message about what is no term."""
    shown = rest.split("\n", 1)[0][:40]
    return (
        f'{shown!r} is no RDF term: write <IRI>, prefix:name, "text", a number, a date, true, '
        f"false or {NONE}, with commas between them"
    )


def undeclared(prefix: str, prefixes: Iterable[str]) -> str:
    """The message about an unknown prefix."""
    known = ", ".join(f"{name}:" for name in sorted(prefixes))
    return f"the prefix {prefix[:40]!r} is not declared: use one of {known}, or the full <IRI>"


def canonical(texts: Iterable[str]) -> str:
    """Terms as JSON text: equal answers are equal texts. Raises: DataError."""
    return json.dumps(sorted({term(text).key.text for text in texts}), ensure_ascii=False)


def listed(answer: str | None) -> list[str] | None:
    """What `canonical` wrote, None for no answer and for what it did not write."""
    try:
        found = json.loads(answer) if answer is not None else None
    except ValueError:  # an episode of another environment may say anything
        return None
    is_list = isinstance(found, list) and all(isinstance(text, str) for text in found)
    return found if is_list else None


def shown(texts: Sequence[str]) -> str:
    """Terms as an agent may write them, `none` for no terms."""
    return "\n".join(texts) or NONE
