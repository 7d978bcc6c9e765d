"""What is read is what was written."""

from dataclasses import replace

import pytest
from arbitrary import groups, same
from builders import mixed_groups
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.journal.reading import Credit
from agentrl.types import Task

SHARED = settings(suppress_health_check=list(HealthCheck), max_examples=60)
"""One database for all examples: each is a run of its own."""


@SHARED
@given(played=st.lists(groups(step=7), max_size=2))
def test_groups_come_back_to_the_last_bit(journal, played):
    writer = journal.begin({})
    writer.groups(7, played)
    assert same(journal.groups(writer.run, 7), played)
    assert same(journal.groups(writer.run), played)


def test_a_step_is_read_in_the_order_it_was_written(journal):
    writer, (first, second, third) = journal.begin({}), mixed_groups()
    assert writer.groups(0, [first, second]) == 0
    assert writer.groups(0, [third, first]) == 2
    assert same(journal.groups(writer.run, 0), [first, second, third, first])


def test_runs_lives_and_steps_are_listed(journal):
    one, two = journal.begin({"seed": 1}), journal.begin({"seed": 2})
    two.groups(0, mixed_groups())
    again = journal.begin({}, two.run, 0)
    assert [(row.id, row.config) for row in journal.runs()] == [
        (one.run, {"seed": 1}),
        (two.run, {"seed": 2}),
    ]
    assert [life[:2] for life in journal.lives(two.run)] == [(0, 0), (again.life, 0)]
    assert journal.steps(one.run) == journal.steps(two.run) == []


def test_credits_come_back_with_their_turns(journal):
    writer = journal.begin({})
    writer.groups(0, mixed_groups())
    given = [Credit(0, 1 - 1, 0, 1, -0.5, 0.25, 4), Credit(1, 0, 1, 0, 1.5, 0.5, 2)]
    writer.credits(0, reversed(given))
    assert journal.credits(writer.run, 0) == given
    assert journal.credits(writer.run, 1) == []
    journal.begin({}, writer.run, 0)
    assert journal.credits(writer.run, 0) == []


@pytest.mark.parametrize("step", [0, 5])
def test_what_was_not_written_is_not_there(journal, step):
    assert journal.groups(journal.begin({}).run, step) == []
    assert journal.groups("nobody", step) == []


def test_an_episode_keeps_a_task_of_its_own(journal):
    (played, *_), other = mixed_groups(), Task(env="other", data={"a": [1, {"b": None}]}, seed=3)
    changed = (replace(played.episodes[0], task=other), *played.episodes[1:])
    played = replace(played, episodes=changed)
    writer = journal.begin({})
    writer.groups(0, [played])
    assert same(journal.groups(writer.run, 0), [played])
