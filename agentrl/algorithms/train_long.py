"""Train Long, Think Short: a token budget that shrinks over training and is told in the prompt.

Source: arXiv 2508.08940.
Tier: A.
Certainty: paper; the amounts 1, the format weights 0.1, eps and the prompt's words are ours.
Differs: shape: `success`, length against the step's budget, tags; strategy: the budget is told;
advantage: population variance with eps inside the root. The weights are the length-heavy ones;
correctness-heavy is right 0.6 and length 0.3.
Assumes: the length is all that the episode sampled. Evaluations are told no budget.
Edges: the budget is at least 1; twice the budget earns no length; all equal or alone gives zero.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import group_means, group_normalize
from agentrl.algorithms.base import Algorithm, Part, declare, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import budget, within_budget
from agentrl.direction import Direction
from agentrl.protocols import Play
from agentrl.strategies import grouped, together
from agentrl.table import Table, per_episode
from agentrl.types import Group, Task

WEIGHTS = {"right": 0.3, "length": 0.6, "think": 0.1, "answer": 0.1}


def pays_for_another(record: Algorithm, told: Part) -> str | None:
    """Where the shape pays for another schedule than the strategy tells."""
    paid = record.shape.settings.get("schedule") if record.shape else None
    same = paid is None or tuple(paid) == tuple(told.settings["schedule"])
    return None if same else f"tells another schedule than algorithm.shape pays for, {paid}"


@refuses(pays_for_another)
async def budget_told(
    task: Task, attempts: int, play: Play, *, schedule: tuple[float, float, int] = (256, 0.7, 150)
) -> Group:
    """Independent attempts whose prompt names the step's budget, in whole tokens.

    Formula: G attempts told start factor^floor(step/every) tokens of {schedule}
    """
    told = Direction(hint=f"Use at most {int(budget(play.step, schedule))} tokens.")
    return grouped(task, await together(task, range(attempts), play, told))


@declare(by_std=True)
def root_advantage(table: Table, groups: Sequence[Group], *, eps: float = 1e-6) -> torch.Tensor:
    """The group's advantage with the population variance and eps inside the root.

    Formula: A_i = (r_i - mean r) / sqrt(var r + {eps}), one attempt: zero
    """
    index, count = table.owner["episode"], table.num_groups
    centred = group_normalize(table.rewards, index, count, scale="none")
    variance = group_means(centred**2, index, count)[index]
    return per_episode(table, centred / (variance + eps).sqrt())


def decay_factor(start: float, end: float, count: int) -> float:
    """The factor with which `count` decays lead from a budget to another."""
    return float((end / start) ** (1 / count))


TRAIN_LONG = GRPO.but(
    advantage=part(root_advantage),
    shape=part(within_budget, weights=WEIGHTS),
    strategy=part(budget_told),
)
