"""Penalties: per-token terms added to the loss under the same weights."""

from __future__ import annotations

from typing import Literal

import torch

from agentrl.algorithms.base import needs
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
