"""Geometry, a board with bitmasks, and the deterministic solver that everything else asks.

Digits are 1..size and 0 is a blank; bit d of a mask stands for digit d. Cells are numbered
row-major from 0; units are the rows, then the columns, then the boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
"""Rows and columns of a box, by size of the board."""
UNIT_KINDS = ("row", "column", "box")


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """What all boards of one size share."""

    size: int
    box: tuple[int, int]
    """Rows and columns of a box."""
    units: tuple[tuple[int, int, int], ...]
    """Each cell's row, column and box, as indices into `Board.used`."""
    full: int
    """The mask of all digits."""


@lru_cache
def geometry(size: int) -> Geometry:
    """The geometry of a size in BOXES."""
    high, wide = BOXES[size]
    units = tuple(
        (row, size + column, 2 * size + row // high * high + column // wide)
        for row in range(size)
        for column in range(size)
    )
    return Geometry(size=size, box=(high, wide), units=units, full=(2 << size) - 2)


def digits_in(mask: int) -> list[int]:
    """The digits of a mask, ascending."""
    return [digit for digit in range(1, mask.bit_length()) if mask >> digit & 1]


class Board:
    """Digits and, for every unit, the mask of those it holds; never two alike in one unit."""

    def __init__(self, shape: Geometry, digits: Sequence[int] = ()) -> None:
        self.shape = shape
        self.digits = [0] * len(shape.units)
        self.used = [0] * (3 * shape.size)
        for cell, digit in enumerate(digits):
            if digit:
                self.put(cell, digit)

    def copy(self) -> Board:
        """An independent board."""
        return Board(self.shape, self.digits)

    def put(self, cell: int, digit: int) -> None:
        """Write a digit that contradicts nothing, over another one if need be."""
        self.clear(cell)
        self.digits[cell] = digit
        for unit in self.shape.units[cell]:
            self.used[unit] |= 1 << digit

    def clear(self, cell: int) -> None:
        """Make a cell blank."""
        kept = ~(1 << self.digits[cell])
        for unit in self.shape.units[cell]:
            self.used[unit] &= kept
        self.digits[cell] = 0

    def candidates(self, cell: int) -> int:
        """The mask of the digits that contradict nothing in a blank cell."""
        row, column, box = self.shape.units[cell]
        return self.shape.full & ~(self.used[row] | self.used[column] | self.used[box])

    def clash(self, cell: int, digit: int) -> str:
        """The kind of the first unit of `cell` that holds `digit`, or nothing."""
        for kind, unit in zip(UNIT_KINDS, self.shape.units[cell], strict=True):
            if self.used[unit] >> digit & 1:
                return kind
        return ""

    def blanks(self) -> list[int]:
        """The blank cells, row-major."""
        return [cell for cell, digit in enumerate(self.digits) if not digit]

    def __str__(self) -> str:
        size = self.shape.size
        shown = [str(digit or ".") for digit in self.digits]
        return "\n".join(" ".join(shown[at : at + size]) for at in range(0, len(shown), size))

    def marks(self) -> str:
        """Pencil marks: every digit that contradicts nothing, as placements, ` r1c1=2 r1c1=3`."""
        size = self.shape.size
        legal = (
            f" r{cell // size + 1}c{cell % size + 1}={digit}"
            for cell in self.blanks()
            for digit in digits_in(self.candidates(cell))
        )
        return "".join(legal) or "no legal placement"


def choose(board: Board) -> tuple[int, int]:
    """The cell that a solver fills next and the mask of its digits; (-1, 0) on a full board.

    Naked singles come before hidden singles and these before the most constrained cell; row-major
    order settles ties. The mask is 0 where the board has no solution for all to see.
    """
    masks = {cell: board.candidates(cell) for cell in board.blanks()}
    cell, fewest = -1, board.shape.size + 1
    for blank, mask in masks.items():
        count = mask.bit_count()
        if count < fewest:
            cell, fewest = blank, count
            if count <= 1:
                # A dead cell further on is found once the naked singles are spent.
                return cell, mask
    return (hidden_single(board, masks) or (cell, masks[cell])) if masks else (-1, 0)


def hidden_single(board: Board, masks: dict[int, int]) -> tuple[int, int] | None:
    """The first cell that alone can hold some digit of a unit, or a dead end, or None."""
    once, twice = [0] * len(board.used), [0] * len(board.used)
    units = board.shape.units
    for cell, mask in masks.items():
        for unit in units[cell]:
            twice[unit] |= once[unit] & mask
            once[unit] |= mask
    if any(seen | held != board.shape.full for seen, held in zip(once, board.used, strict=True)):
        return next(iter(masks)), 0
    lone = [seen & ~again for seen, again in zip(once, twice, strict=True)]
    for cell, mask in masks.items():
        row, column, box = units[cell]
        if found := mask & (lone[row] | lone[column] | lone[box]):
            return cell, found if found.bit_count() == 1 else 0
    return None


def solutions(
    board: Board, ordered: Callable[[list[int]], list[int]] = list
) -> Iterator[tuple[int, ...]]:
    """All solutions, depth first; `ordered` says in which order a cell's digits are tried.

    The search writes on `board`, so an abandoned iterator leaves it changed: pass a copy.
    """
    cell, mask = choose(board)
    if cell < 0:
        yield tuple(board.digits)
        return
    for digit in ordered(digits_in(mask)):
        board.put(cell, digit)
        yield from solutions(board, ordered)
        board.clear(cell)


def canonical_order(board: Board, solution: Sequence[int]) -> tuple[int, ...]:
    """The blank cells in the order in which the solver fills them on its way to `solution`."""
    board, order = board.copy(), []
    while (cell := choose(board)[0]) >= 0:
        board.put(cell, solution[cell])
        order.append(cell)
    return tuple(order)
