"""Puzzles from a CSV file with the columns `quizzes` and, optionally, `solutions`.

The form of every line is checked when the file is read; that a puzzle has exactly one solution is
proven for the first PROVEN lines then, and for any other line when it is drawn: a file may hold a
million.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from agentrl.envs.sudoku.puzzle import check_form, excerpt, load, name
from agentrl.errors import DataError, boundary

PROVEN = 200
"""Lines whose unique solution is proven when the file is read."""


class Row(NamedTuple):
    """One puzzle of a file."""

    path: str
    line: int
    puzzle: str
    """Row-major, `.` for a blank."""
    solution: str
    """Empty where the file has none."""

    def prove(self) -> str:
        """The puzzle, once it is proven that its one solution is the file's.

        Raises:
            DataError: no or two solutions, or another one than the file's.
        """
        try:
            right = "".join(map(str, load(self.puzzle).solution))
        except DataError as error:  # told again, with the place in the file
            raise self.error(f"quizzes={error}") from None
        if self.solution and self.solution != right:
            raise self.error(f"solutions={self.solution!r} is wrong: it must be {right!r}")
        return self.puzzle

    def error(self, reason: str) -> DataError:
        """The error that names this line."""
        return DataError(f"{self.path}: line {self.line}: {reason}")


def read(path: str) -> tuple[Row, ...]:
    """The puzzles of a file, all of one size; kept in memory until the file changes.

    Raises:
        DataError: with file, line, value and remedy.
    """
    with boundary(DataError, f"csv={path!r} cannot be read, give a readable file"):
        stat = Path(path).stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(path: str, changed: int, length: int) -> tuple[Row, ...]:
    with boundary(DataError, f"csv={path!r} cannot be read, give a CSV file in UTF-8"):
        rows = tuple(_rows(path))
    if not rows:
        raise DataError(f"{path}: line 2: no puzzle ('') after the header: add lines of puzzles")
    for row in rows:
        if len(row.puzzle) != len(rows[0].puzzle):
            raise row.error(
                f"quizzes={row.puzzle!r} has {len(row.puzzle)} cells but line {rows[0].line} has "
                f"{len(rows[0].puzzle)}: keep one size in a file"
            )
    for row in rows[:PROVEN]:
        row.prove()
    return rows


def _rows(path: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if "quizzes" not in header:
            raise DataError(
                f"{path}: line 1: the header {excerpt(','.join(header))} has no column 'quizzes': "
                "write 'quizzes,solutions' there"
            )
        for values in lines:
            if values:
                yield _row(path, lines.line_num, header, values)


def _row(path: str, line: int, header: list[str], values: list[str]) -> Row:
    fields = dict(zip(header, values, strict=False))
    row = Row(path, line, fields.get("quizzes", ""), fields.get("solutions", ""))
    if len(values) != len(header):
        shown = excerpt(",".join(values))
        raise row.error(f"{shown} has {len(values)} columns, the header {len(header)}: even them")
    try:
        size = check_form(row.puzzle)
    except DataError as error:  # told again, with the place in the file
        raise row.error(f"quizzes={error}") from None
    if "solutions" in header:
        _check_solution(row, size)
    return row._replace(puzzle=row.puzzle.replace("0", "."))


def _check_solution(row: Row, size: int) -> None:
    try:
        same = check_form(row.solution, blanks=False) == size
    except DataError as error:  # told again, with the place in the file
        raise row.error(f"solutions={error}") from None
    if not same:
        raise row.error(f"solutions={row.solution!r} differs from its quiz in length: fix one")
    for cell, (clue, digit) in enumerate(zip(row.puzzle, row.solution, strict=True)):
        if clue not in (".", "0", digit):
            raise row.error(
                f"{name(cell, size)} is {clue} in quizzes={row.puzzle!r} but {digit} in the "
                "solution: correct one of them"
            )
