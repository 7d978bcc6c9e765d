"""Rank-GRPO: every item of a ranked list is credited, and has a ratio, of its own.

Source: arXiv 2510.20150 and its code (yaochenzhu/Rank-GRPO).
Tier: A.
Certainty: code.
Differs: rewards by rank, compared with the same rank of the group; one ratio per item, clipped at
0.06 / 0.08; KL 0.001. A rank is a turn; in `rank_grpo_items`, as in the paper, a line of a turn,
whose end token is left out. Length shaping is not implemented.
Assumes: one agent; the part `hit` of each turn, or `hit_1`, `hit_2`, ... of the whole attempt.
Edges: a missing rank has reward 0 and no tokens; equal rewards at a rank, one attempt, and text
beyond the last rank give zero; a parse error has no hits; truncated: the ranks it reached count.
"""

from collections.abc import Mapping, Sequence

import torch

from agentrl.advantages import Singleton, group_normalize, joint, part_values
from agentrl.algorithms.base import Part, part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import pessimistic
from agentrl.penalties import kl
from agentrl.rewards import rank_rewards
from agentrl.segments import by_item, by_turn
from agentrl.table import Table, View
from agentrl.types import Group


def rank_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    segments: Part = part(by_turn),
    ranks: int = 20,
    ddof: int = 1,
    eps: float = 1e-4,
    singleton: Singleton = "zero",
) -> Mapping[str, torch.Tensor]:
    """Each rank's reward against the same rank of the group's other attempts; column `segment`.

    Formula: A_ik = (r_ik - mean_k) / (std_k + {eps}), k up to {ranks} over {segments}; ddof
    {ddof}, one attempt: {singleton}
    """
    values = torch.stack([part_values(groups, f"rank_{k}") for k in range(1, ranks + 1)], dim=1)
    index = table.owner["episode"][:, None] * ranks + torch.arange(ranks)
    pool = (values.flatten(), index.flatten(), table.num_groups * ranks)
    credit = group_normalize(*pool, ddof=ddof, eps=eps, singleton=singleton).view(-1, ranks)
    rank = segments(table, groups)
    listed = (rank >= 0) & (rank < ranks)
    found = credit[table.episode, rank.clamp(0, ranks - 1)].float()
    segment, _ = joint(table.turn, rank.clamp(max=ranks) + 1)
    return {"advantage": torch.where(listed, found, 0.0), "segment": segment}


def item_clipped(view: View, *, clip_low: float = 0.06, clip_high: float = 0.08) -> torch.Tensor:
    """One ratio per item, its tokens' geometric mean; each token carries its own gradient.

    Items are the column `segment`, where the advantage makes one, else turns.

    Formula: -min(s A, clip(s, 1-{clip_low}, 1+{clip_high}) A), s = exp(mean_item(logp - old))
    """
    items = view.segment if "segment" in view.table.columns else view.turn
    _, item = torch.unique(items, return_inverse=True)
    gap, count = (view.logprobs - view.old).detach(), int(item.max()) + 1
    mean = torch.bincount(item, gap, count).to(gap) / torch.bincount(item, minlength=count)
    ratio = mean[item].exp() * (view.logprobs - view.logprobs.detach()).exp()
    return pessimistic(view, ratio, clip_low, clip_high)


RANK_GRPO = GRPO.but(
    shape=part(rank_rewards),
    advantage=part(rank_advantage),
    loss=part(item_clipped),
    penalty=part(kl, coef=0.001),
)

RANK_GRPO_ITEMS = RANK_GRPO.but(advantage=part(rank_advantage, segments=part(by_item)))
