"""What the environment's arguments may be, where their types do not say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from agentrl.envs.textworld.answers import Answer
from agentrl.errors import ConfigError, suggestion

Show = Literal["objective", "said", "description", "inventory"]
Rewards = Literal["sparse", "dense", "points", "progress"]
Admissible = Literal["shown", "info", "none"]
Pay = Literal["turn", "end"]
Workers = Literal["processes", "threads"]
CHOICES = {
    "admissible": Admissible,
    "answer": Answer,
    "rewards": Rewards,
    "pay": Pay,
    "workers": Workers,
}
LEAST = {"num_workers": 1, "ahead": 0}
SECONDS = ("step_seconds", "make_seconds")


def check(given: Mapping[str, Any]) -> None:
    """Refuse values that cannot run. Raises: ConfigError."""
    for name, choice in CHOICES.items():
        all_known(name, (given[name],), get_args(choice))
    for name, least in LEAST.items():
        _at_least(name, given[name], least)
    for name in SECONDS:
        if not given[name] > 0:
            raise ConfigError(f"{name}={given[name]!r}: give more than 0 seconds", name)
    turns = given["max_turns"]
    for name, value in (turns if isinstance(turns, Mapping) else {"": turns}).items():
        _at_least(f"max_turns.{name}".rstrip("."), value, 1)
    for name, weight in (given["reward_weights"] or {}).items():
        if not math.isfinite(weight):
            raise ConfigError(f"reward_weights.{name}={weight!r}: give a finite number")
    if not 0 <= given["expert_noise"] <= 1:
        raise ConfigError(f"expert_noise={given['expert_noise']!r}: give a share from 0 to 1")


def check_source(given: Mapping[str, Any]) -> None:
    """Refuse levels and files together. Raises: ConfigError."""
    files = given["files"] is not None
    for name in ("levels", "test_levels"):
        if files and given[name] is not None:
            raise ConfigError(f"{name} and files exclude each other: give one of them", "files")
    if given["test_files"] is not None and not files:
        raise ConfigError("test_files needs files: name the training games there", "files")


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name}={value!r}: give at least {least}", name)


def all_known(name: str, values: Sequence[Any], known: tuple[str, ...]) -> tuple[Any, ...]:
    """Values that are all known. Raises: ConfigError, with the closest known one."""
    for value in values:
        if value not in known:
            raise ConfigError(f"{name}: unknown {value!r}; {suggestion(str(value), list(known))}")
    return tuple(values)
