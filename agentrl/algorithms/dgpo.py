"""DGPO (MathForge): equal push at every difficulty, then more weight on the difficult groups.

Source: arXiv 2601.20614; github AMAP-ML/MathForge.
Tier: A.
Certainty: code.
Differs: the advantage (mean absolute deviation instead of the std, and a weight per group that sees
the whole step) and the weighting (tokens of groups with spread only). Rewriting the tasks (MQR)
changes data and is no part of the record.
Assumes: `main` names the reward part that says how difficult a task is; empty takes the first one.
Edges: all equal is zero and weighs 1; a single attempt is zero; attempts without tokens and
truncated ones count in mean and spread; nobody right in the main part although rewards differ:
weighed like a task that everybody solves.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import (
    FLAT,
    group_means,
    group_spread,
    group_weighted,
    live_episodes,
    normalized,
    part_values,
)
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.table import Table
from agentrl.types import Group


def balanced(table: Table, groups: Sequence[Group], *, eps: float = 1e-4) -> torch.Tensor:
    """Advantages whose absolute values sum to G in every group.

    Formula: A_i = G (r_i - mean r) / (sum |r - mean r| + {eps})
    """
    index, count = table.owner["episode"], table.num_groups
    share = eps / torch.bincount(index, minlength=count)[index]
    return normalized(table, table.rewards, scale="mad", eps=share)


def difficulty(
    table: Table, groups: Sequence[Group], *, temperature: float = 2.0, main: str = ""
) -> torch.Tensor:
    """A weight per group, larger where the main part is earned less often; 1 without spread.

    Formula: w_g = n softmax(-m_g / {temperature}) over the n groups with spread, m_g the mean of
    the part "{main}" (empty: the first one, or the reward)
    """
    index, count = table.owner["episode"], table.num_groups
    name = main or next((name for e in live_episodes(groups) for name in e.main.parts), "")
    mean = group_means(part_values(groups, name) if name else table.rewards, index, count)
    spread = group_spread(table.rewards, index, count) > FLAT
    scores = torch.where(mean == 0, 1.0, mean)[spread] / -temperature
    weights = torch.ones(count, dtype=torch.float64)
    weights[spread] = len(scores) * scores.softmax(0)
    return weights


def valid_token_mean(table: Table) -> torch.Tensor:
    """Mean over the tokens of groups with spread; over all tokens where there is none.

    Formula: 1/(sum of len over groups with spread)
    """
    index, count = table.owner["episode"], table.num_groups
    spread = group_spread(table.rewards, index, count) > FLAT
    valid = int(table.sizes("group")[spread].sum()) or len(table)
    return torch.full((len(table),), 1 / max(1, valid))


DGPO = GRPO.but(
    advantage=part(group_weighted, base=part(balanced), weight=part(difficulty)),
    weighting=part(valid_token_mean),
)
