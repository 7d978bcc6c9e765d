"""Bootstrapped mixed rewards: success plus the order of actions, put on one scale at the start.

Source: arXiv 2512.04277.
Tier: B.
Certainty: paper (mixture, scaling, recipe); second-hand (0.75 : 0.25); reconstructed (order score).
Differs: the reward. Parts are scaled so that the first policy's attempts earn as much of each, then
mixed; the scales are set once and stay. Open and ours: which part is the anchor (the first one
weighted), mean or std as the magnitude, pairwise agreement as the order score.
Assumes: the run starts from an imitating policy, and the environment names the parts: Sudoku's
`cells` (share of right cells) and `order` (agreement with a solver's order).
Edges: a part that nobody earned is measured as `floor`, or, if it is the anchor, all scales are 1,
each with a warning; all equal or one attempt gives zero; truncated: its parts count as they stand.
"""

import warnings
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any, Literal

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.rewards import Parts, scaled, with_parts
from agentrl.types import Group


class CalibratedMixture:
    """A weighted sum of parts in units of what the first groups earned of each.

    Formula: r = sum of {weights} over scale x part; scale = {magnitude} of the first values of
    {anchor} (None: the first weighted) over the part's own, at least {floor}; or {scales}
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        scales: Mapping[str, float] | None = None,
        anchor: str | None = None,
        magnitude: Literal["mean", "std"] = "mean",
        floor: float = 1e-8,
    ) -> None:
        self.weights = weights
        self.scales = None if scales is None else dict(scales)
        self.anchor = next(iter(weights)) if anchor is None else anchor
        self.magnitude = magnitude
        self.floor = floor

    def __call__(self, groups: Sequence[Group]) -> list[Group]:
        """Scale and mix; the first live attempts fix the scales."""
        if self.scales is None and (live := [e.main.parts for g in groups for e in g.live]):
            self.scales = self.calibrate(live)
        scales = self.scales or {}
        return with_parts(groups, lambda e: scaled(e.main.parts, scales), self.weights)

    def calibrate(self, attempts: Sequence[Parts]) -> dict[str, float]:
        """The scale of each weighted part that makes it as large as the anchor."""
        names = dict.fromkeys([self.anchor, *self.weights])
        values = {name: [abs(parts.get(name, 0.0)) for parts in attempts] for name in names}
        measure = pstdev if self.magnitude == "std" else fmean
        sizes = {name: measure(of) for name, of in values.items()}
        if small := [name for name, size in sizes.items() if size < self.floor]:
            warnings.warn(f"the first attempts earned no {', '.join(small)}", stacklevel=3)
        if self.anchor in small:
            return dict.fromkeys(names, 1.0)
        return {name: sizes[self.anchor] / max(size, self.floor) for name, size in sizes.items()}

    def state_dict(self) -> dict[str, Any]:
        """The scales, once they are fixed."""
        return {"scales": self.scales}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the same scales."""
        self.scales = state["scales"]


MIXED_REWARD_BOOTSTRAP = GRPO.but(
    shape=part(CalibratedMixture, weights={"cells": 0.75, "order": 0.25})
)
