"""Evaluation: intervals that hold what they say, unbiased pass@k, and failures left out."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from builders import conversation, group
from hypothesis import given, strategies

from agentrl.evaluate import Evaluation, evaluate, paired_change, pass_at_k, wilson
from agentrl.played import describe
from agentrl.types import Status


def attempt(success, *, status=Status.COMPLETED, lengths=(2,)):
    return conversation(np.random.default_rng(0), lengths, success=success, status=status)


def evaluated(*groups, attempts=1):
    """What `evaluate` makes of groups that were played before."""
    tasks = [group.task for group in groups]
    return evaluate(lambda tasks, attempts: groups, tasks, attempts=attempts)


def seen(**successes):
    """An evaluation that is only its successes."""
    rest = {"skipped": 0, "pass_at": {}, "turns": 1.0, "tokens": 1.0, "seconds": 1.0}
    return Evaluation(successes=successes, **rest)


@pytest.mark.parametrize(
    ("share", "n", "interval"),
    [
        (0.0, 10, (0.0, 0.2775)),
        (0.5, 10, (0.2366, 0.7634)),
        (0.9, 100, (0.8256, 0.9448)),
        (1.0, 1, (0.2065, 1.0)),
        (0.0, 0, (0.0, 1.0)),
    ],
)
def test_wilson_against_known_intervals(share, n, interval):
    assert wilson(share, n) == pytest.approx(interval, abs=1e-4)


@given(strategies.integers(1, 300), strategies.floats(0, 1))
def test_wilson_is_an_interval_around_its_share(n, share):
    low, high = wilson(share, n)
    assert 0 <= low <= share <= high <= 1
    mirrored = wilson(1 - share, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_wilson_covers_the_truth_as_often_as_it_says():
    n, truth = 60, 0.3
    chance = [math.comb(n, k) * truth**k * (1 - truth) ** (n - k) for k in range(n + 1)]
    inside = [wilson(k / n, n)[0] <= truth <= wilson(k / n, n)[1] for k in range(n + 1)]
    assert sum(itertools.compress(chance, inside)) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_pass_at_k_against_brute_force(n):
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        draws = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
        expected = sum(any(draw) for draw in draws) / len(draws)
        assert pass_at_k(n, correct, k) == pytest.approx(expected)


def test_a_task_counts_once_however_many_attempts():
    first = group(attempt(True), attempt(False), number=0)
    result = evaluated(first, group(attempt(True), attempt(True), number=1), attempts=2)
    assert list(result.successes.values()) == [0.5, 1.0]
    assert (result.n, result.success) == (2, 0.75)
    assert result.interval == wilson(0.75, 2)
    assert result.pass_at == {1: 0.75, 2: 1.0}


def test_failed_attempts_are_skipped_and_counted():
    broken = attempt(True, status=Status.ENV_FAILED)
    halved = group(broken, attempt(False, lengths=(3, 3)), number=0)
    lost = group(broken, broken, number=1)
    result = evaluated(halved, lost, attempts=2)
    assert (result.n, result.skipped, result.success) == (1, 3, 0.0)
    assert (result.turns, result.tokens) == (2.0, 6.0)
    nothing = evaluated(lost)
    assert (nothing.n, nothing.success, nothing.interval) == (0, 0.0, (0.0, 1.0))


def test_a_truncated_attempt_counts_as_what_it_is():
    result = evaluated(group(attempt(False, status=Status.TURN_LIMIT)))
    assert (result.n, result.skipped, result.success) == (1, 0, 0.0)


def test_a_paired_change_compares_the_tasks_of_both():
    change = paired_change(seen(a=0.0, b=1.0, c=0.0), seen(b=1.0, c=1.0, d=1.0))
    assert (change["n"], change["mean"]) == (2, 0.5)
    half = 1.959963984540054 * math.sqrt(0.5 / 2)
    assert change["interval"] == pytest.approx([0.5 - half, 0.5 + half])
    same = paired_change(seen(a=1.0, b=0.0), seen(a=1.0, b=0.0))
    assert (same["mean"], same["interval"]) == (0.0, [0.0, 0.0])


def test_pairing_is_narrower_than_two_intervals():
    before = seen(**{f"t{i}": float(i < 50) for i in range(100)})
    after = seen(**{f"t{i}": float(i < 60) for i in range(100)})
    low, high = paired_change(before, after)["interval"]
    assert 0 < low < 0.1 < high
    assert before.interval[1] > after.interval[0]


def test_parts_are_means_over_attempts_and_a_missing_one_is_0():
    parted = [replace(attempt(True), parts=parts) for parts in ({"a": 1.0, "b": 3.0}, {"a": 0.5})]
    broken = replace(attempt(False, status=Status.ENV_FAILED), parts={"a": 9.0})
    found = evaluated(group(*parted, broken), attempts=3)
    assert found.as_dict()["parts"] == {"a": 0.75, "b": 1.5}


def test_parts_are_metrics_of_a_step():
    parted = [replace(attempt(True), parts=parts) for parts in ({"troubled": 1.0}, {})]
    assert describe([group(*parted)], 1.0)["part/troubled"] == 0.5
