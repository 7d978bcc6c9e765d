"""Several trained policies: each learns from its own rows, and no gradient crosses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import conversation, group, learner_of, table_of, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.algorithms import algorithm
from agentrl.backends.hf import HFPolicy
from agentrl.chat import TemplateChat
from agentrl.course import Course
from agentrl.errors import ConfigError
from agentrl.student import Student, some_rows


def said_by(trajectory, policy):
    """The trajectory as another policy sampled it."""
    turns = [replace(t, completion=replace(t.completion, policy=policy)) for t in trajectory.turns]
    return replace(trajectory, turns=tuple(turns))


def team(rng, reward, calls, policy="sub"):
    """A main trajectory and sub-agents' that another policy sampled."""
    main = said_by(conversation(rng, [3, 2], reward=reward, success=reward > 0), "main")
    subs = [conversation(rng, [2], agent="sub", reward=float(rng.random())) for _ in range(calls)]
    return [main, *(said_by(sub, policy) for sub in subs)]


def teams(seed=0, **options):
    """Three groups of teams, one attempt without a sub-agent among them."""
    rng = np.random.default_rng(seed)
    return [
        group(*[team(rng, reward, calls, **options) for reward, calls in made], number=number)
        for number, made in enumerate([[(1, 2), (0, 1)], [(1, 0), (0, 3)], [(0, 1), (1, 1)]])
    ]


def student(tiny, name="main", record="m_grpo_weight", source=None, others=("sub",), **options):
    learner = learner_of(tiny, record, **options)
    policy = HFPolicy(learner.model, TemplateChat(tiny.tokenizer), name=name)
    return Student(
        name=name,
        policy=policy,
        learner=learner,
        learns_from=source or name,
        others=frozenset(others),
    )


def table_for(one, groups):
    return one.credited(table_of(groups), groups)


def test_policies_share_a_table_and_split_its_rows(tiny):
    main, sub = student(tiny), student(tiny, "sub", others=())
    table = table_for(main, teams())
    assert torch.equal(main.rows(table), table.agent == table.names["agent"].index("main"))
    assert torch.equal(main.rows(table), ~sub.rows(table))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), noise=st.integers(1, 99))
def test_no_gradient_crosses_policies(tiny, seed, noise):
    """Whatever becomes of the others' rows, after credit, a policy's step is the same."""
    table = table_for(student(tiny), teams(seed))
    other = table.policy == table.names["policy"].index("sub")
    drawn = torch.randn(len(table), generator=torch.Generator().manual_seed(noise))
    changed = torch.where(other, 100 * drawn, table.advantage)
    made = []
    for advantage in (table.advantage, changed):
        one = student(tiny)
        one.learn(table.with_columns(advantage=advantage))
        made.append(weights(one.learner.model))
    assert torch.equal(*made)
    assert not torch.equal(made[0], weights(tiny.fresh()))


def test_a_policy_without_credit_stays_as_it_is(tiny):
    main, sub = student(tiny), student(tiny, "sub", others=())
    table = table_for(main, teams())
    silent = torch.where(sub.rows(table), 0.0, table.advantage)
    lessons = [one.learn(table.with_columns(advantage=silent)) for one in (main, sub)]
    assert torch.equal(weights(sub.learner.model), weights(tiny.fresh()))
    assert [bool(lesson.weight.any()) for lesson in lessons] == [True, False]
    assert [one.policy.version for one in (main, sub)] == [1, 0]


def test_two_learners_are_one_where_the_rows_are_the_same(tiny):
    """A policy alone, and the same with another one beside it, on the rows of the first."""
    groups = teams()
    alone, beside = student(tiny, others=()), student(tiny)
    table = table_for(beside, groups)
    beside.learn(table)
    alone.learn(some_rows(table, beside.rows(table)))
    assert torch.equal(weights(alone.learner.model), weights(beside.learner.model))


def test_a_course_records_every_row_once(tiny):
    recorded = []
    main, sub = student(tiny), student(tiny, "sub", others=())
    sub = replace(sub, learner=learner_of(tiny, main.algorithm))
    course = Course([main, sub], frozenset())
    metrics = course.teach(teams(), lambda *given: recorded.append(given))
    ((table, _, weight),) = recorded
    assert len(table) == len(weight) == len(table_of(teams()))
    assert {"learner/loss", "sub/learner/loss", "credit/sub/advantage"} <= metrics.keys()


def test_whom_nobody_trains_has_no_rows(tiny):
    course = Course([student(tiny)], frozenset({"sub"}))
    with pytest.raises(ConfigError, match=r"policy 'sub' is not trained, .*trained: false"):
        course.teach(teams(), lambda *given: None)


def test_a_student_of_another_has_ratios_to_it(tiny):
    large = student(tiny, "large", record="codistill_large", source="main", others=("sub",))
    groups = teams()
    table = table_for(large, groups)
    lesson = large.learn(table)
    main = table.policy == table.names["policy"].index("main")
    assert torch.equal(lesson.weight != 0, main)
    assert "gap/mean_abs" not in lesson.metrics, "another's log-probs are no gap of the engine"


def test_ratios_are_to_the_sampler_where_columns_are_made_before_credit(tiny):
    record = algorithm("gtpo").but(penalty=None)
    large = student(tiny, "large", record=record, source="main", minibatches=2)
    table = table_for(large, teams())
    assert torch.equal(table.old, table.behaviour)


def test_older_weights_rows_have_ratios_to_those(tiny):
    """A row of an older version is corrected exactly as off-policy data is."""
    groups, made = teams(), []
    for lags in (False, True):
        one = replace(student(tiny, record=algorithm("grpo").but(penalty=None)), lags=lags)
        one.policy.version = 3  # the rows are of version 0
        table = table_for(one, groups)
        if not lags:
            table = table.with_columns(off_policy=torch.ones(len(table), dtype=torch.int64))
        one.learn(table)
        made.append(weights(one.learner.model))
    assert torch.equal(*made)
