"""The merge rule, the rows and the counts of the token table."""

import numpy as np
import pytest
import torch
from builders import (
    completion,
    conversation,
    follow,
    forked,
    group,
    mixed_groups,
    span,
    table_of,
    turn,
)

from agentrl.advantages import group_advantage
from agentrl.errors import DataError
from agentrl.table import LEVELS, build_table
from agentrl.types import Status, Trajectory, Turn, join


def turns_of(groups):
    """The turns that a table has, in its order."""
    live = [t for g in groups for e in g.live for t in e.trajectories if not t.status.failed]
    return [turn for trajectory in live for turn in trajectory.turns]


# The merge rule


def test_an_append_only_conversation_is_one_sample():
    last = turn([5, 6], [7])
    whole = Trajectory(turns=(last, Turn(spans=follow(last, [8]), completion=completion([9, 1]))))
    table = table_of([group(whole)])
    assert [sample.ids.tolist() for sample in table.samples] == [[5, 6, 7, 8, 9, 1]]
    assert table.position.tolist() == [2, 4, 5]
    assert table.ids.tolist() == [7, 9, 1]


def test_a_rewritten_context_forks_the_sample():
    table = table_of([group(Trajectory(turns=(turn([5, 6], [7]), turn([5, 4, 7], [9]))))])
    assert [sample.ids.tolist() for sample in table.samples] == [[5, 6, 7], [5, 4, 7, 9]]
    assert table.sample.tolist() == [0, 1]
    assert table.position.tolist() == [2, 3]


def test_a_context_that_lost_its_end_forks_the_sample():
    table = table_of([group(Trajectory(turns=(turn([5, 6], [7, 8]), turn([5, 6, 7], [9]))))])
    assert [len(sample.ids) for sample in table.samples] == [4, 4]


def test_sampled_tokens_that_a_fork_repeats_have_one_row():
    rng = np.random.default_rng(0)
    table = table_of([group(forked(rng))])
    assert len(table) == 2 + 3 + 2
    assert table.sizes("sample").tolist() == [5, 2]
    assert len(table.samples[1].ids) == 4 + 2 + 2


def test_a_turn_continues_the_latest_sample_only():
    first, second = turn([5], [6]), turn([4], [3])
    again = Turn(spans=follow(first, [2]), completion=completion([1]))
    table = table_of([group(Trajectory(turns=(first, second, again)))])
    assert table.sample.tolist() == [0, 1, 2]


def test_train_spans_replace_the_context_that_was_sampled_under():
    hinted = turn([5, 9, 9], [7], train_spans=(span([5]),))
    table = table_of([group(Trajectory(turns=(hinted,)))])
    assert table.samples[0].ids.tolist() == [5, 7]
    assert table.position.tolist() == [1]


# Rows


def test_rows_are_exactly_the_sampled_tokens():
    groups = mixed_groups()
    table = table_of(groups)
    said = [turn.completion for turn in turns_of(groups)]
    assert table.ids.tolist() == np.concatenate([c.ids for c in said]).tolist()
    assert table.behaviour.tolist() == np.concatenate([c.logprobs for c in said]).tolist()
    held = [table.samples[s].ids[p] for s, p in zip(table.sample, table.position, strict=True)]
    assert [int(token) for token in held] == table.ids.tolist()


def test_every_row_knows_its_turn():
    groups = mixed_groups()
    table = table_of(groups)
    lengths = [len(turn.completion.ids) for turn in turns_of(groups)]
    assert table.turn.tolist() == np.repeat(np.arange(len(lengths)), lengths).tolist()


def test_a_row_is_predicted_by_the_context_it_was_sampled_under():
    groups = mixed_groups()
    table = table_of(groups)
    for number, turn_ in enumerate(turns_of(groups)):
        for row in (table.turn == number).nonzero()[:1, 0].tolist():
            before = table.samples[table.sample[row]].ids[: table.position[row]]
            assert before.tolist() == join(turn_.spans).tolist()


def test_segment_columns_name_agent_policy_and_version():
    said = completion([3], policy="small", version=7)
    helper = Trajectory(agent="helper", turns=(Turn(spans=(span([1]),), completion=said),))
    table = table_of([group([Trajectory(turns=(turn([1], [2]),)), helper])])
    assert [table.names["agent"][i] for i in table.agent] == ["main", "helper"]
    assert [table.names["policy"][i] for i in table.policy] == ["main", "small"]
    assert table.version.tolist() == [0, 7]
    assert table.off_policy.tolist() == [0, 0]


def test_columns_have_their_types():
    table = table_of(mixed_groups())
    floats = {"reward", "behaviour", "old", "advantage", "weight"}
    kinds = {name: column.dtype for name, column in table.columns.items()}
    assert floats <= set(kinds)
    for name, kind in kinds.items():
        assert kind == (torch.float32 if name in floats else torch.int64), name


@pytest.mark.parametrize("groups", [[], [group(Trajectory())]])
def test_a_step_without_tokens_has_every_column(groups):
    table, full = build_table(groups), table_of(mixed_groups())
    assert len(table) == 0
    assert {n: c.dtype for n, c in table.columns.items()} == {
        n: c.dtype for n, c in full.columns.items()
    }


def test_an_unknown_column_is_named_together_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no column 'reff'.*behaviour"):
        table_of(mixed_groups()).reff  # noqa: B018 - reading is the test


def test_a_token_without_context_is_refused():
    with pytest.raises(DataError, match="empty context"):
        table_of([group(Trajectory(turns=(turn([], [3]),)))])


def test_log_probs_that_do_not_match_their_ids_are_refused():
    with pytest.raises(DataError, match="2 log-probs for 3 sampled ids"):
        table_of([group(Trajectory(turns=(turn([1], [3, 4, 5], [0.0, 0.0]),)))])


# Counts


def test_empty_attempts_are_counted_everywhere():
    rng = np.random.default_rng(0)
    table = table_of([group(conversation(rng, [2]), Trajectory(), conversation(rng, [3, 0]))])
    assert {level: table.count(level) for level in LEVELS} == {
        "sample": 2,
        "turn": 3,
        "trajectory": 3,
        "episode": 3,
        "group": 1,
    }
    assert table.sizes("trajectory").tolist() == [2, 0, 3]
    assert table.sizes("turn").tolist() == [2, 3, 0]


def test_members_count_empty_ones():
    table = table_of(mixed_groups())
    assert table.members("episode", "group").tolist() == [3, 2, 2]
    assert table.members("turn", "trajectory").tolist() == [2, 0, 2, 3, 2, 1, 3, 1]
    assert table.members("trajectory", "episode").tolist() == [1, 1, 1, 2, 1, 1, 1]
    assert table.members("turn", "group").tolist() == [4, 6, 4]
    assert table.members("group", "group").tolist() == [1, 1, 1]


def test_failed_attempts_are_left_out():
    table = table_of(mixed_groups())
    assert table.rewards.tolist() == [1.0, 0.0, 0.5, 1.0, 0.0, 2.0, 0.0]
    assert table.count("episode") == 7


def test_a_failed_sub_agent_is_dropped_alone():
    rng = np.random.default_rng(0)
    helper = conversation(rng, [4], status=Status.TOOL_FAILED)
    table = table_of([group([conversation(rng, [2], reward=1.0), helper])])
    assert (table.count("episode"), table.count("trajectory"), len(table)) == (1, 1, 2)


def test_a_truncated_attempt_stays():
    rng = np.random.default_rng(0)
    table = table_of([group(conversation(rng, [2], status=Status.TOKEN_LIMIT))])
    assert len(table) == 2


def test_a_group_that_failed_altogether_is_counted_and_empty():
    rng = np.random.default_rng(0)
    broken = group(conversation(rng, [2], status=Status.ENV_FAILED))
    table = table_of([broken, group(conversation(rng, [1]))])
    assert table.members("episode", "group").tolist() == [0, 1]
    assert group_advantage(table, []).tolist() == [0.0]


def test_rows_stand_in_the_order_of_what_was_sampled():
    table = table_of(mixed_groups())
    for kept in (table, table.select_groups(torch.tensor([True, False, True]))):
        for level in ("turn", "trajectory", "episode", "group"):
            assert (kept.columns[level].diff() >= 0).all(), level
