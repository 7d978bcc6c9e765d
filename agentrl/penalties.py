"""Penalties: per-token terms added to the loss under the same weights."""

from __future__ import annotations

from typing import Literal

import torch

from agentrl.algorithms.base import Algorithm, Part, needs, prepares, refuses
from agentrl.segments import quantile_within, sorted_within
from agentrl.table import View

Estimator = Literal["k1", "k2", "k3"]


def k1(difference: torch.Tensor) -> torch.Tensor:
    """Unbiased, may be negative; as a loss it is no KL, for its mean gradient is 0."""
    return -difference


def k2(difference: torch.Tensor) -> torch.Tensor:
    """Half the square: a biased value with the gradient of the true KL on policy."""
    return difference**2 / 2


def k3(difference: torch.Tensor) -> torch.Tensor:
    """Unbiased and never negative."""
    return difference.exp() - difference - 1


ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}


@needs("ref")
def kl(view: View, *, coef: float = 0.0, estimator: Estimator = "k3") -> torch.Tensor:
    """Divergence from the reference policy, per token in nats, times `coef`.

    Source: Schulman, Approximating KL divergence (2020), with d = ref - logp:
    k1 = -d, k2 = d^2/2, k3 = e^d - d - 1.

    Formula: {coef} {estimator}(ref - logp)
    """
    values: torch.Tensor = ESTIMATORS[estimator](view.ref - view.logprobs)
    view.log("kl", values)
    return coef * values


def imitation(view: View, *, coef: float = 0.0, agent: str = "teacher") -> torch.Tensor:
    """Negative log-likelihood of the rows of one agent, times `coef`; 0 on all other rows.

    For texts that stand beside the attempts to be imitated, under an agent's name of their own.

    Formula: {coef} (-logp) on rows of the agent {agent}
    """
    names = view.table.names.get("agent", ())
    chosen = view.agent == (names.index(agent) if agent in names else -1)
    return torch.where(chosen, -coef * view.logprobs, 0.0)


def constraint_slope(
    view: View, *, beta: float = 1000.0, delta: float = 1e-4
) -> dict[str, torch.Tensor]:
    """Columns `violation` (the term's value) and `constraint` (its slope), equal in all rows."""
    divergence = (view.old - view.logprobs).double().mean() if len(view.rows) else torch.zeros(())
    excess = (divergence - delta).clamp(min=0)
    blank = torch.ones_like(view.logprobs)
    return {"violation": beta / 2 * excess**2 * blank, "constraint": beta * excess * blank}


def no_token_mean(record: Algorithm, own: Part) -> str | None:
    """Why the constraint needs weights of its own."""
    weighting = record.penalty_weighting or record.weighting
    if weighting.name == "token_mean":
        return None
    return "is of the mean over all tokens: set penalty_weighting to token_mean"


@prepares(constraint_slope)
@refuses(no_token_mean)
def kl_constraint(view: View, *, beta: float = 1000.0, delta: float = 1e-4) -> torch.Tensor:
    """Squared hinge on the step's mean divergence from the policy before it; weigh by token mean.

    Nothing below `delta` nats per token; above, the pull back grows with the excess.

    Formula: {beta}/2 max(0, mean(old - logp) - {delta})^2
    """
    pull = view.logprobs.detach() - view.logprobs
    return view.violation + view.constraint * pull


def band_limits(
    view: View,
    *,
    version: Literal["quantile", "otsu"] = "quantile",
    **coefficients: float,
) -> dict[str, torch.Tensor]:
    """Columns `low` and `high` of each trajectory's weighed tokens, and `tie`, its KL's factor.

    Tokens without weight have no limits and no tie.
    """
    sizes, trajectory = view.table.sizes("trajectory"), view.trajectory
    weighed = view.weight > 0
    forks = torch.bincount(trajectory[weighed], minlength=len(sizes))
    entropy = view.entropy.detach()[weighed]
    ordered = sorted_within(entropy, forks)
    high, tie = quantile_within(ordered, forks, 0.5), torch.ones(len(sizes))
    if version == "quantile":
        low = quantile_within(ordered, forks, 0.1)
    else:
        apart = (entropy - high.repeat_interleave(forks)).abs()
        spread = 1.4826 * quantile_within(sorted_within(apart, forks), forks, 0.5)
        low, tie = (high - spread.clamp(min=1e-6)).clamp(min=0), sizes / forks.clamp(min=1)
    blank = {"low": -torch.inf, "high": torch.inf, "tie": 0.0}
    limits = [v.to(view.logprobs).index_select(0, trajectory) for v in (low, high, tie)]
    return {
        name: torch.where(weighed, limit, value)
        for (name, value), limit in zip(blank.items(), limits, strict=True)
    }


def other_version(record: Algorithm, own: Part) -> str | None:
    """Why the band and the mask must be of one version."""
    mask = [p.settings["version"] for p in record.weighting.family() if p.name == "fork_tokens"]
    if mask == [own.settings["version"]]:
        return None
    return f"needs the weighting fork_tokens with version: {own.settings['version']}"


@needs("ref", "entropy")
@prepares(band_limits)
@refuses(other_version)
def entropy_band(
    view: View,
    *,
    version: Literal["quantile", "otsu"] = "quantile",
    band: float = 0.01,
    kl: float = 0.001,
) -> torch.Tensor:
    """Keeps the entropy of the weighed tokens inside a band, and these tokens near the reference.

    The band is [10% quantile, median] of a trajectory's weighed tokens, or [median - spread,
    median] with 1.4826 MAD; the KL is divided by the weighed tokens in both versions.

    Formula: {band} (max(0, low - H) + max(0, H - high)) + {kl} k3(ref - logp); band by {version}
    """
    hinge = (view.low - view.entropy).relu() + (view.entropy - view.high).relu()  # 0 at the edge
    view.log("entropy_band", hinge)
    return band * hinge + kl * view.tie * k3(view.ref - view.logprobs)
