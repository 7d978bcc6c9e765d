"""Whose credit is whose: from the rows of a step's token table back to the turns as recorded.

Between the two, shapes change rewards, cut and copy sub-agents, `keep` refuses groups, and the
table leaves out what failed. What stays the same object all the way is the completion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from agentrl.journal.reading import Credit
from agentrl.samples import credited
from agentrl.table import Table
from agentrl.types import Completion, Group


class Spoken(NamedTuple):
    """A completion, and where it was recorded."""

    completion: Completion
    """Kept, or another one could have its identity."""
    attempt: int
    place: tuple[int, int, int, int]
    """Group, episode, trajectory, turn."""


class Attribution:
    """What a step played, remembered until the next one."""

    def __init__(self) -> None:
        self.step = -1
        self.spoken: dict[int, list[Spoken]] = {}

    def note(self, step: int, first: int, groups: Sequence[Group]) -> None:
        """Remember the completions of groups that were recorded with numbers from `first`."""
        if step != self.step:
            self.step, self.spoken = step, {}
        for g, group in enumerate(groups, first):
            for e, episode in enumerate(group.episodes):
                for t, trajectory in enumerate(episode.trajectories):
                    for i, turn in enumerate(trajectory.turns):
                        if turn.trained:  # a branch's copy of another's turn has no rows
                            found = Spoken(turn.completion, episode.attempt, (g, e, t, i))
                            self.spoken.setdefault(id(turn.completion), []).append(found)

    def credits(self, table: Table, groups: Sequence[Group], weight: torch.Tensor) -> list[Credit]:
        """Each recorded turn's advantage and weight `[M]`, its copies' rows taken together.

        Turns without rows have none, nor do turns that were not recorded.
        """
        rows = table.sizes("turn")
        zeros = torch.zeros(len(rows), dtype=torch.float64)
        advantage = zeros.index_add(0, table.turn, table.advantage.double())
        weighed = zeros.index_add(0, table.turn, weight.double())
        told = zip(advantage.tolist(), weighed.tolist(), rows.tolist(), strict=True)
        sums: dict[tuple[int, int, int, int], tuple[float, float, int]] = {}
        for place, (a, w, count) in zip(self.places(groups), told, strict=True):
            if place is not None and count:
                before = sums.get(place, (0.0, 0.0, 0))
                sums[place] = (before[0] + a, before[1] + w, before[2] + count)
        return [Credit(*place, a / count, w, count) for place, (a, w, count) in sums.items()]

    def places(self, groups: Sequence[Group]) -> Iterator[tuple[int, int, int, int] | None]:
        """Where each turn of the groups' table was recorded, in the table's order."""
        for group in groups:
            for episode in group.live:
                for trajectory in credited(episode):
                    for turn in trajectory.turns:
                        yield self.place(turn.completion, episode.attempt)

    def place(self, completion: Completion, attempt: int) -> tuple[int, int, int, int] | None:
        """Where a completion was recorded, in this attempt if it is in several."""
        found = self.spoken.get(id(completion), [])
        own = [spoken for spoken in found if spoken.attempt == attempt]
        return next((spoken.place for spoken in (*own, *found)), None)


def credit_metrics(table: Table) -> dict[str, float]:
    """Every agent's mean absolute advantage over its rows, and its turns and invocations there."""
    metrics: dict[str, float] = {}
    for code, agent in enumerate(table.names["agent"]):
        own = table.agent == code
        if not bool(own.any()):  # it said nothing
            continue
        metrics[f"credit/{agent}/advantage"] = float(table.advantage[own].abs().mean())
        metrics[f"credit/{agent}/turns"] = float(len(set(table.turn[own].tolist())))
        metrics[f"credit/{agent}/invocations"] = float(len(set(table.trajectory[own].tolist())))
    return metrics
