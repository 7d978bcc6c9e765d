"""DS-GRPO: right answers gain when they were unlikely, wrong ones lose more when they were.

Source: arXiv 2511.19942 (eqs 4, 6).
Tier: A.
Certainty: second-hand, two quotations agree; both gammas of the record (0.01) are ours.
Differs: the advantage; the log-prob of the whole answer under its sampler is added to it.
Assumes: gamma is small, for a sum over hundreds of tokens swamps an advantage of size 1.
Edges: an all-right or all-wrong group is not dead: each attempt gets its log-prob term, without
centring, a single attempt too; truncated attempts count as what they earned; without tokens: none.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import STANDARD, Credit, adjusted, correct, episode_sums, needs_std
from agentrl.algorithms.base import Part, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.table import Table, per_episode
from agentrl.types import Group


@refuses(needs_std)
def differential_smoothing(
    table: Table,
    groups: Sequence[Group],
    *,
    gamma_pos: float,
    gamma_neg: float,
    base: Part = STANDARD,
    correct_above: float | None = 0.5,
    per_token: bool = False,
) -> Credit:
    """The base's credit, spread among right answers and sharpened among wrong ones.

    `per_token` (ours) gives each token its own log-prob instead of the answer's sum.

    Formula: A - {gamma_pos} log pi(y) if r > {correct_above} (None: success), else
    A + {gamma_neg} log pi(y); own token's log-prob: {per_token}; A, divided by a std: {base}
    """
    right = correct(table, groups, correct_above)
    sums = per_episode(table, episode_sums(table, table.behaviour))
    surprise = -table.behaviour if per_token else -sums
    gain = per_episode(table, torch.where(right, gamma_pos, -gamma_neg)) * surprise
    return adjusted(base, table, groups, lambda credit: credit + gain)


DS_GRPO = GRPO.but(advantage=part(differential_smoothing, gamma_pos=0.01, gamma_neg=0.01))
