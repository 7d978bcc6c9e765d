"""Losses that algorithms share or exchange by name: each `[m]`, minimised, without weights."""

from __future__ import annotations

import math
from typing import Literal

import torch

from agentrl.algorithms.base import (
    Algorithm,
    Part,
    declare,
    every_group,
    on_policy,
    prepares,
    refuses,
)
from agentrl.table import View, per_trajectory

Bound = float | torch.Tensor
"""How far a ratio may go: one number, or one per token `[m]`."""


def pessimistic(view: View, ratio: torch.Tensor, clip_low: Bound, clip_high: Bound) -> torch.Tensor:
    """The clipped surrogate's worse side, and its clip fraction as a metric."""
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)  # type: ignore[arg-type] # both, or neither
    plain, clipped = ratio * view.advantage, bounded * view.advantage
    view.log("clip_fraction", (clipped < plain).float())
    return -torch.minimum(plain, clipped)


def clipped(view: View, *, clip_low: float = 0.2, clip_high: float = 0.2) -> torch.Tensor:
    """PPO's clipped surrogate with one ratio per token.

    Formula: -min(rho A, clip(rho, 1-{clip_low}, 1+{clip_high}) A), rho = exp(logp - old)
    """
    return pessimistic(view, (view.logprobs - view.old).exp(), clip_low, clip_high)


def behaviour_clipped(view: View, *, clip_low: float = 0.2, clip_high: float = 0.2) -> torch.Tensor:
    """PPO's clipped surrogate with whoever sampled the tokens in the ratio's denominator.

    Formula: -min(rho A, clip(rho, 1-{clip_low}, 1+{clip_high}) A), rho = exp(logp - behaviour)
    """
    return pessimistic(view, (view.logprobs - view.behaviour).exp(), clip_low, clip_high)


def counts_by_length(record: Algorithm, piece: Part) -> str | None:
    """Why a sequence's one ratio cannot be summed over its tokens by some weightings."""
    by_length = {"token_mean", "seq_mean_token_sum", "constant_length"}
    found = [w.name for w in record.weighting.family() if w.name in by_length]
    if not found:
        return None
    return (
        f"gives all tokens of a sequence one ratio, and {found[0]} would count it once per token, "
        "so that long answers weigh more: set algorithm.weighting to seq_mean_token_mean"
    )


@refuses(counts_by_length)
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
    return pessimistic(view, sequence_ratio(view, level), clip_low, clip_high)


def sequence_ratio(view: View, level: str = "sample") -> torch.Tensor:
    """The geometric mean of a sequence's token ratios `[m]`; each token has its own gradient."""
    mean = view.mean((view.logprobs - view.old).detach(), over=level)
    return mean.exp() * (view.logprobs - view.logprobs.detach()).exp()


def trajectory_surrogate(
    view: View, *, clip_low: float = 0.2, clip_high: float = 0.2
) -> dict[str, torch.Tensor]:
    """Each token's share of its trajectory's clipped surrogate, and the slope by its log-prob."""
    ratio = view.sum(view.logprobs - view.old, over="trajectory").clamp(max=20.0).exp()
    worse = pessimistic(view, ratio, clip_low, clip_high)
    slope = torch.where(worse == -ratio * view.advantage, worse, 0.0)
    return {"share": worse / view.sum(torch.ones_like(ratio), over="trajectory"), "slope": slope}


@prepares(trajectory_surrogate)
def trajectory_clipped(
    view: View, *, clip_low: float = 0.2, clip_high: float = 0.2
) -> torch.Tensor:
    """One ratio per trajectory: the product over all its tokens, however many samples they fill.

    Formula: -min(R A, clip(R, 1-{clip_low}, 1+{clip_high}) A), R = exp(sum of logp - old)
    """
    return view.share + view.slope * (view.logprobs - view.logprobs.detach())


@declare(reads=("width",))
def elastic_clipped(view: View) -> torch.Tensor:
    """PPO's clipped surrogate with each token's own clip, the column `width`, above and below.

    Formula: -min(rho A, clip(rho, 1-width, 1+width) A), rho = exp(logp - old)
    """
    return pessimistic(view, (view.logprobs - view.old).exp(), view.width, view.width)


@on_policy
def reinforce(view: View) -> torch.Tensor:
    """The score-function estimator.

    Formula: -A logp
    """
    return -view.advantage * view.logprobs


@on_policy
def unclipped(view: View) -> torch.Tensor:
    """The surrogate at the ratio 1 of the policy with itself.

    Formula: -rho A, rho = exp(logp - sg(logp))
    """
    return -(view.logprobs - view.logprobs.detach()).exp() * view.advantage


def negative_log_likelihood(view: View) -> torch.Tensor:
    """Imitation: every sampled token is right.

    Formula: -logp
    """
    return -view.logprobs


def off_policy_gamma(
    view: View,
    *,
    gamma: float | Literal["quantile"] = "quantile",
    level: float = 0.9,
    least: float = 1e-4,
    **others: float,
) -> dict[str, torch.Tensor]:
    """The column `gamma`: the constant, or a quantile of the step's off-policy ratios."""
    ratios = (view.logprobs - view.old).exp()[view.off_policy > 0]
    if gamma != "quantile":
        value = torch.tensor(gamma)
    elif len(ratios) == 0:
        value = torch.ones(())
    else:
        value = torch.quantile(ratios.double(), level).clamp(min=least)
    return {"gamma": value.to(view.logprobs.dtype).expand(len(view.rows)).clone()}


@prepares(off_policy_gamma)
def shaped_off_policy(
    view: View,
    *,
    gamma: float | Literal["quantile"] = "quantile",
    level: float = 0.9,
    least: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> torch.Tensor:
    """Off-policy rows have a saturating ratio and no clip; the others PPO's clipped surrogate.

    The slope gamma/(rho + gamma)^2 is largest where the policy would hardly say what the sampler
    said. `old` of an off-policy row is its sampler's log-prob.

    Formula: -A rho/(rho + g) off policy, g = {gamma}; the quantile is the {level} one of the
    step's off-policy ratios, at least {least}; on policy clipped at 1-{clip_low}, 1+{clip_high}
    """
    ratio = (view.logprobs - view.old).exp()
    shaped = -view.advantage * ratio / (ratio + view.gamma)
    return torch.where(view.off_policy > 0, shaped, pessimistic(view, ratio, clip_low, clip_high))


def answer_scores(view: View, kind: Literal["log", "ratio"]) -> torch.Tensor:
    """Each trajectory's score `[trajectories]`: the mean of its log-probs, or of its ratios."""
    ratio = (view.logprobs - view.old).exp()
    return trajectory_means(view, view.logprobs if kind == "log" else ratio)


def trajectory_means(view: View, values: torch.Tensor) -> torch.Tensor:
    """Mean of `values [M]` in each trajectory, without gradient; 0 where it has no rows."""
    sizes = view.table.sizes("trajectory")
    values = values.detach().double()
    total = torch.zeros(len(sizes), dtype=values.dtype).index_add(0, view.trajectory, values)
    return total / sizes.clamp(min=1)


def group_logsumexp(values: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    """Logarithm of the summed exp of `values [N]` in each group given by `index [N]`."""
    top = torch.full((count,), -torch.inf, dtype=values.dtype)
    top = top.scatter_reduce(0, index, values, "amax").clamp(min=torch.finfo(values.dtype).min)
    odds = (values - top[index]).exp()
    return top + torch.zeros_like(top).index_add(0, index, odds).log()


def discrimination(
    view: View,
    *,
    kind: Literal["log", "ratio"] = "log",
    tau: float = 10.0,
    variant: Literal["disco", "disco_b"] = "disco",
    lam: float | None = None,
    max_length: float = 1.0,
) -> dict[str, torch.Tensor]:
    """The column `discrimination`: the objective's slope by the score of each row's answer, x N."""
    table, scores = view.table, answer_scores(view, kind)
    count, credit = len(scores), trajectory_means(view, view.advantage)
    bonus = (1 - table.sizes("trajectory") / max_length) / lam if lam else torch.zeros(count)
    bonus = bonus.double()
    of, groups = table.owner["episode"][table.owner["trajectory"]], table.num_groups
    right, wrong = credit > 0, credit < 0
    both = (torch.bincount(of[right], minlength=groups) > 0)[of]
    both &= (torch.bincount(of[wrong], minlength=groups) > 0)[of]
    right, wrong = (flags.logical_and(both).nonzero()[:, 0] for flags in (right, wrong))
    heat = tau if variant == "disco" else math.inf
    likes = torch.exp(bonus[right] - group_logsumexp(bonus[right], of[right], groups)[of[right]])
    level = group_logsumexp(scores[wrong] / heat, of[wrong], groups)
    dislikes = torch.exp(scores[wrong] / heat - level[of[wrong]])
    slopes = torch.zeros_like(scores).index_add(0, right, likes).index_add(0, wrong, -dislikes)
    value = float((slopes[right] * scores[right]).sum())
    if variant == "disco":
        number = torch.bincount(of[wrong], minlength=groups)
        value -= tau * float((level - number.log())[number > 0].sum())
    else:
        value -= float((dislikes * scores[wrong]).sum())
    shared = max(1, table.num_groups)
    view.log("objective", torch.full_like(view.logprobs, value / shared))
    return {"discrimination": per_trajectory(table, slopes * count / shared)}


def inexact(record: Algorithm, own: Part) -> str | None:
    """Why a loss over whole answers needs the mean over answers of token means."""
    names = [weighting.name for weighting in record.weighting.family()]
    return None if "seq_mean_token_mean" in names else "is exact under seq_mean_token_mean only"


@every_group
@prepares(discrimination)
@refuses(inexact)
def discriminative(
    view: View,
    *,
    kind: Literal["log", "ratio"] = "log",
    tau: float = 10.0,
    variant: Literal["disco", "disco_b"] = "disco",
    lam: float | None = None,
    max_length: float = 1.0,
) -> torch.Tensor:
    """Scores of right answers above those of wrong ones, task by task; the gradient is exact.

    Right answers are rows of positive advantage, wrong ones of negative; a task without both adds
    nothing and counts. `lam` weighs right answers by exp((1 - len/max_length)/lam). Weigh by
    `seq_mean_token_mean`.

    Formula: -(mean of s over right answers - {tau} log mean exp(s/{tau}) over wrong ones), s = mean
    {kind}; {variant} (disco_b: the plain mean); length preference {lam} up to {max_length} tokens
    """
    score = view.logprobs if kind == "log" else (view.logprobs - view.old).exp()
    return -view.discrimination * score
