"""What a SPARQL query comes back with, and what every client of a graph offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MAX_TERM = 1000
"""Characters of one term, beyond which it is cut: one aggregate can be as long as the graph."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a query came back with: rows, a truth value, or the reason why not."""

    variables: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """Terms in N-Triples notation, in the order of `variables`; '' for unbound."""
    more: bool = False
    """Whether rows were cut at the limit."""
    total: int | None = None
    """Rows in all; None where there are more than the client counts, or no rows but an error."""
    counted: int = 0
    """Rows that the client saw: `total`, or the number that the total exceeds."""
    boolean: bool | None = None
    """The answer of an ASK."""
    error: str = ""
    """The engine's own message with its position, or the limit that was hit."""

    @property
    def size(self) -> str:
        """Number of rows in words: `37`, or `more than 10000`."""
        return f"more than {self.counted}" if self.total is None else str(self.total)


@runtime_checkable
class SparqlClient(Protocol):
    """A read-only graph behind SPARQL, embedded or far away; safe to share between threads.

    What is wrong with the query (malformed, refused, too slow, too large) is `Result.error`; what
    is wrong with the graph's server, after retries, is a `ToolError`.
    """

    @property
    def prefixes(self) -> Mapping[str, str]:
        """Prefixes that every query may use undeclared: name -> namespace."""

    def query(self, text: str, *, max_rows: int | None = None) -> Result:
        """Run a query; at most `max_rows` rows come back, None for the client's own limit."""

    def close(self) -> None:
        """Free what the client holds; a later query takes it again."""


def cut(text: str, limit: int) -> str:
    """A text on one line, cut at `limit` characters."""
    line = " ".join(encodable(text).split())
    return line if len(line) <= limit else line[:limit] + " ..."


def cut_term(text: str) -> str:
    """A term of bounded length."""
    text = encodable(text)
    return text if len(text) <= MAX_TERM else text[:MAX_TERM] + " ..."


def encodable(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode(errors="replace").decode()
