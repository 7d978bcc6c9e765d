"""Samplers: which tasks a step attempts. Their memory is part of every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentrl.errors import DataError
from agentrl.protocols import Choice, Score
from agentrl.types import Group, Task


class Shuffled:
    """Every task once, in an order drawn anew for each epoch."""

    def __init__(self, pool: Sequence[Task], seed: int) -> None:
        if not pool:
            raise DataError(
                "the task pool is empty: give the environment at least one training task"
            )
        self.pool = list(pool)
        self.seed = seed
        self.position = 0

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """The next `count` tasks, going round the pool as often as needed."""
        chosen = [Choice(self._at(self.position + i), attempts) for i in range(count)]
        self.position += count
        return chosen

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Nothing to learn."""

    def _at(self, position: int) -> Task:
        epoch, place = divmod(position, len(self.pool))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pool))
        return self.pool[int(order[place])]

    def state_dict(self) -> dict[str, Any]:
        """The position in the endless sequence."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.position = int(state["position"])
