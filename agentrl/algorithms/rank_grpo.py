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

from agentrl.advantages import Singleton, group_normalize, live_episodes
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
    names = [f"rank_{k}" for k in range(1, ranks + 1)]
    parts = (episode.main.parts for episode in live_episodes(groups))
    found = [of.get(name, 0.0) for of in parts for name in names]
    pool = torch.tensor(found, dtype=torch.float64)
    index = table.owner["episode"][:, None] * ranks + torch.arange(ranks)
    where = (index.flatten(), table.num_groups * ranks)
    credit = group_normalize(pool, *where, ddof=ddof, eps=eps, singleton=singleton).float()
    rank = segments(table, groups)
    listed = (rank >= 0) & (rank < ranks)
    place = table.episode * ranks + rank.clamp(0, ranks - 1)
    segment = table.turn * (ranks + 2) + rank.clamp(-1, ranks) + 1
    return {"advantage": torch.where(listed, credit[place], 0.0), "segment": segment}


def item_clipped(view: View, *, clip_low: float = 0.06, clip_high: float = 0.08) -> torch.Tensor:
    """One ratio per item, its tokens' geometric mean; each token carries its own gradient.

    Items are the column `segment`, where the advantage makes one, else turns.

    Formula: -min(s A, clip(s, 1-{clip_low}, 1+{clip_high}) A), s = exp(mean_item(logp - old))
    """
    items = view.segment if "segment" in view.table.columns else view.turn
    gap = (view.logprobs - view.old).detach()
    count = torch.bincount(items)  # numbers without a row stay empty
    mean = gap.new_zeros(len(count)).index_add(0, items, gap) / count.clamp(min=1)
    ratio = mean.exp()[items] * (view.logprobs - view.logprobs.detach()).exp()
    return pessimistic(view, ratio, clip_low, clip_high)


RANK_GRPO = GRPO.but(
    shape=part(rank_rewards),
    advantage=part(rank_advantage),
    loss=part(item_clipped),
    penalty=part(kl, coef=0.001),
)

RANK_GRPO_ITEMS = RANK_GRPO.but(advantage=part(rank_advantage, segments=part(by_item)))
