"""GRPO-Guard: re-centre ratios before clipping them; text analogue.

Source: arXiv 2510.22319 (diffusion; idea only, its formula is not used).
Tier: C.
Certainty: paper at abstract level; the form is ours.
Differs: the loss: the log-ratio minus its mean over the step's tokens at about the same place of a
trajectory, optionally at a target spread, then clipped as usual. `width` 0 is GRPO.
Assumes: several optimiser steps per batch, or off-policy rows: on policy all ratios are 1 and
nothing changes. Open: the bucket's width in tokens, the target spread.
Edges: a bucket of one token is left as it is, one without spread is only centred; all-equal
rewards, one attempt, empty turns and truncation are as in GRPO.
"""

import torch

from agentrl.algorithms.base import part, prepares
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import pessimistic
from agentrl.table import View


def bucket_statistics(
    view: View, *, width: int = 32, target: float | None = None, **clips: float
) -> dict[str, torch.Tensor]:
    """Columns `centre` and `stretch` of each row's bucket of log-ratios; 0 and 1 leave it alone."""
    table, ratio = view.table, (view.logprobs - view.old).double()
    if width <= 0:
        return {"centre": torch.zeros(len(ratio)), "stretch": torch.ones(len(ratio))}
    sizes = table.sizes("trajectory")
    first = (sizes.cumsum(0) - sizes)[table.trajectory]
    bucket = (torch.arange(len(ratio)) - first) // width
    count = torch.bincount(bucket)
    blank = torch.zeros(len(count), dtype=ratio.dtype)
    mean = torch.where(count > 1, blank.index_add(0, bucket, ratio) / count.clamp(min=1), 0.0)
    squares = blank.index_add(0, bucket, (ratio - mean[bucket]) ** 2)
    spread = (squares / (count - 1).clamp(min=1)).sqrt()
    wide = (count > 1) & (spread > 1e-6)
    stretch = torch.where(wide, (target or 1.0) / spread.clamp(min=1e-6), 1.0)
    stretch = torch.ones_like(stretch) if target is None else stretch
    return {"centre": mean[bucket].float(), "stretch": stretch[bucket].float()}


@prepares(bucket_statistics)
def guarded(
    view: View,
    *,
    width: int = 32,
    target: float | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> torch.Tensor:
    """PPO's clipped surrogate on log-ratios that are standardised by their place.

    Formula: -min(rho A, clip(rho, 1-{clip_low}, 1+{clip_high}) A), rho = exp(logp - old - mean over
    buckets of {width} tokens), spread {target} (None: as it is)
    """
    ratio = ((view.logprobs - view.old - view.centre) * view.stretch).exp()
    return pessimistic(view, ratio, clip_low, clip_high)


GRPO_GUARD = GRPO.but(loss=part(guarded))
