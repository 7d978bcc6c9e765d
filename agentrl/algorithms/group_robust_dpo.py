"""Group robust DPO: preference pairs, weighted so that the worst group of tasks counts most.

Source: arXiv 2405.20304 and its code (rsshyam/Group-robust-preference-optimization).
Tier: A.
Certainty: code for losses and weights; pairs from a group's own attempts are our online analogue.
Differs: each task's best and worst attempt are a pair under DPO's or IPO's loss; a weight per group
of tasks (`key` of the task's data, else the environment) follows mirror ascent on the group losses.
Assumes: one optimiser step per batch, at which the credit is the loss's exact slope; the original
has a fixed set of labellers' pairs and divides by its totals, here by the pairs met so far.
Edges: attempts that are all equal, or one attempt, make no pair; one group of tasks is plain DPO; a
new group begins at the mean log weight, an absent one shrinks relatively; empty turns say nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from agentrl.advantages import episode_sums
from agentrl.algorithms.base import needs, part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import reinforce
from agentrl.preferences import GroupWeights, Kind, best_and_worst, preference_losses
from agentrl.table import Table, per_episode
from agentrl.types import Group
from agentrl.weightings import seq_mean_token_sum


@needs("old", "ref")
class RobustPairs:
    """Credit of preference pairs: minus the slope of their loss, weighted group by group.

    Formula: -+q_g N/N_g dl/dh for a task's best and worst attempt, l = {kind} with beta {beta}, h
    their log-ratios' difference; log q_g += {eta} L_g, groups by the task's `{key}`
    """

    def __init__(
        self, *, beta: float = 0.1, eta: float = 0.01, kind: Kind = "dpo", key: str = ""
    ) -> None:
        self.beta, self.kind, self.key = beta, kind, key
        self.weights = GroupWeights(eta)

    def __call__(self, table: Table, groups: Sequence[Group]) -> torch.Tensor:
        """The step's credit `[M]`; the weights move first."""
        score, credit = episode_sums(table, table.old - table.ref), torch.zeros(len(table.rewards))
        best, worst = best_and_worst(table)
        if len(best) == 0:
            return per_episode(table, credit)
        of = table.owner["episode"][best]
        names = [str(groups[i].task.data.get(self.key, groups[i].task.env)) for i in of.tolist()]
        margin = (score[best] - score[worst]).requires_grad_()
        losses = preference_losses(margin, beta=self.beta, kind=self.kind)
        (slope,) = torch.autograd.grad(losses.sum(), margin)
        slope = (slope * self.weights.factors(names, losses.detach())).float()
        scale = int(table.members("trajectory", "group")[of].sum()) / len(of)  # a mean over pairs
        credit[best], credit[worst] = -scale * slope, scale * slope
        return per_episode(table, credit)

    def state_dict(self) -> dict[str, Any]:
        """The weights of the groups of tasks."""
        return self.weights.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.weights.load_state_dict(state)


GROUP_ROBUST_DPO = GRPO.but(
    advantage=part(RobustPairs),
    weighting=part(seq_mean_token_sum),
    loss=part(reinforce),
    penalty=None,
)
