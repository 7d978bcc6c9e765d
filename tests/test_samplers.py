"""Samplers: nothing is left out, and a checkpoint knows where they stood."""

import json
from collections import Counter

import pytest
from hypothesis import given, strategies

from agentrl.errors import DataError
from agentrl.samplers import Shuffled
from agentrl.types import Task


def pool(size):
    return [Task(env="test", data={"number": number}) for number in range(size)]


@given(strategies.integers(1, 7), strategies.lists(strategies.integers(0, 9), max_size=6))
def test_every_epoch_holds_every_task_once(size, counts):
    sampler = Shuffled(pool(size), seed=0)
    drawn = [task.id for count in counts for task, _, _ in sampler.choose(count, 2)]
    assert len(drawn) == sum(counts)
    for start in range(0, len(drawn) - size + 1, size):
        assert Counter(drawn[start : start + size]) == Counter(task.id for task in pool(size))


def test_every_epoch_has_an_order_of_its_own():
    sampler = Shuffled(pool(50), seed=0)
    first, second = (sampler.choose(50, 2) for _ in range(2))
    assert first != second
    assert Shuffled(pool(50), seed=0).choose(50, 2) == first
    assert Shuffled(pool(50), seed=1).choose(50, 2) != first


def test_a_restored_sampler_goes_on_where_it_stood():
    sampler = Shuffled(pool(5), seed=3)
    sampler.choose(7, 2)
    state = json.loads(json.dumps(sampler.state_dict()))
    other = Shuffled(pool(5), seed=3)
    other.load_state_dict(state)
    assert other.choose(11, 2) == sampler.choose(11, 2)


def test_an_empty_pool_is_an_error_that_says_so():
    with pytest.raises(DataError, match="the task pool is empty: give the environment at least"):
        Shuffled([], seed=0)
