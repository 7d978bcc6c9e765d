"""Curricula: the pool opens with success, and proposals are new, checkable training tasks."""

import pytest
from bindings.choosing import pool
from builders import random_groups

from agentrl.curricula import DifficultyCurriculum, Proposing, difficulty
from agentrl.env import make
from agentrl.errors import DataError
from agentrl.types import Task


def numbers(choices):
    return {choice.task.data["number"] for choice in choices}


def graded(**options):
    return DifficultyCurriculum(pool(20), 0, key="number", **options)


def proposing(new_task, **options):
    """A sampler whose environment proposes what `new_task` says, and its pool."""
    tasks = make("agentrl/Echo-v0", words=2).tasks("train", 8, 0)
    sampler = Proposing(tasks, 0, arguments={"words": 2}, **options)
    sampler.env.new_task = new_task
    return sampler


def test_only_the_easiest_are_open_at_first():
    sampler = graded(start=0.25)
    drawn = set().union(*(numbers(sampler.choose(3, 2)) for _ in range(40)))
    assert drawn == set(range(5))
    (choice,) = sampler.choose(1, 2)
    assert choice.notes["difficulty"] == choice.task.data["number"]


def test_success_opens_more_and_failure_nothing():
    sampler = graded(start=0.25, grow=0.5, target=0.5)
    for rewards, share in ([[0, 0]], 0.25), ([[1, 0]], 0.75), ([[0, 0]], 0.75), ([[1, 1]], 1.0):
        sampler.observe(random_groups(rewards), None)
        assert sampler.share == share
    drawn = set().union(*(numbers(sampler.choose(10, 2)) for _ in range(20)))
    assert drawn == set(range(20))


def test_a_step_larger_than_the_share_opens_what_it_needs():
    assert numbers(graded(start=0.05).choose(7, 2)) == set(range(7))
    assert len(graded().choose(99, 2)) == 20


def test_a_task_without_the_key_is_refused():
    with pytest.raises(DataError, match=r"the task has no 'level': it holds number"):
        DifficultyCurriculum(pool(2), 0, key="level")


def test_a_grade_is_a_number_a_length_or_a_count():
    task = Task(env="test", data={"level": 3, "puzzle": "1..4.", "words": ["a", "b"]})
    assert [difficulty(task, key) for key in ("level", "puzzle", "words")] == [3, 5, 2]
    assert difficulty(task, "puzzle", symbol=".") == 3


def test_duplicates_are_refused():
    sampler = proposing(lambda rng: dict(sampler.pool[int(rng.integers(8))].data))
    assert not sampler.propose(4)
    free = make("agentrl/Echo-v0", words=2)
    sampler.env.new_task = free.new_task
    found = [task.id for _ in range(5) for task in sampler.propose(4)]
    assert len(set(found)) == len(found) > 0
    assert not set(found) & {task.id for task in sampler.pool}


def test_tasks_held_out_for_the_test_are_refused():
    held = make("agentrl/Echo-v0", words=2).tasks("test", 4, 0)
    sampler = proposing(lambda rng: dict(held[int(rng.integers(4))].data))
    assert not sampler.propose(4)
    choices = sampler.choose(4, 2)
    assert [choice.notes["proposed"] for choice in choices] == [0.0] * 4


def test_a_task_that_breaks_the_environment_is_refused():
    sampler = proposing(lambda rng: {"nothing": int(rng.integers(1000))})
    assert not sampler.propose(4)


def test_diverse_proposals_come_again_and_equal_ones_are_forgotten():
    sampler = proposing(make("agentrl/Echo-v0", words=2).new_task, fresh=0.5, again=0.5)
    first, second = (choice.task for choice in sampler.choose(4, 2) if choice.notes["proposed"])
    groups = random_groups([[1, 0], [1, 1]])
    for group, task in zip(groups, (first, second), strict=True):
        object.__setattr__(group, "task", task)
    sampler.observe(groups, None)
    assert sampler.earned == {first.id: pytest.approx(0.5)}
    tasks = [choice.task.id for choice in sampler.choose(4, 2)]
    assert first.id in tasks
    assert second.id not in tasks
