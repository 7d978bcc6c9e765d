"""One puzzle, proven to have exactly one solution: from its text to all that the game needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from agentrl.envs.sudoku.board import BOXES, Board, Geometry, canonical_order, geometry, solutions
from agentrl.errors import DataError

SIZES = {size * size: size for size in BOXES}
"""Size of a board by its number of cells."""
LEGAL = {
    False: {size: re.compile(f"[1-{size}]*") for size in BOXES},
    True: {size: re.compile(f"[.0-{size}]*") for size in BOXES},
}
"""Cells of a board, by whether blanks are legal and by size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Puzzle:
    """A puzzle with its solution."""

    shape: Geometry
    givens: tuple[int, ...]
    """The digits, 0 for a blank."""
    solution: tuple[int, ...]
    canonical: tuple[int, ...]
    """The blank cells in the solver's order."""


def name(cell: int, size: int) -> str:
    """A cell's name, for example `r1c2`: row and column, from 1."""
    return f"r{cell // size + 1}c{cell % size + 1}"


def excerpt(text: str) -> str:
    """A text for a message: quoted, and no longer than a puzzle."""
    return repr(text if len(text) <= 81 else text[:80] + "…")


def check_form(text: str, *, blanks: bool = True) -> int:
    """The size of the board that `text` spells, row-major.

    Raises:
        DataError: wrong length, or a character that no cell of this size can hold.
    """
    size = SIZES.get(len(text))
    if size is None:
        raise DataError(f"{excerpt(text)} has {len(text)} cells: write 16, 36 or 81")
    legal = LEGAL[blanks][size].match(text)
    end = legal.end() if legal else 0
    if end < len(text):
        also = ", and 0 or . for a blank" if blanks else ""
        raise DataError(
            f"{excerpt(text)} has {text[end]!r} at {name(end, size)}: write 1 to {size}{also}"
        )
    return size


@lru_cache(maxsize=4096)
def load(text: str) -> Puzzle:
    """The puzzle that `text` spells, row-major, 0 or . for a blank.

    Raises:
        DataError: bad form, no blank, clues that contradict each other, no or two solutions.
    """
    size = check_form(text)
    givens = tuple(0 if mark in "0." else int(mark) for mark in text)
    if 0 not in givens:
        raise DataError(f"{excerpt(text)} has no blank: make one cell 0 or .")
    board = _legal_board(text, geometry(size), givens)
    search = solutions(board.copy())
    solution = next(search, None)
    if solution is None:
        raise DataError(f"{excerpt(text)} has no solution: correct its clues or remove it")
    if next(search, None):
        raise DataError(f"{excerpt(text)} has two solutions: add clues until one is left")
    order = canonical_order(board, solution)
    return Puzzle(shape=board.shape, givens=givens, solution=solution, canonical=order)


def _legal_board(text: str, shape: Geometry, givens: tuple[int, ...]) -> Board:
    board = Board(shape)
    for cell, digit in enumerate(givens):
        if digit and (kind := board.clash(cell, digit)):
            raise DataError(
                f"{excerpt(text)} has a second {digit} in the {kind} of "
                f"{name(cell, shape.size)}, so no solution: correct one clue"
            )
        if digit:
            board.put(cell, digit)
    return board
