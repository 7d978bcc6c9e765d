"""Samplers that learn: budgets hold, beliefs follow outcomes, a checkpoint forgets nothing."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bindings.choosing import LEARN, budget, informed, pool
from builders import conversation, group, learner_of, random_groups, table_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as draw

from agentrl.algorithms import NAMES
from agentrl.algorithms.knapsack_rl import KNAPSACK_RL
from agentrl.algorithms.rest_rl import REST_RL
from agentrl.algorithms.spo_single_stream import SPO_SINGLE_STREAM, dual_clipped
from agentrl.algorithms.v0_value import V0_VALUE
from agentrl.algorithms.vade import VADE
from agentrl.algorithms.xrpo import XRPO
from agentrl.budgets import mixed_value, student_mass, student_quantile, utility
from agentrl.env import make
from agentrl.errors import ConfigError
from agentrl.samplers import Prioritised, Shuffled
from agentrl.slots import build_algorithm
from agentrl.trackers import BetaCounts, Forgetting, Moments, MovingAverage, packed, unpacked
from agentrl.types import Status

ECHO = make("agentrl/Echo-v0", words=2).tasks("train", 12, 0)
TRACKERS = (MovingAverage, BetaCounts, Moments, Forgetting)


def record_of(name):
    return build_algorithm({"name": name, **LEARN.get(name, {})})[1]


CHOOSING = [name for name in NAMES if record_of(name).sampler.function is not Shuffled]


def played(choices, seed, step=0):
    """What a policy of random outcomes makes of choices."""
    rng, groups = np.random.default_rng(seed), []
    for task, attempts, _ in choices:
        (made,) = random_groups([rng.integers(0, 2, attempts)], [[[2]] * attempts], seed=seed)
        groups.append(replace(made, task=task, step=step))
    return groups


def score(episodes):
    """A policy that gives every token the same probability."""
    return [np.full(episode.main.num_tokens, -0.5, np.float32) for episode in episodes]


def rounds(started, count, steps):
    """The choices of some rounds, each observed."""
    for step in steps:
        choices = started.live.choose(count, 4)
        started.live.observe(played(choices, step, step), score)
        yield choices


# ---- every sampler ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHOOSING)
@settings(max_examples=20)
@given(count=draw.integers(1, 16), before=draw.integers(0, 4), seed=draw.integers(0, 9))
def test_a_restored_sampler_chooses_the_same(name, count, before, seed):
    one, other = (record_of(name).sampler.started(ECHO, seed) for _ in range(2))
    list(rounds(one, count, range(before)))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert list(rounds(other, count, range(9, 12))) == list(rounds(one, count, range(9, 12)))


@pytest.mark.parametrize("name", CHOOSING)
@settings(max_examples=20)
@given(count=draw.integers(1, 16), seed=draw.integers(0, 9))
def test_a_round_repeats_no_task_and_keeps_the_budget(name, count, seed):
    sampler = record_of(name).sampler.started(ECHO, seed)
    for choices in rounds(sampler, count, range(3)):
        assert len({choice.task.id for choice in choices}) == len(choices) > 0
        assert 0 < sum(choice.attempts for choice in choices) <= 4 * count
        assert len(choices) >= min(count, len(ECHO))
        assert all(set(choice.notes) == set(sampler.function.notes) for choice in choices)


@pytest.mark.parametrize("name", CHOOSING)
def test_the_seed_decides(name):
    first, same, other = (
        list(rounds(record_of(name).sampler.started(ECHO, seed), 5, range(3))) for seed in (1, 1, 2)
    )
    assert first == same != other


# ---- trackers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tracker", TRACKERS)
def test_failed_and_hinted_attempts_tell_nothing(tracker):
    rng = np.random.default_rng(0)
    broken = conversation(rng, [2], status=Status.ENV_FAILED, reward=1.0, success=True)
    shown = group(broken, conversation(rng, [2], reward=1.0, success=True))
    hinted = tuple(replace(episode, hint=1) for episode in shown.episodes)
    live = tracker()
    live.observe([replace(shown, episodes=hinted)], score)
    assert not live.seen(shown.task)
    live.observe([shown], score)
    assert live.seen(shown.task)
    assert live.predict(shown.task) > 0.5


@pytest.mark.parametrize("tracker", TRACKERS)
def test_beliefs_follow_outcomes(tracker):
    live, (right, wrong) = tracker(), random_groups([[1, 1, 1], [0, 0, 0]])
    assert live.predict(right.task) == live.predict(wrong.task) == 0.5
    for _ in range(3):
        live.observe([right, wrong], score)
    assert live.predict(wrong.task) < 0.3 < 0.7 < live.predict(right.task)


def test_moments_are_those_of_all_visits():
    live, visits = Moments(), [[0.0, 1.0, 0.5], [0.25], [1.0, 1.0]]
    for rewards in visits:
        live.observe(random_groups([rewards]), score)
    (shown,), rewards = random_groups([[0]]), list(itertools.chain(*visits))
    number, std = live.spread(shown.task, 1)
    assert (number, live.predict(shown.task)) == (6, pytest.approx(np.mean(rewards)))
    assert std == pytest.approx(np.std(rewards, ddof=1))


def test_what_a_step_leaves_out_fades_once():
    live, (one, other) = BetaCounts(fade=0.5), random_groups([[1, 1], [0, 1]])
    live.observe([one], score)
    for round in range(2):
        live.observe([replace(other, step=1)], score)
        assert live.counts(one.task) == (2.0, 1.0), f"a refill (round {round}) is no new step"


def test_an_answer_survives_its_packing():
    answer = conversation(np.random.default_rng(0), [3, 2, 4])
    again = unpacked(json.loads(json.dumps(packed(answer))))
    for old, new in zip(answer.turns, again.turns, strict=True):
        assert np.concatenate([s.ids for s in old.spans]).tolist() == new.spans[0].ids.tolist()
        assert old.completion.ids.tolist() == new.completion.ids.tolist()
        assert np.abs(old.completion.logprobs - new.completion.logprobs).max() < 1e-5


def test_drift_is_measured_on_the_last_answer_by_the_learner(tiny):
    learner, live = learner_of(tiny), Forgetting()
    (shown,) = random_groups([[1]], [[[3, 2]]])
    live.observe([shown], learner.score)
    (then,) = learner.score(shown.episodes)
    said = [turn.completion.logprobs for turn in shown.episodes[0].main.turns]
    expected = np.abs(np.concatenate(said) - then).mean()
    assert live.drifts([shown], learner.score)[shown.task.id] == pytest.approx(expected, abs=1e-4)


def test_a_policy_that_drifted_forgets_more():
    def after(logprob):
        live, (shown,) = Forgetting(), random_groups([[1]], [[[4]]])
        silent = [np.zeros(4, np.float32) - 9]
        live.observe([shown], lambda episodes: silent)
        now = unpacked(live.answers[shown.task.id]).turns[0].completion.logprobs + logprob
        live.observe([shown], lambda episodes: [now])
        return sum(live.known[shown.task.id])

    assert after(1.0) < after(0.008) < after(0.0) == pytest.approx(0.96 * (0.96 + 1) + 1)


# ---- budgets ------------------------------------------------------------------------------------


def best_by_trying(p, total, low, high):
    """The largest value of any allocation."""
    shares = itertools.product(range(low, high + 1), repeat=len(p))
    fits = np.array([s for s in shares if sum(s) <= total])
    return mixed_value(fits, np.array(p)).sum(axis=1).max()


@given(draw.lists(draw.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=4))
def test_the_knapsack_is_exact(p):
    shares = budget(KNAPSACK_RL, [[rate] for rate in p], 4 * len(p), low=1, high=9)
    assert min(shares) >= 1
    assert max(shares) <= 9
    assert sum(shares) <= 4 * len(p)
    assert mixed_value(np.array(shares), np.array(p)).sum() == pytest.approx(
        best_by_trying(p, 4 * len(p), 1, 9), abs=1e-12
    )


def test_fewer_attempts_than_the_least_are_refused():
    with pytest.raises(ConfigError, match=r"rollout\.attempts is 1, but the sampler gives every"):
        KNAPSACK_RL.sampler.started(pool(3), 0).live.choose(2, 1)


def test_first_visits_get_what_the_run_says():
    sampler = KNAPSACK_RL.sampler.started(pool(6), 0)
    first, second = rounds(sampler, 6, range(2))
    assert {choice.attempts for choice in first} == {4}
    assert len({choice.attempts for choice in second}) > 1


def test_greedy_budgets_beat_even_ones():
    rates = np.array([0.05, 0.3, 0.6, 0.95])
    shares = np.array(budget(V0_VALUE, [[100 * r, 100 * (1 - r)] for r in rates], 32))
    assert shares.sum() == 32
    assert utility(shares, rates).sum() > utility(np.full(4, 8), rates).sum()


def test_uncertain_means_get_more_attempts():
    sure, unsure = [8.0, 0.5, 0.0], [8.0, 0.5, 2.0]
    few, many = budget(XRPO, [sure, unsure], 16)
    assert few + many == 16
    assert many > few
    rare, common = budget(XRPO, [[4.0, 1.0, 0.0], [40.0, 1.0, 0.0]], 16)
    assert rare > common


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (4, 2.776445), (30, 2.042272)])
def test_student_quantiles_are_those_of_tables(freedom, quantile):
    assert student_quantile(0.95, freedom) == pytest.approx(quantile, rel=1e-5)
    assert student_mass(quantile, freedom) == pytest.approx(0.95, abs=1e-6)


def test_confidence_needs_the_spread():
    wrong = XRPO.but(sampler=XRPO.sampler.but(tracker=VADE.sampler.inner["tracker"]))
    assert "take Moments, not BetaCounts" in wrong.refusals()["sampler"]
    assert not XRPO.refusals()


# ---- priorities ---------------------------------------------------------------------------------


def times_chosen(sampler, count, rounds):
    chosen = [c.task.id for _ in range(rounds) for c in sampler.choose(count, 2)]
    return [chosen.count(task.id) for task in sampler.pool]


def test_uncertain_tasks_come_more_often():
    sampler = Prioritised(pool(3), 0)
    sampler.tracker.known = {
        task.id: counts for task, counts in zip(pool(3), [[9, 9], [1, 99], [99, 1]], strict=True)
    }
    middle, never, always = times_chosen(sampler, 1, 300)
    assert middle > 2 * max(never, always)
    assert min(never, always) > 0


def test_thompson_takes_what_promises_most():
    sampler = informed(VADE, [[40, 80], [1, 119], [119, 1], [1, 1]])
    gain, none, solved, unknown = times_chosen(sampler, 1, 200)
    assert min(gain, unknown) > 20 > none + solved


def test_a_stream_spends_its_budget_on_single_attempts():
    sampler = SPO_SINGLE_STREAM.sampler.started(pool(64), 0).live
    choices = sampler.choose(4, 8)
    assert (len(choices), {choice.attempts for choice in choices}) == (32, {1})
    assert {choice.notes["value"] for choice in choices} == {0.5}


def test_the_baseline_is_the_value_before_the_attempt():
    sampler = SPO_SINGLE_STREAM.sampler.started(pool(4), 0).live
    (first,), (again,) = (
        [c for c in choices if c.task == pool(4)[0]]
        for choices in rounds(SPO_SINGLE_STREAM.sampler.started(pool(4), 0), 4, range(2))
    )
    assert first.notes["value"] == sampler.tracker.predict(first.task) == 0.5
    assert again.notes["value"] != 0.5


def test_a_stream_needs_a_sampler_that_notes_values():
    assert (
        "take a sampler with a tracker"
        in SPO_SINGLE_STREAM.but(sampler=VADE.sampler.but())
        .but(sampler=REST_RL.sampler)
        .refusals()["advantage"]
    )
    assert not SPO_SINGLE_STREAM.but(sampler=VADE.sampler).refusals()


def test_the_dual_clip_bounds_what_a_bad_token_costs():
    table = table_of(random_groups([[0]], [[[3]]]))
    table = table.with_columns(old=torch.zeros(3), advantage=torch.tensor([-1.0, -1.0, 1.0]))
    terms = dual_clipped(view_of(table, torch.tensor([5.0, 0.0, 5.0])))
    assert terms.tolist() == pytest.approx([10.0, 1.0, -1.28])
