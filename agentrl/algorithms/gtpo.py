"""GTPO: tokens that good and bad answers share are not punished, uncertain answers are dropped.

Source: arXiv 2508.03772; github winstonsmith1897/GTPO. Not arXiv 2508.04349.
Tier: A.
Certainty: code; its README and its code differ: `gtpo` is the README, `gtpo_release` the code.
Differs: the advantage (centred, less gamma H, with a filter), the weighting (shared runs count
`boost` or 0) and the loss (no ratio, no clip, no KL), so one optimiser step per batch.
Assumes: H is the full-vocabulary entropy, mean over an answer; positions count within turns.
Edges: all equal is not dead, every kept answer is pushed down, a single attempt too; no right or no
wrong answer means no conflict; an answer without tokens weighs nothing; truncated ones count.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from agentrl.advantages import CENTRED, Credit, adjusted, episode_means
from agentrl.algorithms.base import Part, needs, part
from agentrl.algorithms.grpo import GRPO
from agentrl.conflicts import conflict_weights
from agentrl.losses import unclipped
from agentrl.table import Table, per_episode
from agentrl.types import Group


@needs("entropy")
class EntropyFiltered:
    """The base's credit less the answer's entropy; none for answers above a threshold.

    Formula: d (A - {gamma} H), d = 1 if H <= {threshold} or the initial entropy is above it
    ({initial_entropy}; 0: never), else 0; A, without std: {base}
    """

    def __init__(
        self,
        *,
        base: Part = CENTRED,
        gamma: float = 0.1,
        threshold: float = math.log(2),
        initial_entropy: float | Literal["measured"] = "measured",
    ) -> None:
        self.base, self.gamma, self.threshold = base, gamma, threshold
        self.initial = None if initial_entropy == "measured" else initial_entropy

    def __call__(self, table: Table, groups: Sequence[Group]) -> Credit:
        """Credit `[M]`; the first call measures the initial entropy."""
        if self.initial is None and len(table):
            self.initial = float(table.entropy.double().mean())
        entropy = episode_means(table, table.entropy)
        kept = (entropy <= self.threshold) | ((self.initial or 0.0) > self.threshold)
        less, factor = (per_episode(table, x) for x in (self.gamma * entropy, kept.double()))
        return adjusted(self.base, table, groups, lambda credit: factor * (credit - less))

    def state_dict(self) -> dict[str, Any]:
        """The initial entropy."""
        return {"initial": self.initial}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.initial = state["initial"]


GTPO = GRPO.but(
    advantage=part(EntropyFiltered),
    weighting=part(conflict_weights),
    loss=part(unclipped),
    keeps_scale=True,
)
DIVIDED = {"divide_by_conflicts": True, "count_rule": "longer", "reduce": "sum"}
GTPO_RELEASE = GTPO.but(
    advantage=part(EntropyFiltered, threshold=0.7, initial_entropy=0.0),
    weighting=part(conflict_weights, overlap="product", **DIVIDED),
)
