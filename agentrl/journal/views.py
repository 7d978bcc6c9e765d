"""A group as one policy's trainer sees it: what it trains, and the main agent for context."""

from __future__ import annotations

from dataclasses import replace

from agentrl.types import Episode, Group, Parent, Trajectory, Turn


def oldest_of(group: Group, policy: str) -> int | None:
    """The oldest version of a policy that sampled a token to train on; None where there is none."""
    cast = [trajectory for episode in group.episodes for trajectory in episode.trajectories]
    return min((oldest(t) for trajectory in cast for t in own(trajectory, policy)), default=None)


def own(trajectory: Trajectory, policy: str) -> list[Turn]:
    """The turns to train on that a policy sampled."""
    return [turn for turn in trajectory.turns if turn.trained and turn.completion.policy == policy]


def oldest(turn: Turn) -> int:
    """The oldest version that sampled a token of a turn."""
    versions = turn.completion.versions
    found = [turn.completion.version] if versions is None else versions.tolist()
    return min(found, default=turn.completion.version)


def seen_by(group: Group, policy: str) -> Group:
    """The group with each episode's main trajectory and the policy's, which alone is trained."""
    return replace(group, episodes=tuple(seen(episode, policy) for episode in group.episodes))


def seen(episode: Episode, policy: str) -> Episode:
    """An episode of the main trajectory and the policy's, whose parents are counted anew."""
    cast = episode.trajectories
    kept = [n for n, t in enumerate(cast) if n == 0 or own(t, policy)]
    places = {number: place for place, number in enumerate(kept)}
    shown = []
    for number in kept:
        parent, one = kept_parent(cast, number, places), only_of(cast[number], policy)
        shown.append(one if parent == one.parent else replace(one, parent=parent))
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


def only_of(trajectory: Trajectory, policy: str) -> Trajectory:
    """A trajectory in which the turns of others are mere context."""
    mine = {id(turn) for turn in own(trajectory, policy)}
    turns = tuple(t if id(t) in mine else replace(t, trained=False) for t in trajectory.turns)
    return replace(trajectory, turns=turns)
