"""The entities that a gold query names: what the papers call given entity linking.

The query is read by its tokens, so that queries link which one engine takes and another does not.
A name counts where it is a subject, an object, a value or compared with one; properties, functions,
datatypes and graphs are left for the agent to find.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote

from agentrl.envs.sparql.terms import XSD, Term, term
from agentrl.errors import DataError, ToolError
from agentrl.tools.sparql import SparqlClient

PROLOGUE = re.compile(r"\bPREFIX\s+([\w-]*):\s*<([^<>\s]*)>|\bBASE\s*<[^<>\s]*>", re.IGNORECASE)
TOKEN = re.compile(
    r"(?P<skip>\s+|#[^\r\n]*)"
    r'|(?P<text>(?:"{3}(?:\\[\s\S]|[^\\])*?"{3}|"(?:\\.|[^"\\\r\n])*"'
    r"|'{3}(?:\\[\s\S]|[^\\])*?'{3}|'(?:\\.|[^'\\\r\n])*')(?:@[\w-]+)?)"
    r"|<(?P<iri>[^<>\"{}|^`\\\x00-\x20]*)>"
    r"|(?P<variable>[?$]\w+)"
    r"|(?P<name>[\w-]*:(?:[\w:%-]|\\.|\.(?=[\w:%-]))*)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>[^\W\d]\w*)|(?P<mark>[\s\S])"
)
SAFE_IRI = re.compile(r"[^<>\"{}|^`\\\x00-\x20]+")
"""What can stand in angle brackets: local names may hold escaped marks."""
SUBJECT, VERB, OBJECT = range(3)
MOVES = {"{": SUBJECT, "}": SUBJECT, ".": SUBJECT, ";": VERB, ",": OBJECT}
"""Where in a triple a mark leads."""
PATH_OPENS = {"/", "|", "^", "!"}
PATH_GOES_ON = {"/", "|", "*", "+", "?"}
PAIRS = {"(": ")", "{": "}"}
NO_ENTITY = {"FROM", "NAMED", "GRAPH", "SERVICE", "SILENT", "FILTER"}
"""Keywords before the IRI of a graph, of an endpoint or of a function."""
DATATYPE = "^"
"""What stands before a literal's datatype."""
MAX_DEPTH = 20
"""Patterns inside of expressions inside of patterns; what lies deeper is left out."""
BATCH = 50
"""Entities whose labels one query asks for."""
MAX_LABELS = 20
"""Labels that one entity may have in the languages asked for."""


def entities(query: str, prefixes: Mapping[str, str]) -> list[str]:
    """The IRIs of the entities that a query names, in their order, none twice."""
    declared = {match[1]: match[2] for match in PROLOGUE.finditer(query) if match[2]}
    known = {**prefixes, **declared}
    tokens = [t for t in TOKEN.finditer(PROLOGUE.sub(" ", query)) if t.lastgroup != "skip"]
    found: dict[str, None] = {}
    for token in Pattern(tokens).entities():
        prefix, _, local = (token["name"] or "").partition(":")
        space = known.get(prefix, "") if token["name"] else ""
        iri = token["iri"] or (space and space + re.sub(r"\\(.)", r"\1", local))
        if SAFE_IRI.fullmatch(iri) and not iri.startswith(XSD):
            found[iri] = None
    return list(found)


class Pattern:
    """A pass over a query's tokens that knows where in a triple each of them stands."""

    def __init__(self, tokens: Sequence[re.Match[str]], depth: int = 0) -> None:
        self.tokens = tokens
        self.depth = depth
        self.texts = [token.group() for token in tokens] + [""]
        self.place = SUBJECT
        self.outer: list[int] = []
        """Where the triples stand that are around open square brackets."""

    def entities(self) -> Iterator[re.Match[str]]:
        """The tokens that name entities."""
        at = 0
        while at < len(self.tokens):
            if self.texts[at] == "(":  # an expression, a collection or a path, as one
                end = self.closing(at)
                yield from self.named(at + 1, end) if self.place != VERB else ()
                self.passed(end)
                is_expression = at > 0 and self.tokens[at - 1].lastgroup == "word"
                self.place, at = SUBJECT if is_expression else self.place, end
            elif self.texts[at].upper() == "VALUES" and "{" in self.texts[at:]:
                start = self.texts.index("{", at)
                yield from self.named(start + 1, end := self.closing(start))
                self.place, at = SUBJECT, end
            elif self.takes(at):
                yield self.tokens[at]
            at += 1

    def closing(self, start: int) -> int:
        """Where the bracket that opens here closes; the last token, if nowhere."""
        depth, opening = 0, self.texts[start]
        for index in range(start, len(self.tokens)):
            depth += (self.texts[index] == opening) - (self.texts[index] == PAIRS[opening])
            if depth == 0:
                return index
        return len(self.tokens) - 1

    def named(self, start: int, end: int) -> Iterator[re.Match[str]]:
        """The names in an expression or in data that are no functions and no datatypes."""
        index = start
        while index < end:
            if self.texts[index] == "{" and self.depth < MAX_DEPTH:  # EXISTS holds a pattern
                close = self.closing(index)
                yield from Pattern(self.tokens[index : close + 1], self.depth + 1).entities()
                index = close
            elif self.texts[index + 1] != "(" and self.texts[index - 1] != DATATYPE:
                yield from [self.tokens[index]] if self.is_name(index) else []
            index += 1

    def is_name(self, at: int) -> bool:
        """Whether a token is an IRI, in full or with a prefix."""
        return self.tokens[at].lastgroup in {"iri", "name"}

    def takes(self, at: int) -> bool:
        """Whether a token names an entity; moves on in the triple."""
        text, kind, place = self.texts[at], self.tokens[at].lastgroup, self.place
        if text in MOVES and kind == "mark":
            self.place = MOVES[text]
        elif text == "[":
            self.outer.append(place)
            self.place = VERB
        elif text == "]":
            self.place = self.outer.pop() if self.outer else OBJECT
            self.passed(at)
        elif kind == "word" and not (place == VERB and text == "a"):
            self.place = SUBJECT
        elif text not in PATH_OPENS:
            self.passed(at)
        before = self.texts[at - 1] if at else ""
        stands = place != VERB and before.upper() not in NO_ENTITY and before != DATATYPE
        return stands and self.is_name(at)

    def passed(self, at: int) -> None:
        """Move on behind a term or a part of a path that ends here."""
        goes_on = self.place == VERB and self.texts[at + 1] in PATH_GOES_ON
        self.place = self.place if goes_on else min(self.place + 1, OBJECT)


# ---- labels -------------------------------------------------------------------------------------


def labels(client: SparqlClient, iris: Iterable[str], language: str) -> dict[str, str]:
    """IRI -> its label in a language, else in English, else without one; not all have one.

    Labels are a help: those that the graph's server fails to give are missing, and counted.
    """
    wanted, found = list(dict.fromkeys(iris)), dict[str, str]()
    for start in range(0, len(wanted), BATCH):
        listed = " ".join(f"<{iri}>" for iri in wanted[start : start + BATCH])
        query = (
            f"SELECT DISTINCT ?item ?label {{ VALUES ?item {{ {listed} }} "
            "?item <http://www.w3.org/2000/01/rdf-schema#label> ?label "
            f'FILTER(LANG(?label) IN ("{language}", "en", "")) }}'
        )
        try:
            rows = client.query(query, max_rows=BATCH * MAX_LABELS).rows
        except ToolError:  # questions can be asked without labels
            continue
        found |= _best([_read(row) for row in rows if "" not in row], language)
    return found


def _read(row: Sequence[str]) -> tuple[Term, Term]:
    try:
        return term(row[0]), term(row[1])
    except DataError:  # a label so long that the client cut it
        return Term("uri", ""), Term("literal", "")


def _best(pairs: Sequence[tuple[Term, Term]], language: str) -> dict[str, str]:
    """The first label of each entity, in the best language that it has one in."""
    order = {language: 0, "en": 1, "": 2}
    ranked = sorted(pairs, key=lambda pair: (order.get(pair[1].language, 3), pair[1].value))
    return {item.value: label.value for item, label in reversed(ranked)}


def linked(iris: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Label -> IRI; the end of the IRI where there is no label, and beside one that two have."""
    found: dict[str, str] = {}
    for iri in iris:
        end = unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1]).replace("_", " ")
        label = " ".join(known.get(iri, end).split()) or end
        found[f"{label} ({end})" if label in found else label] = iri
    return found
