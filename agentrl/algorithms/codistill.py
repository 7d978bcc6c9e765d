"""CoDistill-GRPO: a small and a large policy, both trained on what the small one writes.

Source: arXiv 2605.08873.
Tier: B.
Certainty: paper (idea, large side); second-hand (reward term); reconstructed (sign, selection).
Differs: the small policy's reward gains alpha times the log-ratio of the large one to it; the large
one (`codistill_large`) takes the plain reward and a ratio to whoever sampled. Open: alpha (must be
given), sum or mean, bounds; `selected` is ours.
Assumes: `learner.teacher` is the large model's folder, same tokenizer and template; the sides are
two runs, the large one's on attempts that the small one sampled.
Edges: equal rewards differ by their log-ratios; both equal, or one attempt: zero; no tokens: no
term; a truncated attempt has the term of its tokens; what is not selected has no credit.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch

from agentrl.advantages import Singleton, episode_means, episode_sums, group_normalize
from agentrl.algorithms.base import Algorithm, Part, declare, needs, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import behaviour_clipped
from agentrl.table import Table, per_episode
from agentrl.types import Group


def undecided(record: Algorithm, piece: Part) -> str | None:
    """Why it cannot run: the paper's weight of the teacher is unknown, so there is no default."""
    missing = piece.settings["alpha"] is None
    return "has no default alpha: set algorithm.advantage.alpha" if missing else None


@refuses(undecided)
@declare(by_std=True)
@needs("teacher")
def distilled_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    alpha: float | None = None,
    kd_reduce: Literal["sum", "mean"] = "sum",
    selected: int | None = None,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Mapping[str, torch.Tensor]:
    """The reward with the teacher's term, against the group; column `distilled`.

    Formula: A_i = (r'_i - mean) / (std + {eps}), ddof {ddof}, one attempt: {singleton};
    r' = r + {alpha} {kd_reduce}(teacher - behaviour), the {selected} most extreme (None: all)
    """
    reduce = episode_sums if kd_reduce == "sum" else episode_means
    weight = 0.0 if alpha is None else alpha  # refused before a run
    rewards = table.rewards + weight * reduce(table, table.teacher - table.behaviour)
    index = table.owner["episode"]
    places = (extremes(rewards, index == g, selected) for g in range(table.num_groups))
    kept = torch.cat([index[:0], *places])
    values = torch.zeros_like(rewards)
    values[kept] = group_normalize(
        rewards[kept], index[kept], table.num_groups, ddof=ddof, eps=eps, singleton=singleton
    )
    return {"advantage": per_episode(table, values), "distilled": per_episode(table, rewards)}


def extremes(values: torch.Tensor, inside: torch.Tensor, count: int | None) -> torch.Tensor:
    """Places of the `count` most extreme values inside, half from either end; None: of all."""
    places = inside.nonzero()[:, 0]
    if count is None or count >= len(places):
        return places
    order = places[values[places].argsort(stable=True)]
    return torch.cat([order[: count // 2], order[len(order) - (count - count // 2) :]])


CODISTILL = GRPO.but(advantage=part(distilled_advantage))
CODISTILL_LARGE = GRPO.but(loss=part(behaviour_clipped))
