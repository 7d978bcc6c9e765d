"""VSPO with progressive reward shaping: stages of reward, and tasks worth another sample.

Source: arXiv 2512.07478.
Tier: B.
Certainty: second-hand; smoothing, the answer score and the weights are reconstructed or unknown.
Differs: a stage's reward counts behind the one before; groups without value, V = (maximum - mean)
std, give way to more attempts at tasks that have it; repeats count less. Open and ours: stage
weights, decay (1 is off), the attainable maximum 1, ddof 0.
Assumes: the environment names `format` and `correct`, each in [0, 1] (how well a long or short
answer agrees is its business).
Edges: all equal has value 0 and is refused; one attempt as well; all refused: refilling is capped
(`rollout.refills`); a truncated attempt keeps its parts.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import STANDARD, Credit, adjusted
from agentrl.algorithms.base import Part, part
from agentrl.algorithms.grpo import GRPO
from agentrl.keeps import valuable
from agentrl.penalties import kl
from agentrl.rewards import staged_sum
from agentrl.samplers import ValueBased
from agentrl.table import Table, per_group
from agentrl.types import Group


def repeats_decayed(
    table: Table, groups: Sequence[Group], *, decay: float = 1.0, base: Part = STANDARD
) -> Credit:
    """Another advantage, smaller for every repeat of a task within the step (note `repeat`).

    Formula: A {decay}^(k-1) for a step's k-th group of a task, A: {base}
    """
    factors = torch.tensor([decay ** group.notes.get("repeat", 0.0) for group in groups])
    return adjusted(base, table, groups, lambda credit: credit * per_group(table, factors))


VSPO = GRPO.but(
    shape=part(staged_sum, weights={"format": 0.2, "correct": 0.8}, stages=("format", "correct")),
    keep=part(valuable),
    sampler=part(ValueBased),
    advantage=part(repeats_decayed),
    penalty=part(kl, coef=0.001),
)
