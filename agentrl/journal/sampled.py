"""What a policy sampled in a group, and how old the weights were."""

from __future__ import annotations

from agentrl.types import Group, Trajectory, Turn


def oldest_of(group: Group, policy: str) -> int | None:
    """The oldest version of a policy that sampled a token to train on; None where there is none."""
    cast = [trajectory for episode in group.episodes for trajectory in episode.trajectories]
    return min(
        (oldest(t) for trajectory in cast for t in said_by(trajectory, policy)), default=None
    )


def said_by(trajectory: Trajectory, policy: str) -> list[Turn]:
    """The turns to train on that a policy sampled."""
    return [turn for turn in trajectory.turns if turn.trained and turn.completion.policy == policy]


def oldest(turn: Turn) -> int:
    """The oldest version that sampled a token of a turn."""
    versions = turn.completion.versions
    found = [turn.completion.version] if versions is None else versions.tolist()
    return min(found, default=turn.completion.version)
