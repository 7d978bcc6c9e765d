"""What the environment's arguments may be, where names are chosen from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentrl.errors import ConfigError, DataError, suggestion

Source = Literal["generated", "official"]
Size = Literal["tiny", "small", "medium", "official"]
Test = Literal["valid_unseen", "valid_seen"]
Goals = Literal["template", "human"]
Texts = Literal["full", "short"]
CHOICES = {"source": Source, "size": Size, "test": Test, "goals": Goals, "texts": Texts}
PARTS = ("solved", "progress", "invalid")


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that an argument cannot have. Raises: ConfigError."""
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}; {suggestion(value, list(allowed))}")


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights of parts that are none, or no numbers. Raises: ConfigError."""
    for part, weight in weights.items():
        one_of("reward_weights", part, PARTS)
        if not math.isfinite(weight):
            raise ConfigError(f"reward_weights.{part}={weight!r}: give a finite number")


def household(data: Mapping[str, Any]) -> tuple[str, int, str]:
    """Task type, seed and size of a generated game, from a task's data. Raises: DataError."""
    if not {"task", "seed", "size"} <= data.keys() or not isinstance(data["seed"], int):
        raise DataError(f"{dict(data)!r} is no game: give its task, its seed and its size")
    return str(data["task"]), data["seed"], str(data["size"])
