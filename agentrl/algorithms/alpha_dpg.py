"""Alpha-DPG: match the base model restricted to right answers; alpha trades precision for coverage.

Source: arXiv 2512.05962 (Whatever Remains Must Be True); github naver/alpha-dpg.
Tier: A.
Certainty: code, the paper agrees; the record's alpha is the one of the best pass@256.
Differs: the advantage (leave one out on a pseudo-reward), the loss (the score function, no ratio,
no clip) under a constant length, no KL; so one optimiser step per batch.
Assumes: `success` is a binary verifier; `reference` is the base model. At alpha 1 take 0.999.
Edges: nobody right is zero; all right and already at the target is zero; a single attempt is zero;
an attempt without tokens counts in the baseline and weighs nothing; truncated ones are as verified.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from agentrl.advantages import correct, episode_sums, group_sums, normalized
from agentrl.algorithms.base import needs, part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import reinforce
from agentrl.table import Table
from agentrl.types import Group
from agentrl.weightings import constant_length


@needs("old", "ref")
class VerifiedTarget:
    """The alpha-divergence's pseudo-reward against the others' mean.

    Formula: A_i = R_i - mean of the others; R = min(t^({alpha} - 1) - 1, {cap}), -1 if wrong;
    log t = log pi(y) - log pi_ref(y) + log Z; Z = mean of pi_ref v / pi_behaviour in [{z_floor}, 1]
    (of this step only: {reset_z}, else of all attempts at the task so far)
    """

    def __init__(
        self, *, alpha: float = 0.25, cap: float = 10.0, z_floor: float = 1e-4, reset_z: bool = True
    ) -> None:
        self.alpha, self.cap, self.z_floor, self.reset_z = alpha, cap, z_floor, reset_z
        self.seen: dict[str, list[float]] = {}

    def normaliser(self, table: Table, groups: Sequence[Group]) -> torch.Tensor:
        """Z of each group `[num_groups]`."""
        share = episode_sums(table, table.ref - table.behaviour).clamp(max=50).exp()
        share = torch.where(correct(table, groups, None), share, 0.0)
        total = group_sums(share, table.owner["episode"], table.num_groups).tolist()
        means = []
        for group, sum_here in zip(groups, total, strict=True):
            sums = [0.0, 0.0] if self.reset_z else self.seen.setdefault(group.task.id, [0.0, 0.0])
            sums[:] = sums[0] + sum_here, sums[1] + len(group.live)
            means.append(sums[0] / max(sums[1], 1.0))
        z = torch.tensor(means, dtype=torch.float64)
        return torch.where(z > 0, z.clamp(max=1.0), self.z_floor)

    def rewards(self, table: Table, groups: Sequence[Group]) -> torch.Tensor:
        """R of each attempt `[episodes]`."""
        z = self.normaliser(table, groups)[table.owner["episode"]]
        log = (self.alpha - 1) * (episode_sums(table, table.old - table.ref) + z.log())
        value = log.exp().sub(1).clamp(max=self.cap)
        return torch.where(correct(table, groups, None), value, -1.0)

    def __call__(self, table: Table, groups: Sequence[Group]) -> torch.Tensor:
        """Credit `[M]`."""
        return normalized(table, self.rewards(table, groups), scale="loo")

    def state_dict(self) -> dict[str, Any]:
        """Sums and numbers behind the moving Z, by task."""
        return {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.seen = {task: list(pair) for task, pair in state["seen"].items()}


ALPHA_DPG = GRPO.but(
    advantage=part(VerifiedTarget), loss=part(reinforce), weighting=part(constant_length)
)
