"""M-GRPO's alignment: copies and cuts on average are weights of d/d_k, given the advantages."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.algorithms.base import part
from agentrl.teams import agent_mean, agent_rewards, align, aligned, draw_picks, two_pools

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from alignment import bias, copies
from test_turns import table_of, teams

DRAWS = 100_000
PLAYED = st.lists(
    st.tuples(st.floats(0, 1), st.lists(st.floats(0, 1), max_size=5)), min_size=2, max_size=5
)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "d"), [(1, 4), (3, 4), (9, 2)])
def test_an_invocation_counts_d_over_its_number_on_average(count, d):
    rng = np.random.default_rng(0)
    drawn = np.zeros(count)
    for _ in range(DRAWS):
        np.add.at(drawn, align(count, d, draw_picks(count, d, rng)), 1)
    error = 5 * np.sqrt(d / DRAWS)  # five standard errors of a count below d
    assert np.abs(drawn / DRAWS - d / count).max() < error


@pytest.mark.slow
def test_copies_and_weights_agree_in_expectation_for_given_advantages():
    rng = np.random.default_rng(1)
    counts, d = [1, 3, 6], 4
    terms = [rng.normal(size=count) for count in counts]  # advantage times gradient, as given
    exact = np.mean([t.mean() for t in terms])
    drawn = [np.mean([t[copies(len(t), d, rng)].mean() for t in terms]) for _ in range(DRAWS)]
    assert abs(np.mean(drawn) - exact) < 5 * np.std(drawn) / np.sqrt(DRAWS)
    assert np.std(drawn) > 0.05, "the draws do vary: that is what weights save"


def test_statistics_of_each_draw_are_biased_and_by_how_much():
    """What `docs/results.md` says of recomputed statistics: shrunk spread, so larger advantages."""
    measured = bias([1, 3, 6], d=4, draws=2_000, seed=0)
    assert measured.given < 0.02
    assert 0.005 < measured.recomputed < 0.1


@settings(max_examples=25, deadline=None)
@given(PLAYED, st.randoms())
def test_relabelling_attempts_changes_nothing(played, random):
    order = list(range(len(played)))
    random.shuffle(order)
    credit = credits_of([(main, subs) for main, subs in played])
    moved = credits_of([played[i] for i in order])
    for place, i in enumerate(order):
        torch.testing.assert_close(moved[place], credit[i])


@settings(max_examples=25, deadline=None)
@given(PLAYED, PLAYED)
def test_an_advantage_ignores_other_queries(played, others):
    group, other = teams(*((m, *s) for m, s in played)), teams(*((m, *s) for m, s in others))
    alone = two_pools(table_of([group]), [], align="weight")
    both = two_pools(table_of([group, other]), [], align="weight")
    torch.testing.assert_close(both[: len(alone)], alone)


def test_an_attempt_without_calls_has_no_share_of_the_sub_agents():
    table = table_of([teams([1.0, 0.2, 0.4], [0.0], [0.5, 0.9])])
    weight = agent_mean(table, align="weight")
    by_trajectory = torch.zeros(6).index_add(0, table.trajectory, weight)
    rows = table.sizes("trajectory").float()
    share = by_trajectory / rows
    assert share.tolist() == pytest.approx([1 / 3, 0.25, 0.25, 1 / 3, 1 / 3, 0.5])


def test_a_pool_without_spread_has_no_credit():
    table = table_of([teams([1.0, 0.5, 0.5], [1.0, 0.5])])
    assert two_pools(table, [], align="weight").abs().max() == 0
    assert two_pools(table_of([teams([0.3, 0.7])]), []).abs().max() == 0


def test_rewards_of_invocations_know_the_main_agent_s_success():
    (group,) = [teams([0.0, 0.0], [0.0, 0.0])]
    won = replace(group.episodes[0].main, success=True)
    first = replace(group.episodes[0], trajectories=(won, *group.episodes[0].trajectories[1:]))
    group = replace(group, episodes=(first, group.episodes[1]))
    (paid,) = aligned([group], base=part(agent_rewards), d=1)
    told = [[t.reward for t in e.trajectories] for e in paid.episodes]
    assert told == [pytest.approx([1.0, 0.5]), pytest.approx([0.1, 0.1])]


def credits_of(played):
    """The advantage of every trajectory, attempt by attempt."""
    group = teams(*((main, *subs) for main, subs in played))
    table = table_of([group])
    credit = two_pools(table, [], align="weight")
    first = table.sizes("trajectory").cumsum(0) - table.sizes("trajectory")
    sizes = [1 + len(subs) for _, subs in played]
    return list(torch.split(credit[first], sizes))
