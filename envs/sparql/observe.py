"""What an agent reads of a result: few rows, short names, errors as the engine said them."""

from __future__ import annotations

from collections.abc import Mapping

from agentrl.envs.sparql.terms import truth
from agentrl.tools.sparql import Result, shorten

NO_ROWS = "No rows"
UNBOUND = "-"
"""A cell without a term; else the cells after it would be read in its place."""


def show(
    result: Result,
    prefixes: Mapping[str, str],
    *,
    totals: bool = True,
    chars: int = 4000,
) -> str:
    """A result as the agent sees it, of at most `chars` characters and a few that say so.

    `totals`: whether a result that was cut says how many rows it has in all.
    """
    if result.error:
        return f"Error: {result.error}"
    if result.boolean is not None:
        return str(result.boolean).lower()
    if not result.rows:
        return NO_ROWS
    rows = [" ".join(shorten(term, prefixes) or UNBOUND for term in row) for row in result.rows]
    count = "1 row:" if len(rows) == 1 else f"{len(rows)} rows:"
    listed = ", ".join(rows) if len(result.variables) == 1 else "\n" + "\n".join(rows)
    size = f" of {result.size}" if totals and (result.total or result.counted) else ""
    tail = f" ... cut after {len(rows)}{size} rows" if result.more else ""
    return bounded(f"{count} {listed}", chars) + tail


def bounded(text: str, chars: int) -> str:
    """A text that says where it was cut, if it was."""
    return text if len(text) <= chars else f"{text[:chars]} ... cut after {chars} characters"


def troubling(result: Result) -> bool:
    """Whether a result gives an agent reason to try something else: an error, or nothing."""
    return bool(result.error) or (not result.rows and result.boolean is None)


def ran(result: Result) -> bool:
    """Whether a query ran and brought something."""
    return not troubling(result)


def answer_of(result: Result) -> list[str] | None:
    """The terms that a query's result answers with: its first column, or its truth value.

    None for an error, and for more rows than were fetched.
    """
    if result.error or result.more:
        return None
    if result.boolean is not None:
        return [truth(result.boolean).text]
    return [row[0] for row in result.rows if row and row[0]]
