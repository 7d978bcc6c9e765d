"""Rewards as named parts: shapes that two or more algorithms or configurations share.

Parts by name go in and come out; their sum is the last step, so that an advantage may still use the
vector. Scopes, in this order: one rollout, one group, the batch (in the papers' own files).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

from agentrl.types import Episode, Group

Parts = Mapping[str, float]

# One rollout


def weighted_sum(groups: Sequence[Group], *, weights: Mapping[str, float]) -> list[Group]:
    """The reward as a weighted sum of the parts that the environment named; absent parts are 0.

    Formula: r = sum of {weights} over the named parts
    """
    return with_rewards(groups, lambda episode: summed(episode.main.parts, weights))


def gated_sum(
    groups: Sequence[Group], *, weights: Mapping[str, float], gates: Mapping[str, str]
) -> list[Group]:
    """A weighted sum in which a part counts only as far as its gate, another part, holds.

    Formula: r = sum of {weights} over the parts, each times its gate in {gates}
    """
    return with_parts(groups, lambda episode: gated(episode.main.parts, gates), weights)


def staged_sum(
    groups: Sequence[Group],
    *,
    weights: Mapping[str, float],
    stages: tuple[str, ...],
    passing: float = 1.0,
) -> list[Group]:
    """A weighted sum in which a stage counts only when the stages before it are passed.

    Formula: r = sum of {weights} over the parts; one of {stages} is 0 while
    an earlier one is below {passing}
    """

    def change(episode: Episode) -> Parts:
        return staged(episode.main.parts, stages, passing)

    return with_parts(groups, change, weights)


def product(groups: Sequence[Group], *, factors: tuple[str, ...]) -> list[Group]:
    """The reward as a product of named parts: every one of them is necessary.

    Formula: r = product of the parts {factors}
    """

    def reward(episode: Episode) -> float:
        value = 1.0
        for name in factors:
            value *= episode.main.parts.get(name, 0.0)
        return value

    return with_rewards(groups, reward)


def gated(parts: Parts, gates: Mapping[str, str]) -> Parts:
    """The parts, each that has a gate times the part that is its gate."""
    return {
        name: value * parts.get(gates[name], 0.0) if name in gates else value
        for name, value in parts.items()
    }


def staged(parts: Parts, stages: Sequence[str], passing: float) -> Parts:
    """The parts, with every stage after the first one below `passing` set to 0."""
    reached = next((i for i, n in enumerate(stages) if parts.get(n, 0.0) < passing), len(stages))
    return {**parts, **dict.fromkeys(stages[reached + 1 :], 0.0)}


def scaled(parts: Parts, scales: Mapping[str, float]) -> Parts:
    """The parts in comparable units: each times its scale, 1 where none is given."""
    return {name: value * scales.get(name, 1.0) for name, value in parts.items()}


def summed(parts: Parts, weights: Mapping[str, float]) -> float:
    """The weighted sum of parts; absent ones are 0."""
    return float(sum(weight * parts.get(name, 0.0) for name, weight in weights.items()))


def rank_rewards(
    groups: Sequence[Group],
    *,
    hit: str = "hit",
    form: Literal["exp_inf", "log_decay"] = "exp_inf",
    ranks: int = 20,
) -> list[Group]:
    """Rewards by rank, as the parts `rank_1`, `rank_2`, ...; their sum is the attempt's.

    Hits are the part `hit` of every turn, or `hit_1`, `hit_2`, ... where the attempt names them.

    Formula: {form} of the first {ranks} hits h by {hit}; exp_inf: r_k = h_k, log_decay: r_k = sum
    over j >= k of h_j / log2(j + 1), j from 1
    """

    def change(episode: Episode) -> Parts:
        parts = episode.main.parts
        numbered = [parts.get(f"{hit}_{k}", 0.0) for k in range(1, ranks + 1)]
        turns = [*(turn.parts.get(hit, 0.0) for turn in episode.main.turns), *[0.0] * ranks]
        hits = numbered if f"{hit}_1" in parts else turns[:ranks]
        worth = [h / math.log2(j + 2) for j, h in enumerate(hits)]
        rewards = hits if form == "exp_inf" else [sum(worth[k:]) for k in range(len(hits))]
        return {**parts, **{f"rank_{k}": reward for k, reward in enumerate(rewards, 1)}}

    return with_parts(groups, change, {f"rank_{k}": 1.0 for k in range(1, ranks + 1)})


def soft_overlong(
    groups: Sequence[Group], *, max_length: int = 4096, cache: int = 1024
) -> list[Group]:
    """DAPO's soft length limit, added to the reward as the part `overlong`.

    Source: arXiv 2503.14476 (eq 13), lengths in sampled tokens.

    Formula: r + overlong(len), 0 up to {max_length} - {cache}, falling to -1 at {max_length}
    """
    points = [(max_length - cache, 0.0), (max_length, -1.0)]
    return with_part(groups, "overlong", lambda e: curve(e.main.num_tokens, points))


def successes(group: Group) -> list[float]:
    """1 for each live attempt that is right, else 0."""
    return [float(episode.main.success) for episode in group.live]


def holds(episode: Episode, name: str) -> bool:
    """Whether a named part is there and above 0."""
    return episode.main.parts.get(name, 0.0) > 0


def curve(value: float, points: Sequence[tuple[float, float]]) -> float:
    """Straight lines between `(value, height)` points in ascending order, level outside of them."""
    place = bisect_right([at for at, _ in points], value)
    if place in (0, len(points)):
        return float(points[min(place, len(points) - 1)][1])
    (left, low), (right, high) = points[place - 1 : place + 1]
    return low + (high - low) * (value - left) / (right - left)


def staircase(step: int, start: float, factor: float, every: int) -> float:
    """A schedule over `Group.step`: `start`, times `factor` after every `every` steps."""
    return float(start * factor ** (step // every))


# One group


def majority_vote(groups: Sequence[Group], *, plain: bool = False) -> list[Group]:
    """Agreement instead of a gold answer: 1 for the group's commonest answer, else 0.

    Attempts without an answer have no vote and earn 0.

    Formula: r = 1 if the answer is the majority's, else 0; plain text counts as an answer: {plain}
    """

    def rewards(group: Group) -> list[float]:
        answers = [vote(episode, plain=plain) for episode in group.live]
        winner = majority(answers)
        return [float(winner is not None and answer == winner) for answer in answers]

    return [pay(group, rewards(group)) for group in groups]


def vote(episode: Episode, *, plain: bool) -> str | None:
    """The canonical answer, None without one; `plain` then takes what was said last, stripped."""
    main = episode.main
    if main.answer is not None or not plain or not main.turns:
        return main.answer
    return main.turns[-1].completion.text.strip()


def majority(answers: Sequence[str | None]) -> str | None:
    """The commonest answer, the earliest of equally common ones; None where nobody answered."""
    counts = Counter(answer for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def decayed_successes(groups: Sequence[Group], *, decay: float = 0.5) -> list[Group]:
    """The k-th right attempt of a group, in the order of attempts, earns less than the one before.

    Formula: r = {decay}^(k-1) for the k-th right attempt, 0 for a wrong one
    """

    def rewards(group: Group) -> list[float]:
        right = successes(group)
        return [decay ** sum(right[:i]) if one else 0.0 for i, one in enumerate(right)]

    return [pay(group, rewards(group)) for group in groups]


def public_goods(groups: Sequence[Group], *, norm: str, multiplier: float) -> list[Group]:
    """Each group paid as one public goods game: a share of the pot, less what one gave.

    Formula: r = {multiplier} givers / G, less 1 for a giver, for whom {norm} holds
    """

    def rewards(group: Group) -> list[float]:
        gives = [float(holds(episode, norm)) for episode in group.live]
        pot = multiplier * sum(gives) / max(1, len(gives))
        return [pot - given for given in gives]

    return [pay(group, rewards(group)) for group in groups]


def win_rates(
    members: Sequence[Episode], verdict: Callable[[Episode, Episode], float]
) -> list[float]:
    """Each member's share of won comparisons, every pair compared once; 0 without any.

    `verdict(first, second)` is 1 when the first won, 0 when the second did.
    """
    won = [0.0] * len(members)
    for i, j in combinations(range(len(members)), 2):
        share = verdict(members[i], members[j])
        won[i], won[j] = won[i] + share, won[j] + 1 - share
    return [wins / max(1, len(members) - 1) for wins in won]


# Writing rewards


def with_rewards(groups: Sequence[Group], reward: Callable[[Episode], float]) -> list[Group]:
    """The groups with every episode's reward replaced."""
    return [
        replace(group, episodes=tuple(set_reward(e, reward(e)) for e in group.episodes))
        for group in groups
    ]


def with_parts(
    groups: Sequence[Group], change: Callable[[Episode], Parts], weights: Mapping[str, float]
) -> list[Group]:
    """The groups with every episode's parts replaced, and their weighted sum as its reward."""

    def changed(episode: Episode) -> Episode:
        parts = dict(change(episode))
        main = replace(episode.main, parts=parts, reward=summed(parts, weights))
        return replace(episode, trajectories=(main, *episode.trajectories[1:]))

    return [replace(group, episodes=tuple(map(changed, group.episodes))) for group in groups]


def with_part(groups: Sequence[Group], name: str, value: Callable[[Episode], float]) -> list[Group]:
    """The groups with a named part added to every episode's reward."""
    return [
        replace(group, episodes=tuple(add_part(e, name, value(e)) for e in group.episodes))
        for group in groups
    ]


def pay(group: Group, rewards: Sequence[float]) -> Group:
    """The group with the rewards of its live episodes replaced, in their order."""
    given = iter(rewards)
    return replace(
        group,
        episodes=tuple(
            e if e.main.status.failed else set_reward(e, next(given)) for e in group.episodes
        ),
    )


def set_reward(episode: Episode, reward: float) -> Episode:
    """The episode with another reward."""
    main = replace(episode.main, reward=reward)
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))


def add_part(episode: Episode, name: str, value: float) -> Episode:
    """The episode with a named part added to its reward."""
    main = episode.main
    main = replace(main, reward=main.reward + value, parts={**main.parts, name: value})
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))
