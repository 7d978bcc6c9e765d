r"""Which queries never leave: read-only by construction, and no word to another host.

Engines split a query into words in different ways, so a keyword counts wherever any of them might
see it, and is let pass only in what none of them reads as code: strings, IRIs, comments, variables
and local names. Where engines disagree about even that (lone carriage returns, control characters,
`\u0053` for `S`), the text is normalised or refused before it is judged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agentrl.errors import ConfigError

TOKENS = (
    r"""(?P<text>\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<iri><[^%s]*>)"""
    r"""|(?P<space>\s+|\#[^\n]*)"""
    r"""|(?P<variable>[?$]\w+)"""
    r"""|(?P<name>(?:[^\W\d_](?:[\w.-]{0,60}\w)?)?:(?:[\w:%%][\w:%%-]*)?)"""
    r"""|(?P<word>\w+)"""
    r"""|(?P<other>\\[^\w\s]|[\s\S])"""
)
NO_IRI = (r"""<>"{}|^`\x00-\x20""", r"<>\x00-\x20", r"<>\n")
"""What an IRI cannot hold: by the standard, in lax engines, and in the laxest. `a < b "> ...` is a
comparison before a string in one reading, an IRI before code in another."""
READINGS = tuple(re.compile(TOKENS % excluded) for excluded in NO_IRI)
ESCAPE = re.compile(r"\\(u|U)([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})?")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
FORMS = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
UPDATES = ("INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "COPY", "MOVE", "ADD", "MODIFY")
OWN = ("bif:", "sql:", "java:", "get:", "input:", "output:")
"""Prefixes and schemes of functions that run on the server: they read files and call out."""
OWN_SPACES = (
    *OWN,
    "http://www.openlinksw.com/schemas/bif#",
    "http://www.openlinksw.com/schemas/sql#",
    "http://jena.apache.org/arq/jsfunction#",
    "http://www.ontotext.com/js#",
)
HARMLESS = ("bif:contains", "http://www.openlinksw.com/schemas/bif#contains")
"""Full-text search, Virtuoso's usual way to find an entity by its label."""
MAX_CHARS = 20_000

WIKIBASE = "http://wikiba.se/ontology#"
INSIDE = (
    *(WIKIBASE + name for name in ("label", "around", "box", "mwapi")),
    "http://www.bigdata.com/rdf#sample",
    "http://www.bigdata.com/rdf#slice",
    "http://www.bigdata.com/rdf/gas#service",
)
"""SERVICEs that a Wikibase answers itself (`mwapi` asks the wiki that it belongs to). They are
IRIs like any other to everyone else, who would call `wikiba.se` for them."""
KNOWN = {
    "wikibase": WIKIBASE,
    "bd": "http://www.bigdata.com/rdf#",
    "gas": "http://www.bigdata.com/rdf/gas#",
}
"""What these prefixes mean where nobody declares them."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query."""

    kind: str
    """A group of the pattern."""
    text: str
    code: str
    """What of it an engine may read as a keyword, in plain capitals; a prefix, not a local name."""


@dataclass(frozen=True)
class Guard:
    """Judges queries before they leave."""

    prefixes: Mapping[str, str] = field(default_factory=dict)
    """In force where the query does not declare them."""
    services: Sequence[str] = ()
    """IRIs that may follow SERVICE."""
    graphs: Sequence[str] = ()
    """IRIs that may follow FROM."""
    far: bool = True
    """Whether the engine is a server, which may fetch graphs, update itself and read files; the
    embedded engine can do nothing of the kind."""

    def plain(self, query: str) -> str:
        r"""The query with `\n` for every line end: engines disagree about a lone `\r`."""
        return query.replace("\r\n", "\n").replace("\r", "\n")

    def refusal(self, query: str) -> str:
        """Why a plain query must not leave, in one line; '' where it may."""
        if self.far and not query.strip():  # some servers describe themselves instead
            return "the query is empty"
        if len(query) > MAX_CHARS:
            return f"the query is refused: it is longer than {MAX_CHARS} characters"
        if CONTROL.search(query) or any("\ud800" <= char <= "\udfff" for char in query):
            return "the query is refused: it holds control characters"
        if not self.far and "SERVICE" not in _capitals(query):
            return ""
        if self.far and any(map(_is_ascii, ESCAPE.finditer(query))):
            return "the query is refused: write the character itself, not its \\u escape"
        return next(filter(None, (self._judge(query, reading) for reading in READINGS)), "")

    def _judge(self, query: str, reading: re.Pattern[str]) -> str:
        """What is wrong with a query as one kind of engine reads it."""
        found = (match for match in reading.finditer(query) if match.lastgroup != "space")
        tokens = [_token(match) for match in found]
        declared = _declared(tokens)
        if self._hidden(tokens, "SERVICE", self.services, declared):
            return "SERVICE is refused" + _but(self.services, "this graph answers by itself")
        return self._far_refusal(tokens, declared) if self.far else ""

    def _far_refusal(self, tokens: Sequence[Token], declared: Mapping[str, set[str]]) -> str:
        """What only servers can do."""
        if any(one.text == "\\" and two.text[:1] in "uU" for one, two in pairwise(tokens)):
            return "the query is refused: a name is written out, without \\u escapes"
        for token in tokens:
            word = next((word for word in (*UPDATES, "DEFINE") if _says(token, word)), "")
            if word == "DEFINE":
                return "DEFINE is refused: it changes how the server answers"
            if word:
                return f"{word} is refused: the graph is read-only"
            if self._is_own(token, declared):
                return f"{token.text[:80]} is refused: it runs on the server"
        if self._hidden(tokens, "FROM", self.graphs, declared):
            return "FROM is refused" + _but(self.graphs, "leave it out, or use GRAPH")
        return ""

    def _hidden(
        self,
        tokens: Sequence[Token],
        keyword: str,
        allowed: Sequence[str],
        declared: Mapping[str, set[str]],
    ) -> bool:
        """Whether a keyword occurs anywhere but before an allowed IRI."""
        seen = sum(
            token.code.count(keyword) if keyword == "SERVICE" else _says(token, keyword)
            for token in tokens
        )
        fine = 0
        for position, token in enumerate(tokens):
            if seen and token.kind == "word" and token.code == keyword:
                after = tokens[position + 1 : position + 3]
                if after and after[0].code in ("SILENT", "NAMED") and after[0].kind == "word":
                    after = after[1:]
                meant = self._meanings(after[0], declared) if after else set()
                fine += bool(meant) and meant <= set(allowed)
        return seen > fine

    def _meanings(self, token: Token, declared: Mapping[str, set[str]]) -> set[str]:
        """Every IRI that a token may stand for, whichever declaration the engine goes by."""
        if token.kind == "iri":
            return {token.text[1:-1]}
        if token.kind != "name":
            return set()
        prefix, _, local = token.text.partition(":")
        # An engine may read PREFIXwikibase:<...> as a declaration of wikibase:.
        spaces = {s for name, found in declared.items() if name.endswith(prefix) for s in found}
        spaces = spaces or {(KNOWN | dict(self.prefixes)).get(prefix, "")} - {""}
        return {space + local for space in spaces}

    def _is_own(self, token: Token, declared: Mapping[str, set[str]]) -> bool:
        """Whether a token names a function of the server's own."""
        names = {name.lower() for name in self._meanings(token, declared)}
        if token.kind == "name" and not names:
            names = {token.text.lower()}
        return any(name.startswith(OWN_SPACES) for name in names - set(HARMLESS))


def calls_out(query: str) -> bool:
    """Whether the query may hold a federated SERVICE call."""
    guard = Guard(far=False)
    return bool(guard.refusal(guard.plain(query)))


def named(services: Sequence[str], prefixes: Mapping[str, str]) -> list[str]:
    """Services as IRIs, which may be written as prefixed names. Raises: ConfigError."""
    if isinstance(services, str):
        raise ConfigError(f"services is {services!r}: give a list of names or IRIs", "services")
    spaces, found = KNOWN | dict(prefixes), []
    for service in services:
        prefix, _, local = service.partition(":")
        if prefix not in spaces and not service.startswith(("http://", "https://")):
            raise ConfigError(f"services holds {service!r}: give its IRI, http://...", "services")
        found.append(spaces[prefix] + local if prefix in spaces else service)
    return found


def form(query: str) -> str:
    """The form of a query: SELECT, ASK, CONSTRUCT or DESCRIBE; SELECT where nothing tells."""
    for found in READINGS[0].finditer(query):
        word = found[0].upper() if found.lastgroup == "word" else ""
        if word in FORMS:
            return word
    return "SELECT"


def undeclared(query: str) -> set[str]:
    """The prefixes that a query uses and does not declare itself."""
    found = (match for match in READINGS[0].finditer(query) if match.lastgroup != "space")
    tokens = [_token(match) for match in found]
    used = {token.text.partition(":")[0] for token in tokens if token.kind == "name"}
    return used - set(_declared(tokens))


def _but(allowed: Sequence[str], otherwise: str) -> str:
    names = ", ".join(re.split("[#/]", iri)[-1] or iri for iri in allowed)
    return f", except {names}" if allowed else f": {otherwise}"


def _token(found: re.Match[str]) -> Token:
    kind, text = str(found.lastgroup), found[0]
    if kind == "name":
        return Token(kind, text, _capitals(text.partition(":")[0]))
    return Token(kind, text, _capitals(text) if kind in ("word", "other") else "")


def _capitals(text: str) -> str:
    """Capitals as the laxest engine folds them: the long s is an S, the dotless i an I."""
    parts = unicodedata.normalize("NFKD", text.upper())
    return "".join(char for char in parts if not unicodedata.combining(char)).upper()


def _says(token: Token, keyword: str) -> bool:
    """Whether a token is a keyword or, no prefix, has one glued to it, as in `1INSERT`."""
    return token.code == keyword or (token.kind == "word" and keyword in token.code)


def _declared(tokens: Sequence[Token]) -> dict[str, set[str]]:
    """Namespaces that follow a bare prefix: its declarations, and what looks like them."""
    found: dict[str, set[str]] = {}
    for name, iri in pairwise(tokens):
        if name.kind == "name" and name.text.endswith(":") and iri.kind == "iri":
            found.setdefault(name.text[:-1], set()).add(iri.text[1:-1])
    return found


def _is_ascii(escape: re.Match[str]) -> bool:
    """Whether an escape stands for an ASCII character in any engine's reading."""
    letter, short, rest = escape.groups()
    readings = [int(short + rest, 16)] if rest else []
    if letter == "u" or not rest:
        readings.append(int(short, 16))
    return min(readings) < 0x80
