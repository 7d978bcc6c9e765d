"""ExPO: beside the attempts, the policy's own explanation of the known answer is imitated.

Source: arXiv 2507.02834.
Tier: B; on which tasks it acts (`every_task`; ours: unsolved ones) and how beta falls are open.
Certainty: formula second-hand; idea from the paper.
Differs: a side trajectory sampled with the answer in the prompt and scored without it; a penalty
-beta log p on it, summed over its tokens, a mean over explanations (which count in GRPO's N).
Assumes: the answer in the environment's hints. Ours: an explanation that misses it is left out.
Edges: all wrong: only the explanation acts; no hint, or all attempts broken: plain GRPO.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from agentrl.advantages import STANDARD, Credit, adjusted
from agentrl.algorithms.base import Part, part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import Direction
from agentrl.penalties import imitation
from agentrl.protocols import Play
from agentrl.strategies import beside, hints_of, independent, live, rungs, unsolved
from agentrl.table import Table
from agentrl.types import Group, Task

AGENT = "explanation"
TEMPLATE = "The right answer is:\n{answer}\nWork it out step by step and end with this answer."


async def explained(
    task: Task, attempts: int, play: Play, *, template: str = TEMPLATE, every_task: bool = False
) -> Group:
    """Attempts, and for an unsolved task an explanation of its answer beside the first live one.

    Formula: G attempts; unsolved (every task: {every_task}): a right c ~ pi(. | q, answer) under q
    """
    group = await independent(task, attempts, play)
    played = live(group.episodes)
    if not played or not (every_task or unsolved(played)):
        return group
    answer = rungs(await hints_of(task, play), ("solution",))[-1:]
    way = Direction(hint=template.replace("{answer}", "".join(answer)), plain_training=True)
    side = (await play(task, attempts, way)).main if answer else None
    if side is None or side.status.failed or not side.success:
        return group
    return beside(group, played[0].attempt, replace(side, agent=AGENT))


def explains(table: Table) -> torch.Tensor:
    """Which rows `[M]` are an explanation's."""
    names = table.names.get("agent", ())
    return table.agent == (names.index(AGENT) if AGENT in names else -1)


def attempts_only(table: Table, groups: Sequence[Group], *, base: Part = STANDARD) -> Credit:
    """Another advantage on the attempts, 0 on the explanations.

    Formula: A on attempts, 0 on explanations; A: {base}
    """
    side = explains(table)
    return adjusted(base, table, groups, lambda credit: torch.where(side, 0.0, credit))


def explanation_sum(table: Table) -> torch.Tensor:
    """The sum over an explanation's tokens, as a mean over explanations.

    Formula: 1/(number of explanations)
    """
    count = len(torch.unique(table.trajectory[explains(table)]))
    return torch.full((len(table),), 1 / max(1, count))


EXPO = GRPO.but(
    strategy=part(explained),
    advantage=part(attempts_only),
    penalty=part(imitation, coef=0.1, agent=AGENT),
    penalty_weighting=part(explanation_sum),
)
