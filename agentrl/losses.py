"""Losses that two or more algorithms share: each returns `[m]`, minimised, without weights."""

from __future__ import annotations

from typing import Literal

import torch

from agentrl.table import View


def pessimistic(view: View, ratio: torch.Tensor, clip_low: float, clip_high: float) -> torch.Tensor:
    """The clipped surrogate's worse side, and its clip fraction as a metric."""
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    plain, clipped = ratio * view.advantage, bounded * view.advantage
    view.log("clip_fraction", (clipped < plain).float())
    return -torch.minimum(plain, clipped)


def clipped(view: View, *, clip_low: float = 0.2, clip_high: float = 0.2) -> torch.Tensor:
    """PPO's clipped surrogate with one ratio per token.

    Formula: -min(rho A, clip(rho, 1-{clip_low}, 1+{clip_high}) A), rho = exp(logp - old)
    """
    return pessimistic(view, (view.logprobs - view.old).exp(), clip_low, clip_high)


def sequence_clipped(
    view: View,
    *,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
    level: Literal["sample", "trajectory", "turn"] = "sample",
) -> torch.Tensor:
    """One ratio per sequence, its tokens' geometric mean; each token carries its own gradient.

    Formula: -min(s A, clip(s, 1-{clip_low}, 1+{clip_high}) A), s = exp(mean_{level}(logp - old))
    """
    mean = view.mean((view.logprobs - view.old).detach(), over=level)
    ratio = mean.exp() * (view.logprobs - view.logprobs.detach()).exp()
    return pessimistic(view, ratio, clip_low, clip_high)


def reinforce(view: View) -> torch.Tensor:
    """The score-function estimator.

    Formula: -A logp
    """
    return -view.advantage * view.logprobs


def negative_log_likelihood(view: View) -> torch.Tensor:
    """Imitation: every sampled token is right.

    Formula: -logp
    """
    return -view.logprobs
