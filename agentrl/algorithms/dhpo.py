"""DHPO: token ratios and sequence ratios, each clipped to its own region, then mixed.

Source: arXiv 2601.05607 (the mixture); clip ranges, entropy weight and pessimism are open.
Tier: B.
Certainty: paper and second-hand for the mixture; the rest ours.
Differs: the loss: `dhpo` mixes half and half, `dhpo_entropy` trusts the token ratio where the
policy is undecided, alpha = H / (largest H of the step), without gradient.
Assumes: open parameters are the clip ranges (GRPO's for tokens, GSPO's for sequences here), alpha,
and `pessimism`: the clipped mixture alone, or the worse side inside each branch.
Edges: one token has one ratio; a step without entropy mixes like sequences; all-equal rewards, one
attempt, empty turns and truncation are as in GRPO.
"""

from typing import Literal

import torch

from agentrl.algorithms.base import needs, part, prepares
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import pessimistic, sequence_ratio
from agentrl.table import View

Pessimism = Literal["none", "branch"]


def clipped_branch(view: View, ratio: torch.Tensor, clip: list[float], rule: str) -> torch.Tensor:
    """One ratio's loss: its clipped value, or the worse of that and the plain one."""
    if rule == "branch":
        return pessimistic(view, ratio, *clip)
    return -ratio.clamp(1 - clip[0], 1 + clip[1]) * view.advantage


def mixture(view: View, alpha: float | torch.Tensor, clips: list[float], rule: str) -> torch.Tensor:
    """The token's loss and its sample's, `alpha` of the first."""
    token = clipped_branch(view, (view.logprobs - view.old).exp(), clips[:2], rule)
    sequence = clipped_branch(view, sequence_ratio(view), clips[2:], rule)
    return alpha * token + (1 - alpha) * sequence


def mixed(
    view: View,
    *,
    alpha: float = 0.5,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    seq_low: float = 3e-4,
    seq_high: float = 4e-4,
    pessimism: Pessimism = "none",
) -> torch.Tensor:
    """A mixture of two clipped surrogates: the token's ratio and its sample's geometric mean.

    Formula: -(a clip(w, 1-{clip_low}, 1+{clip_high}) + (1-a) clip(s, 1-{seq_low}, 1+{seq_high})) A,
    a = {alpha}, s = exp(mean log w); minimum with the plain ratio: {pessimism}
    """
    return mixture(view, alpha, [clip_low, clip_high, seq_low, seq_high], pessimism)


def undecided(view: View, **settings: float | str) -> dict[str, torch.Tensor]:
    """The column `alpha`: each token's entropy as a share of the step's largest."""
    return {"alpha": view.entropy / view.entropy.max().clamp(min=1e-12)}


@needs("entropy")
@prepares(undecided)
def entropy_mixed(view: View, *, pessimism: Pessimism = "none") -> torch.Tensor:
    """The mixture under its default clips, with the token's share given by its entropy.

    Formula: -(a clip(w) + (1-a) clip(s)) A, a = H / max H; minimum with the plain ratio:
    {pessimism}
    """
    return mixture(view, view.alpha, [0.2, 0.2, 3e-4, 4e-4], pessimism)


DHPO = GRPO.but(loss=part(mixed))

DHPO_ENTROPY = GRPO.but(loss=part(entropy_mixed))
