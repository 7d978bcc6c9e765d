"""Assistant text -> placements. The canonical form `r1c2=3` is one word, for word tokenizers."""

from __future__ import annotations

import re
from typing import NamedTuple

MOVE = re.compile(
    r"(?<![a-z])r\s*([0-9]{1,3})\s*c\s*([0-9]{1,3})\s*=\s*([0-9]{1,3})(?![0-9])", re.IGNORECASE
)


class Move(NamedTuple):
    """A digit for a cell, as written: any of the three may be out of range."""

    row: int
    """From 1."""
    column: int
    """From 1."""
    digit: int
    """0 makes the cell blank again."""

    def __str__(self) -> str:
        return f"r{self.row}c{self.column}={self.digit}"


def read_moves(text: str) -> list[Move]:
    """The placements in a text, in order; what a model thinks before `</think>` is none."""
    said = text.rpartition("</think>")[2]
    return [Move(*map(int, found)) for found in MOVE.findall(said)]
