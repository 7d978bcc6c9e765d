"""References: how the model that penalties compare with moves. Empty slot: it never does."""

from __future__ import annotations

from typing import Any

import torch


@torch.no_grad()
def moving_average(
    reference: Any, policy: Any, step: int, *, keep: float = 0.995, every: int = 10
) -> None:
    """Every `every` optimiser steps the reference takes a share of the policy.

    Formula: every {every} steps ref <- {keep} ref + (1 - {keep}) policy
    """
    if step % every:
        return
    for mine, theirs in zip(reference.parameters(), policy.parameters(), strict=True):
        mine.mul_(keep).add_(theirs, alpha=1 - keep)
