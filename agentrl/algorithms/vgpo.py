"""VGPO: values per turn by playing on, and an absolute anchor beside the group's comparison.

Source: arXiv 2512.12387 (diffusion models), at the level of its abstract.
Tier: C; text analogue: turn values and an anchored group mean. All numbers and the anchor are ours.
Certainty: formula unknown.
Differs: a turn's advantage is the change of value over it, not divided by a std; a term for the
group as a whole keeps a signal where its rewards agree. With one turn and kappa 0: centred GRPO.
Assumes: an environment that repeats itself, for turns are played again.
Edges: all equal or one attempt: only the anchor's term; the first group of a run anchors itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agentrl.advantages import group_means
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.branching import main_rows, measured, value_steps
from agentrl.protocols import Play
from agentrl.strategies import grouped, live, together
from agentrl.table import Table, per_group
from agentrl.types import Group, Task


async def turn_values(task: Task, attempts: int, play: Play, *, continuations: int = 4) -> Group:
    """Attempts with the value behind every turn but the last; the prompt's is the group's mean.

    Formula: V = mean reward of {continuations} attempts that go on behind the turn
    """
    episodes = await together(task, range(attempts), play)
    lengths = [[len(turn.completion.ids) for turn in e.main.turns[:-1]] for e in episodes]
    places = [sorted({int(end) - 1 for end in np.cumsum(of)} - {-1}) for of in lengths]
    found = await measured(task, episodes, places, play, continuations=continuations)
    rewards = [episode.main.reward for episode in live(episodes)]
    mean = sum(rewards) / max(1, len(rewards))
    return grouped(task, [replace(e, values={-1: mean, **e.values}) for e in found])


class Anchored:
    """The change of value over each turn, and the group's mean against a running anchor.

    Formula: V(behind the turn) - V(before it) + {kappa} (mean r - anchor); the anchor is a running
    mean over steps, decay {decay}
    """

    def __init__(self, *, kappa: float = 0.1, decay: float = 0.99) -> None:
        self.kappa = kappa
        self.decay = decay
        self.anchor: float | None = None

    def __call__(self, table: Table, groups: Sequence[Group]) -> torch.Tensor:
        """Credit `[M]`; the anchor moves once the step is judged."""
        means = group_means(table.rewards, table.owner["episode"], table.num_groups)
        played = means[table.members("episode", "group") > 0]
        now = float(played.mean()) if len(played) else 0.0
        anchor = now if self.anchor is None else self.anchor
        credit = main_rows(table, groups, value_steps)
        self.anchor = self.decay * anchor + (1 - self.decay) * now
        return credit + self.kappa * per_group(table, means - anchor)

    def state_dict(self) -> dict[str, Any]:
        """The anchor."""
        return {"anchor": self.anchor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.anchor = state["anchor"]


VGPO = GRPO.but(strategy=part(turn_values), advantage=part(Anchored))
