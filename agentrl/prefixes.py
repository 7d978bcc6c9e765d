"""Start states: a strategy that remembers the beginnings of good answers and goes on from there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import pstdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentrl.direction import PLAIN, Direction
from agentrl.protocols import Play
from agentrl.strategies import best, grouped, live, together
from agentrl.types import Group, Task


def prefix_chances(lines: int, alpha: float) -> NDArray[np.float64]:
    """Chances of the prefixes of 1 to `lines` lines, each `alpha` times the shorter one's."""
    weights: NDArray[np.float64] = np.power(alpha, np.arange(lines, dtype=np.float64))
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances


class FromPrefixes:
    """Each group starts from the bare prompt or a remembered prefix, all equally likely.

    Formula: ceil({share} lines) prefixes of i lines, weight {alpha}^(i-1), of a best answer with
    reward >= {good} in a group of population std >= {spread}
    """

    def __init__(
        self, *, good: float = 0.9, spread: float = 0.05, alpha: float = 0.95, share: float = 0.5
    ) -> None:
        self.good, self.spread, self.alpha, self.share = good, spread, alpha, share
        self.prefixes: dict[str, list[str]] = {}

    async def __call__(self, task: Task, attempts: int, play: Play) -> Group:
        """Play the group and remember the beginnings of its best answer."""
        starts = ["", *self.prefixes.get(task.id, ())]
        start = starts[int(play.rng.integers(len(starts)))]
        direction = Direction(head=await play.render(start), level=1) if start else PLAIN
        group = grouped(task, await together(task, range(attempts), play, direction))
        self.remember(group, play.rng)
        return group

    def remember(self, group: Group, rng: np.random.Generator) -> None:
        """Keep line prefixes of the best answer if it is good and the others differ."""
        played = [e for e in live(group.episodes) if e.main.turns]
        rewards = [episode.main.reward for episode in played]
        if (
            len(rewards) < 2
            or pstdev(rewards) < self.spread
            or max(rewards, default=0.0) < self.good
        ):
            return
        lines = played[best(rewards)].main.turns[0].completion.text.splitlines(keepends=True)
        count, chances = math.ceil(self.share * len(lines)), prefix_chances(len(lines), self.alpha)
        picked = rng.choice(len(lines), count, p=chances) if lines else ()
        self.prefixes[group.task.id] = ["".join(lines[: place + 1]) for place in picked]

    def state_dict(self) -> dict[str, Any]:
        """The prefixes by task id."""
        return {"prefixes": dict(self.prefixes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.prefixes = dict(state["prefixes"])
