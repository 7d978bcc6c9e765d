"""XRPO: right answers that the policy found unlikely earn more, up to a share of their advantage.

Source: arXiv 2510.06672.
Tier: B.
Certainty: second-hand (novelty, constants); the forms of cap, gain and bonus are reconstructed.
Differs: the advantage, where novelty is the mean log-prob of an attempt against its group's; the
sampler, which gives attempts to tasks of uncertain mean (from earlier visits: a round is chosen at
once, where the paper takes three). Exemplars for unsolved tasks are left out.
Assumes: `success` says what is right; log-probs are the sampler's.
Edges: wrong answers and all-equal groups are unchanged (zero), a single attempt too; an attempt
without tokens has no novelty; truncated attempts are as verified.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import STANDARD, Credit, adjusted, correct, needs_std, relative_likelihood
from agentrl.algorithms.base import Part, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.budgets import by_confidence
from agentrl.samplers import Budgeted
from agentrl.table import Table, per_episode
from agentrl.trackers import Moments
from agentrl.types import Group


@refuses(needs_std)
def novelty_bonus(
    table: Table,
    groups: Sequence[Group],
    *,
    base: Part = STANDARD,
    lam: float = 2.5,
    kappa: float = 0.5,
) -> Credit:
    """The base's credit, and more for right answers that are less likely than the group's.

    Formula: A + min(max({lam} (1 - eta), 0), {kappa} A) if right, eta = exp(s - mean s), s the mean
    log-prob; A, divided by a std: {base}
    """
    novelty = lam * (1 - relative_likelihood(table)).clamp(min=0)
    gain = per_episode(table, torch.where(correct(table, groups, None), novelty, 0.0))
    return adjusted(base, table, groups, lambda a: a + gain.minimum((kappa * a).clamp(min=0)))


XRPO = GRPO.but(
    advantage=part(novelty_bonus),
    sampler=part(Budgeted, allocate=part(by_confidence), tracker=part(Moments)),
)
