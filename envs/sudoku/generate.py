"""Random puzzles with exactly one solution: fill a grid at random, then dig blanks one by one."""

from __future__ import annotations

import numpy as np

from agentrl.envs.sudoku.board import Board, digits_in, geometry, solutions
from agentrl.errors import ConfigError

MAX_BLANKS = {4: 12, 6: 28, 9: 64}
"""Most blanks that a puzzle with one solution can have (4, 8 and 17 clues), by size."""
MAX_GRIDS = 100
"""Grids that are dug before giving up."""


def generate(rng: np.random.Generator, size: int, blanks: int) -> str:
    """A puzzle as its cells row-major, `.` for a blank; `rng` alone decides which.

    Raises:
        ConfigError: when none of MAX_GRIDS grids can be dug so far.
    """
    most = 0
    for _ in range(MAX_GRIDS):
        board = dig(rng, random_grid(rng, size), blanks)
        count = len(board.blanks())
        if count == blanks:
            return "".join(str(digit or ".") for digit in board.digits)
        most = max(most, count)
    raise ConfigError(
        f"blanks={blanks}: the {MAX_GRIDS} grids of size {size} that were tried allow "
        f"{most} at most; use blanks={most} or fewer, or give harder puzzles as csv"
    )


def random_grid(rng: np.random.Generator, size: int) -> Board:
    """A full legal board: the solver's search with its digits in random order (not uniform)."""

    def shuffled(digits: list[int]) -> list[int]:
        return [digits[place] for place in rng.permutation(len(digits))]

    return Board(geometry(size), next(solutions(Board(geometry(size)), shuffled)))


def dig(rng: np.random.Generator, board: Board, blanks: int) -> Board:
    """Make cells blank in random order while the solution stays unique, `blanks` at most."""
    for cell in rng.permutation(len(board.digits)).tolist():
        if blanks == 0:
            break
        digit = board.digits[cell]
        board.clear(cell)
        if another_solution(board, cell, digit):
            board.put(cell, digit)
        else:
            blanks -= 1
    return board


def another_solution(board: Board, cell: int, digit: int) -> bool:
    """Whether a blank cell can hold anything but `digit` in some solution.

    Cheaper than counting: the solution that is known need not be found again.
    """
    for other in digits_in(board.candidates(cell) & ~(1 << digit)):
        trial = board.copy()
        trial.put(cell, other)
        if next(solutions(trial), None):
            return True
    return False
