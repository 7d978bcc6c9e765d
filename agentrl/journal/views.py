"""A group as one agent's trainer sees it: what it trains, and the main agent for context."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from agentrl.errors import DataError
from agentrl.types import Episode, Group, Parent, Trajectory, Turn


class Sampled(NamedTuple):
    """Who sampled an agent's turns in a group."""

    policy: str
    version: int
    """The oldest of any token."""


def trained_by(group: Group, agent: str) -> Sampled | None:
    """Who sampled what an agent is trained on in a group; None where there is nothing.

    Raises:
        DataError: several policies did: an agent has one trainer.
    """
    cast = [t for episode in group.episodes for t in episode.trajectories if t.agent == agent]
    turns = [turn for trajectory in cast for turn in trajectory.turns if turn.trained]
    names = sorted({turn.completion.policy for turn in turns})
    if len(names) > 1:
        raise DataError(f"the policies {', '.join(names)} play {agent!r}: an agent has one trainer")
    return Sampled(names[0], min(map(oldest, turns))) if names else None


def oldest(turn: Turn) -> int:
    """The oldest version that sampled a token of a turn."""
    versions = turn.completion.versions
    found = [turn.completion.version] if versions is None else versions.tolist()
    return min(found, default=turn.completion.version)


def seen_by(group: Group, agent: str) -> Group:
    """The group with each episode's main trajectory and the agent's; only its turns are trained."""
    return replace(group, episodes=tuple(seen(episode, agent) for episode in group.episodes))


def seen(episode: Episode, agent: str) -> Episode:
    """An episode of the main trajectory and the agent's, whose parents are counted anew."""
    cast = episode.trajectories
    kept = [n for n, t in enumerate(cast) if n == 0 or t.agent == agent]
    places = {number: place for place, number in enumerate(kept)}
    shown = []
    for number in kept:
        parent = kept_parent(cast, number, places)
        own = cast[number] if cast[number].agent == agent else untrained(cast[number])
        shown.append(own if parent == own.parent else replace(own, parent=parent))
    return replace(episode, trajectories=tuple(shown))


def kept_parent(cast: tuple[Trajectory, ...], number: int, places: dict[int, int]) -> Parent | None:
    """Who called a trajectory, by its place among the kept ones.

    Where that was another agent's, it is the call of a kept one that led there.
    """
    parent, steps = cast[number].parent, 0
    while parent is not None and parent.trajectory not in places and steps < len(cast):
        above = cast[parent.trajectory].parent if parent.trajectory < len(cast) else None
        parent, steps = above, steps + 1
    if parent is None or parent.trajectory not in places:
        return None
    return parent._replace(trajectory=places[parent.trajectory])


def untrained(trajectory: Trajectory) -> Trajectory:
    """A trajectory as mere context."""
    turns = tuple(replace(turn, trained=False) for turn in trajectory.turns)
    return replace(trajectory, turns=turns)
