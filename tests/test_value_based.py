"""Value-based refills: a step plays again what is worth it, and nothing else changes."""

from dataclasses import replace

import pytest
from bindings.choosing import pool
from builders import random_groups, table_of

from agentrl.algorithms.vspo import VSPO
from agentrl.keeps import rewards_of, sample_value

OUTCOMES = {0: [1, 0, 0, 0], 1: [1, 1, 1, 1], 2: [1, 1, 1, 0], 3: [0, 0, 0, 0]}


def played(choices, step=0, outcomes=OUTCOMES):
    """Groups of the choices; what a task earns is fixed by its number."""
    rewards = [outcomes.get(choice.task.data["number"], [0, 0]) for choice in choices]
    made = zip(random_groups(rewards), choices, strict=True)
    return [replace(g, task=c.task, step=step, notes=c.notes) for g, c in made]


def started(size=4, count=4):
    """A sampler that has played its first step, and the groups of it."""
    sampler = VSPO.sampler.started(pool(size), 0).live
    groups = played(sampler.choose(count, 4))
    sampler.observe(groups, None)
    return sampler, groups


def test_a_refill_plays_what_has_value_again():
    sampler, _ = started()
    choices = sampler.choose(2, 4)
    assert {choice.task.data["number"] for choice in choices} == {0, 2}
    assert {choice.notes["repeat"] for choice in choices} == {1}


def test_more_value_is_drawn_more_often():
    sampler, _ = started()
    drawn = [sampler.choose(1, 4)[0].task.data["number"] for _ in range(200)]
    assert set(drawn) == {0, 2}
    assert drawn.count(0) > 2 * drawn.count(2) > 0, "values 3:1"


def test_a_value_is_what_the_filter_computes():
    sampler, groups = started()
    for group in groups:
        value = sample_value(rewards_of(group))
        assert sampler.worth(group.task) == pytest.approx(value)
        assert VSPO.keep(group) == (sampler.worth(group.task) > 0)


def test_the_decay_reads_the_repeat_of_a_refill():
    sampler, first = started()
    second = played(sampler.choose(2, 4))
    record = VSPO.but(advantage=VSPO.advantage.but(decay=0.5))
    for group in second:
        (before,) = (one for one in first if one.task == group.task)
        same = replace(group, episodes=before.episodes)
        full, less = (record.credit(table_of([g]), [g]).advantage for g in (before, same))
        assert less.tolist() == pytest.approx((full / 2).tolist())
        assert full.abs().sum() > 0


def test_a_new_step_repeats_nothing():
    sampler, _ = started()
    assert {choice.notes["repeat"] for choice in sampler.choose(4, 4)} == {0}


def test_a_refill_leaves_no_task_out():
    sampler, groups = started(size=8, count=4)
    refill = sampler.choose(3, 4)
    sampler.observe(played(refill), None)
    seen = {group.task.id for group in groups} | {choice.task.id for choice in refill}
    assert len(seen | {choice.task.id for choice in sampler.choose(4, 4)}) == 8
