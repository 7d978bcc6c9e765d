"""The environment `agentrl/Sudoku-v0`: fill a uniquely solvable Sudoku over several turns.

    user       Fill this 4x4 Sudoku ... board         assistant  r1c2=3
    user       5 cells left ... board                 assistant  r1c3=4 r2c2=3
    user       r2c2=3 contradicts column ...          ...

What a turn does, and why:
- A placement that contradicts no visible digit is accepted under `check="rules"`, right or not; a
  later one may overwrite it, and `r1c2=0` empties it, since two swapped digits cannot be repaired
  otherwise. Under `check="solution"` a wrong digit is rejected at once.
- A rejected placement changes nothing; the others of the same turn still count.
- The episode ends when the board is full, which is success: a full legal board is the solution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from agentrl.env import Reply, TextEnv
from agentrl.envs.sudoku.arguments import VARIANTS, board_size, one_of, reward_range, whole
from agentrl.envs.sudoku.board import Board, digits_in
from agentrl.envs.sudoku.generate import MAX_BLANKS, generate
from agentrl.envs.sudoku.moves import Move, read_moves
from agentrl.envs.sudoku.order import order_score
from agentrl.envs.sudoku.puzzle import SIZES, load
from agentrl.envs.sudoku.reader import Row, read
from agentrl.errors import ConfigError, DataError
from agentrl.types import Parse, Task

Check = Literal["rules", "solution"]
MAX_REASONS = 8
"""Rejected placements that a reply names; the rest it counts."""


class Sudoku(TextEnv):
    """A Sudoku whose cells are filled by placements such as `r1c2=3`, any number a turn.

    Every turn reports all parts, as increments, so that a trajectory's sums are the final values:
    - `solved`: 1 for the finished board.
    - `cells`: share of the blanks that hold their right digit, [0, 1].
    - `order`: how well the order in which cells were first filled agrees with a deterministic
      solver's, [0, 1] (see `order_score`).
    - `format`: minus the share of `max_turns` that was spent on malformed text, [-1, 0].
    The paper's mixture (arXiv 2512.04277) is `reward_weights={"cells": 0.75, "order": 0.25}`.

    Args:
        size: rows of the board; None is 4, or whatever size the boards of `csv` have.
        blanks: blank cells of a generated puzzle; `csv` brings its own.
        csv: path of a file with the columns `quizzes` and, optionally, `solutions`, which
            replaces the generator.
        max_turns: turns until truncation; None is half as many again as the oracle needs.
        check: whether a placement is held against the visible digits or the solution.
        placements_per_turn: those of a turn beyond it are rejected; None is no limit.
        reward_weights: weight of each part in the reward; None is `{"solved": 1.0}`.
        prompt: `full` explains the game; `short` shows the board alone, for tiny models.
        show_board: whether every reply ends with the board, not the first only.
        notation: the board as a `grid` of digits, or as pencil `marks`: all legal placements.
            Repeating the marks solves a puzzle that needs no more than cells with one candidate.
        expert_skill: probability that the expert knows the right digit of a cell.
        render_mode: `ansi` or None.

    Raises:
        ConfigError: a value that cannot run.
        DataError: a file that is not what it should be.
    """

    def __init__(
        self,
        *,
        size: Literal[4, 6, 9] | None = None,
        blanks: int = 6,
        csv: str | None = None,
        max_turns: int | None = None,
        check: Check = "rules",
        placements_per_turn: int | None = None,
        reward_weights: Mapping[str, float] | None = None,
        show_board: bool = True,
        notation: Literal["grid", "marks"] = "grid",
        prompt: Literal["full", "short"] = "full",
        expert_skill: float = 0.5,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        self._rows: tuple[Row, ...] = () if csv is None else read(csv)
        held = SIZES[len(self._rows[0].puzzle)] if self._rows else None
        self.size = board_size(size, held, csv)
        self.blanks = self._checked_blanks(blanks)
        self.check = one_of("check", check, get_args(Check))
        self.placements_per_turn = placements_per_turn
        if placements_per_turn is not None:
            whole("placements_per_turn", placements_per_turn, 1)
        self._fixed_turns = max_turns
        self.max_turns = self._turns(self.blanks)
        self.reward_weights = dict({"solved": 1.0} if reward_weights is None else reward_weights)
        self.reward_range = reward_range(self.reward_weights)
        self.show_board = show_board
        self.notation = one_of("notation", notation, ("grid", "marks"))
        self.prompt = prompt
        self.expert_skill = expert_skill
        if not 0 <= expert_skill <= 1:
            raise ConfigError(f"expert_skill={expert_skill!r}: give a probability from 0 to 1")

    def _checked_blanks(self, blanks: int) -> int:
        """The most blanks of any puzzle: `blanks`, or what the file has."""
        if self._rows:
            return max(row.puzzle.count(".") for row in self._rows)
        return whole("blanks", blanks, 1, MAX_BLANKS[self.size], f" for size={self.size}")

    def _turns(self, blanks: int) -> int:
        """Turns allowed for a puzzle; ConfigError where they cannot suffice."""
        needed = math.ceil(blanks / (self.placements_per_turn or 1))
        if self._fixed_turns is None:
            return needed + math.ceil(needed / 2)
        least = 1 if self.placements_per_turn is None else needed
        return whole("max_turns", self._fixed_turns, least, why=f" to fill {blanks} blanks")

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Every size, both checks, the paper's rewards."""
        return VARIANTS

    def secrets(self) -> Sequence[str]:
        """The finished board."""
        return [str(Board(self.puzzle.shape, self.puzzle.solution))]

    # ---- tasks ------------------------------------------------------------------------------

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A puzzle of the file, or a new one."""
        if self._rows:
            return {"puzzle": self._rows[int(rng.integers(len(self._rows)))].prove()}
        return {"puzzle": generate(rng, self.size, self.blanks)}

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` distinct tasks; those of a file are enumerated, shuffled by `seed`."""
        if not self._rows:
            return super().tasks(split, count, seed)
        found: dict[str, Task] = {}
        for index in np.random.default_rng(seed).permutation(len(self._rows)).tolist():
            task = Task(env=self.id, data={"puzzle": self._rows[index].puzzle})
            if len(found) < count and task.split == split:
                self._rows[index].prove()
                found.setdefault(task.id, task)
        if not found:
            raise DataError(
                f"{self._rows[0].path}: none of its {len(self._rows)} puzzles is in the split "
                f"{split!r}: the splits are 'train' and 'test', one in eight; add puzzles"
            )
        return list(found.values())

    # ---- the game ---------------------------------------------------------------------------

    def begin(self, data: Mapping[str, Any]) -> str:
        """The instruction and the board."""
        self.puzzle = load(str(data.get("puzzle", "")))
        self.board = Board(self.puzzle.shape, self.puzzle.givens)
        self.filled: dict[int, None] = {}
        self.max_turns = self._turns(len(self.puzzle.canonical))
        self.size = self.puzzle.shape.size
        if self.prompt == "short":
            return self._shown()
        high, wide = self.puzzle.shape.box
        return (
            f"Fill this {self.size}x{self.size} Sudoku: each row, column and {high}x{wide} box "
            f"holds 1 to {self.size} once. Write r1c2=3 to put 3 in row 1, column 2, "
            f"and r1c2=0 to empty it.\n{self._shown()}"
        )

    def act(self, text: str) -> Reply:
        """Take the placements of one text."""
        moves = read_moves(text)
        before = self._progress()
        rejected = self._play(moves)
        after = self._progress()
        parts = {part: after[part] - before[part] for part in after}
        parts["format"] = 0.0 if moves else -1.0 / self.max_turns
        solved = after["solved"] == 1.0
        return Reply(
            text=self._feedback(rejected if moves else ["no placement found: write r1c2=3"]),
            parts=parts,
            done=solved,
            success=solved,
            parse=Parse.OK if moves else Parse.MALFORMED,
        )

    def _progress(self) -> dict[str, float]:
        """The value so far of the parts that the board decides."""
        right = sum(self.board.digits[c] == self.puzzle.solution[c] for c in self.puzzle.canonical)
        return {
            "solved": float(right == len(self.puzzle.canonical)),
            "cells": right / len(self.puzzle.canonical),
            "order": order_score(list(self.filled), self.puzzle.canonical),
        }

    def _play(self, moves: Sequence[Move]) -> list[str]:
        """Make the placements until the board is full; what was rejected, and why."""
        rejected = []
        for number, move in enumerate(moves):
            if 0 not in self.board.digits:
                break
            late = number >= (self.placements_per_turn or math.inf)
            reason = f"over {self.placements_per_turn} a turn" if late else self._place(move)
            if reason:
                rejected.append(f"{move} {reason}")
        return rejected

    def _place(self, move: Move) -> str:
        """Make one placement; the reason if it is rejected."""
        size = self.size
        if not (1 <= move.row <= size and 1 <= move.column <= size and move.digit <= size):
            return "out of range"
        cell, digit = (move.row - 1) * size + move.column - 1, move.digit
        if self.puzzle.givens[cell]:
            return "given cell"
        if self.board.digits[cell] == digit:
            return "already filled" if digit else "already empty"
        if digit and (kind := self.board.clash(cell, digit)):
            return f"contradicts {kind}"
        if digit and self.check == "solution" and digit != self.puzzle.solution[cell]:
            return "wrong"
        if not digit:
            self.board.clear(cell)
            return ""
        self.board.put(cell, digit)
        self.filled.setdefault(cell)
        return ""

    def _feedback(self, reasons: list[str]) -> str:
        left = len(self.board.blanks())
        if self.prompt == "short" and self.show_board and left:
            return self._shown()
        lines = reasons[:MAX_REASONS]
        if len(reasons) > MAX_REASONS:
            lines.append(f"{len(reasons) - MAX_REASONS} more rejected")
        lines.append(f"{left} cells left" if left else "solved")
        if self.show_board and (left or self.notation == "grid"):
            lines.append(self._shown())
        return "\n".join(lines)

    def _shown(self) -> str:
        return str(self.board) if self.notation == "grid" else self.board.marks()

    def _written(self, moves: list[Move]) -> str:
        """Placements as a player writes them; as marks they look like the list's, space and all."""
        text = " ".join(map(str, moves))
        return text if self.notation == "grid" else f" {text}"

    # ---- players ----------------------------------------------------------------------------

    def oracle(self) -> str:
        """Empty what is wrong, then fill the cells in the solver's order."""
        board, solution = self.board, self.puzzle.solution
        wrong = [c for c in self.puzzle.canonical if board.digits[c] not in (0, solution[c])]
        empty = [c for c in self.puzzle.canonical if board.digits[c] != solution[c]]
        moves = [self._move(cell, 0) for cell in wrong]
        moves += [self._move(cell, solution[cell]) for cell in empty]
        return self._written(moves[: self._pace(len(moves))])

    def expert(self, rng: np.random.Generator) -> str:
        """A legal placement in a random blank cell, right with probability `expert_skill` at least.

        Otherwise any digit that contradicts nothing. Where no blank cell can hold a digit it
        empties a random cell. It never looks at the solver's order.
        """
        board = self.board.copy()
        moves = []
        for _ in range(self._pace(len(board.blanks()))):
            cell, digit = self._guess(board, rng)
            moves.append(self._move(cell, digit))
            if digit:
                board.put(cell, digit)
            else:
                board.clear(cell)
        return self._written(moves)

    def _guess(self, board: Board, rng: np.random.Generator) -> tuple[int, int]:
        open_cells = [cell for cell in board.blanks() if board.candidates(cell)]
        if not open_cells:
            filled = [cell for cell in self.puzzle.canonical if board.digits[cell]]
            return int(rng.choice(filled)), 0
        cell = int(rng.choice(open_cells))
        legal, right = digits_in(board.candidates(cell)), self.puzzle.solution[cell]
        knows = rng.random() < self.expert_skill and right in legal
        return cell, right if knows else int(rng.choice(legal))

    def _pace(self, moves: int) -> int:
        """Placements this turn: the limit if there is one, else no more than time demands."""
        return self.placements_per_turn or math.ceil(moves / max(1, self.max_turns - self.turn))

    def _move(self, cell: int, digit: int) -> Move:
        return Move(cell // self.size + 1, cell % self.size + 1, digit)
