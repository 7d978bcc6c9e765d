"""Budgets: how the attempts of a round are shared between tasks, given what a tracker knows.

A rule is `(tracker, tasks, total, low, high) -> attempts`, one number per task; `samplers.Budgeted`
is configured with one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from agentrl.algorithms.base import Algorithm, Part, refuses
from agentrl.trackers import Moments, Tracker
from agentrl.types import Task


def evenly(tracker: Tracker, tasks: Sequence[Task], total: int, low: int, high: int) -> list[int]:
    """The same number of attempts for every task.

    Formula: total / tasks
    """
    return [max(low, min(high, total // len(tasks)))] * len(tasks)


def greedily(gains: NDArray[np.float64], total: int, low: int) -> list[int]:
    """Attempts per task, `total` in all: each further one where it gains most, ties to the first.

    `gains[i, n]` is what one more attempt at task i is worth after `low + n`; a task has no room
    beyond its last column.
    """
    shares = np.zeros(len(gains), np.int64)
    for _ in range(min(total - low * len(gains), gains.size)):
        room = shares < gains.shape[1]
        following = gains[np.arange(len(gains)), np.minimum(shares, gains.shape[1] - 1)]
        shares[int(np.argmax(np.where(room, following, -np.inf)))] += 1
    return [low + int(share) for share in shares]


def utility(number: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected failures that have a success beside them, among `number` attempts."""
    return number * (1 - p) * (1 - (1 - p) ** (number - 1))


def by_utility(
    tracker: Tracker, tasks: Sequence[Task], total: int, low: int, high: int
) -> list[int]:
    """Each further attempt where the utility grows most.

    Formula: greedy on B (1-p) (1 - (1-p)^(B-1))
    """
    p = np.array([tracker.predict(task) for task in tasks])
    worth = utility(np.arange(low, high + 1)[None], p[:, None])
    return greedily(np.diff(worth, axis=1), total, low)


def mixed_value(number: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance of a mixed group of `number` attempts times its gain at success rate `p`."""
    return (1 - p**number - (1 - p) ** number) * p * (1 - p) ** 2


def knapsack(tracker: Tracker, tasks: Sequence[Task], total: int, low: int, high: int) -> list[int]:
    """The attempts with the largest summed value, exactly; ties take the fewest attempts.

    Formula: max of sum (1 - p^N - (1-p)^N) p (1-p)^2 with sum N <= budget
    """
    p = np.array([tracker.predict(task) for task in tasks])
    worth = mixed_value(np.arange(low, high + 1)[None], p[:, None])
    shares = low + largest_sum(worth, total - low * len(p))
    left = total - int(shares.sum())
    while left > 0 and (hopeless := np.flatnonzero((p == 0) & (shares < high))).size:
        shares[hopeless[:left]] += 1
        left -= min(left, hopeless.size)
    return [int(share) for share in shares]


def largest_sum(values: NDArray[np.float64], room: int) -> NDArray[np.int64]:
    """The columns, one per row and `room` in all, with the largest sum of `values [P, K]`."""
    kinds = values.shape[1]
    top = np.zeros(room + 1)
    picks = []
    for row in values:
        padded = np.concatenate([np.full(kinds - 1, -np.inf), top])
        before = np.lib.stride_tricks.sliding_window_view(padded, kinds)[:, ::-1]
        sums = before + row
        picks.append(sums.argmax(axis=1))
        top = sums.max(axis=1)
    columns = np.zeros(len(values), np.int64)
    for place in reversed(range(len(values))):
        columns[place] = picks[place][room]
        room -= int(columns[place])
    return columns


@lru_cache(maxsize=4096)
def student_quantile(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t; the normal one from 200 degrees of freedom on."""
    if freedom >= 200:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if student_mass(middle, freedom) < confidence else (low, middle)
    return high


def student_mass(t: float, freedom: int) -> float:
    """Probability of |T| <= t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def half_width(quantile: float, std: float, number: float) -> float:
    """Half the width of the confidence interval of a mean."""
    return quantile * std / math.sqrt(number)


def confidence_gain(
    std: float, number: int, quantile: float, following: float, bonus: float = 0.0, tried: float = 0
) -> float:
    """How much one more attempt narrows the interval at the same std, plus the bonus of rarity."""
    narrower = half_width(quantile, std, number) - half_width(following, std, number + 1)
    return narrower + bonus * math.sqrt(math.log(1 + tried) / number)


def needs_moments(record: Algorithm, found: Part) -> str | None:
    """Why a record cannot share attempts by confidence: its tracker keeps no spread."""
    tracker = record.sampler.inner["tracker"]
    knows = hasattr(tracker.function, "spread")
    return None if knows else f"needs the spread of rewards: take Moments, not {tracker.name}"


@refuses(needs_moments)
def by_confidence(
    tracker: Moments,
    tasks: Sequence[Task],
    total: int,
    low: int,
    high: int,
    *,
    confidence: float = 0.95,
    bonus: float = 0.1,
) -> list[int]:
    """More attempts where one more narrows the interval of the mean reward most.

    A task's number and std are those of all its visits, for a round is chosen at once.

    Formula: h(n) - h(n+1) + {bonus} sqrt(log(1+N)/n), h = t std/sqrt(n) at confidence {confidence}
    """
    numbers, spreads = zip(*(tracker.spread(task, 1) for task in tasks), strict=True)
    tried = sum(numbers)
    quantile = [student_quantile(confidence, f) for f in range(1, int(max(numbers)) + high + 1)]

    def gain(std: float, number: int) -> float:
        t = quantile[number - 2]
        return confidence_gain(std, number, t, quantile[number - 1], bonus, tried)

    known = [(std, max(2, int(number))) for number, std in zip(numbers, spreads, strict=True)]
    gains = [[gain(std, number + low + n) for n in range(high - low)] for std, number in known]
    return greedily(np.array(gains).reshape(len(tasks), -1), total, low)
