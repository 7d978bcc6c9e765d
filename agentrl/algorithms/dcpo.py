"""DCPO: right answers gain where a warmer or cooler policy would say them sooner, until H is H0.

Source: arXiv 2601.12730; github 597358816/DCPO. The distribution-centric method of that name.
Tier: A.
Certainty: code; its script has H0 0.5, its table is best at 0.25.
Differs: the advantage, which remembers the last step's entropy and needs a second pass. The dual
clip (at 3) of the script's framework is left out.
Assumes: a reward above `correct_above` means right. The part is the record's advantage itself, not
the base of another one, for the second pass reads its temperature.
Edges: nobody right, or H = H0, is GRPO; all right is not dead, a single right attempt neither;
attempts without tokens count in the share of right ones; truncated ones as what they earned.
"""

from collections.abc import Sequence
from typing import Any

import torch

from agentrl.advantages import STANDARD, Credit, adjusted
from agentrl.algorithms.base import Part, needs, part
from agentrl.algorithms.grpo import GRPO
from agentrl.table import Table, per_episode
from agentrl.types import Group


def tempered_ratio(table: Table) -> torch.Tensor:
    """How much likelier each token is at the other temperature, `[M]`."""
    return (table.tempered - table.old).exp()


@needs("old", "tempered")
class TemperedCredit:
    """The base's credit mixed with the tempered ratio of right answers.

    Formula: (1 - a) A + a 1[r > {correct_above}] pi_T(o)/pi(o), a = x/(1 + x), x = min(|{target} -
    H|, {limit}) / (share right); T = {warm} if H <= {target}, else {cool}; H the last step's mean
    -log pi; A, divided by a std: {base}
    """

    def __init__(
        self,
        *,
        base: Part = STANDARD,
        target: float = 0.5,
        limit: float = 0.1,
        warm: float = 1.2,
        cool: float = 0.8,
        correct_above: float = 0.05,
    ) -> None:
        self.base, self.target, self.limit, self.above = base, target, limit, correct_above
        self.warm, self.cool, self.entropy = warm, cool, 0.0

    @property
    def temperature(self) -> float:
        """What the column `tempered` is made at, times the run's temperature."""
        return self.warm if self.entropy <= self.target else self.cool

    def alpha(self, right: torch.Tensor) -> float:
        """The share of the ratio, from which attempts `[episodes]` are right; 0 if none is."""
        gap = min(abs(self.target - self.entropy), self.limit)
        return gap / (gap + float(right.double().mean())) if right.any() else 0.0

    def __call__(self, table: Table, groups: Sequence[Group]) -> Credit:
        """Credit `[M]`; remembers the entropy for the next step."""
        right = table.rewards > self.above
        alpha = self.alpha(right)
        bonus = alpha * per_episode(table, right) * tempered_ratio(table)
        self.entropy = -float(table.old.double().mean()) if len(table) else self.entropy
        return adjusted(self.base, table, groups, lambda credit: (1 - alpha) * credit + bonus)

    def state_dict(self) -> dict[str, Any]:
        """The last step's entropy."""
        return {"entropy": self.entropy}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.entropy = state["entropy"]


DCPO = GRPO.but(advantage=part(TemperedCredit))
