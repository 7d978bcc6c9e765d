"""Supervised warm start: imitate the environment's expert.

The rollout, the table and the learner are those of everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import Algorithm, part
from agentrl.errors import DataError
from agentrl.learner import Learner, Metrics
from agentrl.losses import negative_log_likelihood
from agentrl.table import build_table
from agentrl.types import Group
from agentrl.weightings import token_mean

IMITATION = Algorithm(
    advantage=part(group_advantage),  # unused: imitation has no reward
    weighting=part(token_mean),
    loss=part(negative_log_likelihood),
)


def warm_start(
    model: Any,
    demonstrations: Callable[[int], Sequence[Group]],
    seed: int,
    report: Callable[[int, Metrics], None],
    precision: Literal["no", "bf16"] = "no",
    *,
    episodes: int = 4096,
    steps: int = 600,
    batch: int = 32,
    lr: float = 3e-3,
    warmup_steps: int = 30,
    max_grad_norm: float = 1.0,
) -> None:
    """Train `model` for `steps` batches on `episodes` of the expert, with a linearly falling rate.

    `demonstrations(n)` plays n expert episodes; `report(step, metrics)` hears of every step.

    Formula: -logp of the expert's tokens, mean over tokens

    Raises:
        DataError: the expert finished no episode.
    """
    groups = living(demonstrations(episodes))
    learner = Learner(
        model,
        IMITATION,
        steps,
        lr=lr,
        warmup_steps=warmup_steps,
        schedule="linear",
        max_grad_norm=max_grad_norm,
        precision=precision,
    )
    rng = np.random.default_rng(seed)
    for step in range(steps):
        chosen = rng.integers(len(groups), size=batch)
        table = build_table([groups[i] for i in chosen])
        report(step, learner.step(learner.annotate(table)))


def living(groups: Sequence[Group]) -> list[Group]:
    """The demonstrations that did not fail. Raises: DataError, with the failure, if all did."""
    live = [group for group in groups if group.live]
    if not live:
        failed = groups[0].episodes[0].main
        raise DataError(
            f"all {len(groups)} expert episodes of the warm start failed ({failed.status.value}: "
            f"{failed.error}): mend the environment or its expert, or set warm_start: null"
        )
    return live
