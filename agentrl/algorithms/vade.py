"""VADE: a step takes the tasks whose success rate, drawn from a posterior, promises most.

Source: arXiv 2511.18902.
Tier: C, text analogue: the method works on outcomes and is used as it is.
Certainty: idea from the paper, score second-hand, decay reconstructed; `decay`, `fade`, prior open.
Differs: tasks are chosen from the whole pool by Thompson draws instead of epoch by epoch.
Assumes: success is 0 or 1, and the pool is small enough for tasks to come back.
Edges: an unseen task has the prior only; all-right and all-wrong groups count; a pool smaller than
the step is played whole.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentrl.algorithms.base import Part, part
from agentrl.algorithms.grpo import GRPO
from agentrl.samplers import Tracked
from agentrl.trackers import BetaCounts
from agentrl.types import Task

Form = Literal["p(1-p)^2", "p(1-p)"]
Array = NDArray[np.float64]


def information(p: Array, form: Form) -> Array:
    """What a task with success rate `p` teaches: its gain, or its variance."""
    return p * (1 - p) ** 2 if form == "p(1-p)^2" else p * (1 - p)


def expected(alpha: Array, beta: Array, form: Form) -> Array:
    """The mean of `information` under Beta(alpha, beta)."""
    total = alpha + beta
    variance = alpha * beta / (total * (total + 1))
    return variance * (beta + 1) / (total + 2) if form == "p(1-p)^2" else variance


class Thompson(Tracked):
    """The tasks with the largest information, at a rate drawn from each task's Beta counts.

    Formula: top by {form}, p ~ Beta(a, b); drawn: {draw}, else the mean over Beta(a, b)
    """

    tracker: BetaCounts

    def __init__(
        self,
        pool: Sequence[Task],
        seed: int,
        *,
        form: Form = "p(1-p)^2",
        draw: bool = True,
        tracker: Part = part(BetaCounts),
    ) -> None:
        super().__init__(pool, seed, tracker=tracker)
        self.form: Form = form
        self.draw = draw

    def distinct(self, count: int) -> list[Task]:
        """The `count` best tasks; ties fall to a random one."""
        rng = self.draws()
        found = {task.id: task for task in self.pool}
        known = list(found.values())
        tasks = [known[place] for place in rng.permutation(len(known))]
        alpha, beta = np.array([self.tracker.counts(task) for task in tasks]).T
        worth = (
            information(rng.beta(alpha, beta), self.form)
            if self.draw
            else expected(alpha, beta, self.form)
        )
        return [tasks[place] for place in np.argsort(-worth, kind="stable")[:count]]


VADE = GRPO.but(sampler=part(Thompson, tracker=part(BetaCounts)))
