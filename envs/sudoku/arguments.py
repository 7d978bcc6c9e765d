"""Checks of the constructor's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrl.envs.sudoku.puzzle import SIZES
from agentrl.errors import ConfigError, suggestion
from agentrl.spaces import weighted_range

PARTS = ("solved", "cells", "order", "format")
PAPER = {"reward_weights": {"cells": 0.75, "order": 0.25}}
SLOW = {"check": "solution", "placements_per_turn": 2, "prompt": "short"}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "4x4": {},
    "4x4 solution": SLOW,
    "6x6": {"size": 6, **PAPER},
    "9x9": {"size": 9, "blanks": 20, "show_board": False},
}
"""What is checked of the environment. Not `marks`, in which easy puzzles can be copied down."""


def whole(name: str, value: int, least: int, most: int | None = None, why: str = "") -> int:
    """A whole number within bounds. Raises: ConfigError, naming the argument and the fix."""
    if not isinstance(value, int) or value < least or (most is not None and value > most):
        limit = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name}={value!r}: give a whole number {limit}{why}")
    return value


def one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    """One of the known values. Raises: ConfigError, with the closest known one."""
    if value not in known:
        raise ConfigError(f"{name}: unknown value {value!r}; {suggestion(str(value), list(known))}")
    return value


def board_size(size: int | None, held: int | None, csv: str | None) -> int:
    """Rows of the board, which a file holds or the argument says. Raises: ConfigError."""
    if size not in (None, *SIZES.values()):
        raise ConfigError(f"size={size!r}: choose 4, 6 or 9")
    if size and held and size != held:
        raise ConfigError(f"size={size}: the boards of csv={csv!r} have {held}; use that")
    return held or size or 4


def reward_range(weights: Mapping[str, float]) -> tuple[float, float]:
    """Least and greatest reward of an episode. Raises: ConfigError for a part that is none."""
    for part in weights:
        one_of("reward_weights", part, PARTS)
    signs = {"format": -1.0}
    return weighted_range({name: signs.get(name, 1.0) * w for name, w in weights.items()}, PARTS)
