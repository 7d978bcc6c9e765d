"""GDPO: every reward part is normalised in its group on its own, and their sum over the batch.

Source: arXiv 2601.05242; github NVlabs/GDPO.
Tier: A.
Certainty: code; its two releases differ: `release` trl whitens over attempts (and leaves a single
part as GRPO has it), verl over tokens, so that long answers weigh more (`gdpo_verl`).
Differs: the advantage; the order of sum and normalisation.
Assumes: the environment names its reward parts; without names the reward is the only one. A part
that counts only where another one holds has to be made so by the environment or a shape.
Edges: a constant part adds nothing; a group whose parts are all constant is zero, a single attempt
too; absent and NaN parts are 0; attempts without tokens count, but not in verl's whitening;
truncated attempts keep their parts; a batch of one attempt or token is zero.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch

from agentrl.advantages import group_normalize, group_sums, live_episodes, part_values, whitened
from agentrl.algorithms.base import declare, part
from agentrl.algorithms.grpo import GRPO
from agentrl.table import Table, per_episode
from agentrl.types import Group


@declare(by_std=True)
def decoupled(
    table: Table,
    groups: Sequence[Group],
    *,
    release: Literal["trl", "verl"] = "trl",
    eps: float = 1e-4,
    weights: Mapping[str, float] | None = None,
    batch_norm: bool = True,
) -> torch.Tensor:
    """The weighted sum of each part's own advantage, normalised over the batch.

    Formula: a_i = sum_j w_j (r_ij - mean_j) / (std_j + {eps}), w = {weights} (None: 1 each),
    ddof 1; A_i = (a_i - mean a) / (std a + {eps}) over the batch as in {release}: {batch_norm}
    """
    index, count = table.owner["episode"], table.num_groups
    named = {name: 1.0 for e in live_episodes(groups) for name in e.main.parts}
    weighed = dict(sorted((named if weights is None else weights).items()))
    parts = [(part_values(groups, name).nan_to_num(nan=0.0), w) for name, w in weighed.items()]
    found = [w * group_normalize(r, index, count, eps=eps) for r, w in parts]
    if not found:
        found = [group_normalize(table.rewards, index, count, eps=eps)]
    credit = torch.stack(found).sum(0)
    alive = (group_sums(credit.abs(), index, count) > 0)[index]
    if not batch_norm or (release == "trl" and len(found) == 1):
        return per_episode(table, credit)
    if release == "trl":
        whole = group_normalize(credit, torch.zeros_like(index), 1, eps=eps)
        return per_episode(table, torch.where(alive, whole, 0.0))
    rows = table.columns["episode"]
    whole = whitened(credit[rows]) if len(rows) > 1 else torch.zeros(len(rows))
    return torch.where(alive[rows], whole, 0.0).float()


GDPO = GRPO.but(advantage=part(decoupled))
GDPO_VERL = GDPO.but(advantage=part(decoupled, release="verl", eps=1e-6))
