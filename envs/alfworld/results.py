"""What names a played game, what a result says of each, and what one can earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.types import Group


def games(groups: Sequence[Group]) -> dict[str, float]:
    """Game -> share of its attempts that succeeded; attempts that broke do not count."""
    return {
        game_id(group.task.data): sum(e.main.success for e in group.live) / len(group.live)
        for group in groups
        if group.live
    }


def game_id(data: Mapping[str, Any]) -> str:
    """What names a game: its folder in the official data, or what generates it."""
    if "game" in data:
        return str(data["game"])
    return f"{data['task']}/{data['size']}/{data['seed']}"


def task_type(data: Mapping[str, Any]) -> str:
    """The task type, with which the official folders' names begin."""
    if "game" in data:
        return str(data["game"]).split("/")[1].split("-")[0]
    return str(data["task"])


def reward_range(weights: Mapping[str, float]) -> tuple[float, float]:
    """The least and the greatest reward of an episode; the part `invalid` is never positive."""
    ends = [sorted((0.0, -w if name == "invalid" else w)) for name, w in weights.items()]
    return sum(low for low, _ in ends), sum(high for _, high in ends)
