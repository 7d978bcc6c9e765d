"""GRPO-CARE: a bonus for right answers that a slow copy of the policy finds likely as well.

Source: arXiv 2506.16141 and its code (TencentARC/GRPO-CARE, images).
Tier: C.
Certainty: code.
Differs: the reward gains a bonus before the group is compared (eps 1e-4), text analogue: used as it
is; the reference moves; a score-function loss, whose gradient is the release's; no KL. The answer
is the last turn; `tagged` takes what lies between tags, as the release does, by text.
Assumes: one agent; the answer's tokens follow the reasoning; success, or a named part in [0, 1].
Edges: nobody accurate: no bonus; no answer tokens: consistency 0.95; all wrong gives zero, and so
do all right with one consistency, and one attempt; a truncated attempt has the tokens that it has.
"""

from collections.abc import Mapping, Sequence

import torch

from agentrl.advantages import (
    Singleton,
    correct,
    group_means,
    group_sums,
    normalized,
    part_values,
)
from agentrl.algorithms.base import Part, declare, needs, part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import reinforce
from agentrl.references import moving_average
from agentrl.segments import last_turn
from agentrl.table import Table, per_episode
from agentrl.types import Group


@declare(by_std=True)
@needs("ref")
def consistency_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    answer: Part = part(last_turn),
    accuracy: str | None = None,
    bonus: float = 0.5,
    cap: float = 0.95,
    margin: float = 0.01,
    ddof: int = 1,
    eps: float = 1e-4,
    singleton: Singleton = "zero",
) -> Mapping[str, torch.Tensor]:
    """Rewards plus a bonus, against the group; column `bonus`.

    c = min(exp(mean ref log-prob of the answer), cap); accurate is above 0.1 and the group's mean.

    Formula: A_i = (r_i + b_i - mean) / (std + {eps}), b = {bonus} acc where accurate and
    c >= mean accurate c - {margin}, c at most {cap}, of {answer}; acc {accuracy} (None: success),
    ddof {ddof}, one attempt: {singleton}
    """
    index, count = table.owner["episode"], table.num_groups
    inside = answer(table, groups)
    means = group_means(table.ref[inside].double(), table.episode[inside], len(index))
    consistency = means.exp().clamp(max=cap)
    right = part_values(groups, accuracy) if accuracy else correct(table, groups, None).double()
    accurate = (right > 0.1) & (right >= group_means(right, index, count)[index] - 1e-12)
    others = group_sums(accurate * consistency, index, count)
    level = others / group_sums(accurate.double(), index, count).clamp(min=1)
    earned = bonus * right * (accurate & (consistency >= level[index] - margin))
    paid = table.rewards + earned
    credit = normalized(table, paid, ddof=ddof, eps=eps, singleton=singleton)
    return {"advantage": credit, "bonus": per_episode(table, earned)}


CARE = GRPO.but(
    advantage=part(consistency_advantage),
    loss=part(reinforce),
    penalty=None,
    reference=part(moving_average, keep=0.995, every=10),
)
