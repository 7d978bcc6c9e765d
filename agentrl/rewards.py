"""Rewards as named parts: shapes that two or more algorithms or configurations share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agentrl.types import Episode, Group


def weighted_sum(groups: Sequence[Group], *, weights: Mapping[str, float]) -> list[Group]:
    """The reward as a weighted sum of the parts that the environment named; absent parts are 0.

    Formula: r = sum of {weights} over the named parts
    """

    def reward(episode: Episode) -> float:
        parts = episode.main.parts
        return float(sum(weight * parts.get(name, 0.0) for name, weight in weights.items()))

    return with_rewards(groups, reward)


def soft_overlong(
    groups: Sequence[Group], *, max_length: int = 4096, cache: int = 1024
) -> list[Group]:
    """DAPO's soft length limit, added to the reward as the part `overlong`.

    Source: arXiv 2503.14476 (eq 13), lengths in sampled tokens.

    Formula: r + overlong(len), 0 up to {max_length} - {cache}, falling to -1 at {max_length}
    """
    shaped = []
    for group in groups:
        penalties = [overlong(e.main.num_tokens, max_length, cache) for e in group.episodes]
        episodes = [
            add_part(e, "overlong", p) for e, p in zip(group.episodes, penalties, strict=True)
        ]
        shaped.append(replace(group, episodes=tuple(episodes)))
    return shaped


def overlong(length: int, max_length: int, cache: int) -> float:
    """0 up to `max_length - cache` tokens, then linear, -1 from `max_length` on."""
    return max(-1.0, min(0.0, (max_length - cache - length) / cache))


def mixed_outcomes(group: Group) -> bool:
    """DAPO's dynamic sampling: some attempts succeeded and some did not.

    Formula: 0 < successes < G
    """
    return len({episode.main.success for episode in group.live}) == 2


def with_rewards(groups: Sequence[Group], reward: Callable[[Episode], float]) -> list[Group]:
    """The groups with every episode's reward replaced."""
    return [
        replace(group, episodes=tuple(set_reward(e, reward(e)) for e in group.episodes))
        for group in groups
    ]


def set_reward(episode: Episode, reward: float) -> Episode:
    """The episode with another reward."""
    main = replace(episode.main, reward=reward)
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))


def add_part(episode: Episode, name: str, value: float) -> Episode:
    """The episode with a named part added to its reward."""
    main = episode.main
    main = replace(main, reward=main.reward + value, parts={**main.parts, name: value})
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))
