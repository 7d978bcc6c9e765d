"""DaGRPO: answers that hardly differ though their rewards do are not trained on.

Source: arXiv 2512.06337 (the idea); the rule is our reading, not the paper's formula.
Tier: B.
Certainty: paper for the idea, reconstructed for the rule; scorer and threshold unknown.
Differs: an attempt has weight only if its score is at least `delta` from that of every attempt of
the opposite advantage; the advantage brings the score along. No off-policy anchors.
Assumes: open are the score (a named part, else one minus the mean token overlap with the group's
others) and delta. Masked attempts stay in mean, std and N.
Edges: a one-sided group keeps all; all-equal rewards and one attempt teach nothing; an attempt
without tokens overlaps nobody; a truncated one is like any other.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import STANDARD, credit_columns, episode_means, part_values
from agentrl.agreement import token_distance
from agentrl.algorithms.base import Part, declare, part
from agentrl.algorithms.grpo import GRPO
from agentrl.table import Table, per_episode
from agentrl.types import Group
from agentrl.weightings import ANSWER_MEANS


@declare(makes=("score",))
def with_score(
    table: Table, groups: Sequence[Group], *, base: Part = STANDARD, score: str = ""
) -> dict[str, torch.Tensor]:
    """Another advantage, and each attempt's distinctness as the column `score`.

    Formula: A of {base}; score: the part `{score}`, if empty 1 - mean token overlap
    """
    values = part_values(groups, score) if score else token_distance(table)
    return {**credit_columns(base, table, groups), "score": per_episode(table, values)}


@declare(reads=("score",))
def distinct(table: Table, *, base: Part = ANSWER_MEANS, delta: float = 0.05) -> torch.Tensor:
    """Another weighting, 0 on attempts too close to one of the opposite advantage.

    Formula: {base} if min |s_i - s_j| >= {delta} over the group's j with A_j A_i < 0, else 0
    """
    sign, score = (episode_means(table, values) for values in (table.advantage, table.score))
    of, size = table.owner["episode"], table.members("episode", "group")
    place = torch.arange(len(of)) - (size.cumsum(0) - size)[of]
    blank = torch.zeros(len(size), max(1, int(size.max())), dtype=score.dtype)
    sign, score = (blank.index_put((of, place), values) for values in (sign, score))
    close = (score[:, :, None] - score[:, None]).abs() < delta - 1e-7
    opposed = sign[:, :, None] * sign[:, None] < 0
    kept = ~(close & opposed).any(2)[of, place]
    weights: torch.Tensor = base(table)
    return weights * per_episode(table, kept)


DAGRPO = GRPO.but(advantage=part(with_score), weighting=part(distinct))
