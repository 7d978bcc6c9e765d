"""How the learning rate moves over a run."""

from __future__ import annotations

import math
from typing import Any


def lr_shape(schedule: str, warmup: int, horizon: int) -> Any:
    """The learning rate's factor at each optimiser step."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, horizon - warmup))
        return {
            "constant": 1.0,
            "linear": 1.0 - progress,
            "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        }[schedule]

    return factor
