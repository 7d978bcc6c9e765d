"""Credit goes back to the turn it belongs to, whatever happened between playing and learning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import conversation, group, mixed_groups, random_groups

from agentrl.algorithms.base import part
from agentrl.attribution import Attribution, credit_metrics
from agentrl.journal.reading import Credit
from agentrl.table import build_table
from agentrl.teams import agent_rewards, aligned
from agentrl.types import Status, Trajectory


def noted(groups, *rounds):
    """An attribution that has seen the groups, by rounds if there were several."""
    attribution, first = Attribution(), 0
    for played in rounds or (groups,):
        attribution.note(0, first, played)
        first += len(played)
    return attribution


def numbered(table):
    """The table where a row's advantage is its place, so that every mean tells which rows."""
    return table.with_columns(advantage=torch.arange(len(table)).float())


def by_hand(groups, written):
    """Credits of `numbered` rows, found by walking; `written[id(completion)]` is the place."""
    found, row = {}, 0
    for trajectory in (t for g in groups for e in g.live for t in e.trajectories):
        for turn in () if trajectory.status.failed else trajectory.turns:
            count = len(turn.completion.ids) if turn.trained else 0
            if count:
                found.setdefault(written[id(turn.completion)], []).extend(range(row, row + count))
            row += count
    return [Credit(*p, np.mean(rows), 0.5 * len(rows), len(rows)) for p, rows in found.items()]


def places(groups):
    """Where every completion was played."""
    return {
        id(turn.completion): (g, e, t, i)
        for g, group in enumerate(groups)
        for e, episode in enumerate(group.episodes)
        for t, trajectory in enumerate(episode.trajectories)
        for i, turn in enumerate(trajectory.turns)
    }


def credits(attribution, groups):
    table = numbered(build_table(groups))
    return attribution.credits(table, groups, torch.full((len(table),), 0.5))


def team(rng, *statuses):
    """A main agent and a helper for every status."""
    helpers = [conversation(rng, [2, 1], agent="helper", status=s) for s in statuses]
    return [conversation(rng, [3, 2], reward=1.0), *helpers]


OK, BROKEN = Status.COMPLETED, Status.TOOL_FAILED


@pytest.mark.parametrize("seed", range(3))
def test_failed_ones_in_the_middle_shift_nothing(seed):
    rng = np.random.default_rng(seed)
    broken = conversation(rng, [4], status=Status.ENV_FAILED)
    played = [
        group(team(rng, OK, BROKEN, OK), broken, conversation(rng, [2, 0, 3]), number=0),
        group(broken, Trajectory(), team(rng, BROKEN), number=1),
        *mixed_groups(seed),
    ]
    found = credits(noted(played), played)
    assert found == by_hand(played, places(played))
    assert (0, 0, 3, 1) in {credit[:4] for credit in found}


def test_refused_and_refilled_groups_keep_their_numbers():
    played = random_groups([[1, 0], [0, 0], [1, 1], [0, 1]])
    kept = [played[0], played[3]]
    found = credits(noted(played, played[:2], played[2:]), kept)
    assert found == by_hand(kept, places(played))
    assert {credit.group for credit in found} == {0, 3}


@pytest.mark.parametrize("d", [1, 4])
def test_copies_and_cuts_come_together_at_the_turn_that_was_played(d):
    rng = np.random.default_rng(0)
    played = [group(team(rng, OK, BROKEN, OK), team(rng, OK, OK, OK), number=0)]
    shaped = aligned(played, base=part(agent_rewards), d=d)
    found = credits(noted(played), shaped)
    assert sorted(found) == sorted(by_hand(shaped, places(played)))
    rows = sum(credit.rows for credit in found)
    assert rows == len(build_table(shaped)) == 2 * (5 + d * 3)


def test_a_branch_is_credited_where_its_tokens_are_rows():
    rng = np.random.default_rng(0)
    trunk = conversation(rng, [2, 2])
    first = Trajectory(turns=(replace(trunk.turns[0], trained=False), trunk.turns[1]))
    played = [group(trunk, first, number=0)]
    found = credits(noted(played), played)
    assert [credit[:4] for credit in found] == [(0, 0, 0, 0), (0, 0, 0, 1), (0, 1, 0, 1)]


def test_what_was_not_recorded_gets_no_credit():
    played, other = random_groups([[1, 0]]), random_groups([[0, 1]], seed=1)
    assert credits(noted(played), other) == []
    attribution = noted(played)
    attribution.note(1, 0, other)
    assert credits(attribution, played) == []


def test_metrics_tell_agents_apart():
    rng = np.random.default_rng(0)
    played = [group(team(rng, OK, OK), team(rng, BROKEN), number=0)]
    table = build_table(played)
    table = table.with_columns(advantage=torch.where(table.agent == 0, -2.0, 0.5))
    assert credit_metrics(table) == {
        "credit/main/advantage": 2.0,
        "credit/main/turns": 4.0,
        "credit/main/invocations": 2.0,
        "credit/helper/advantage": 0.5,
        "credit/helper/turns": 4.0,
        "credit/helper/invocations": 2.0,
    }
    assert credit_metrics(build_table([])) == {}
