"""Segments: selecting groups, what holds of any episodes, and reductions through a view."""

import numpy as np
import pytest
import torch
from builders import (
    conversation,
    forked,
    group,
    mixed_groups,
    random_groups,
    table_of,
    view_of,
)
from hypothesis import given
from hypothesis import strategies as st

from agentrl.table import LEVELS, View, build_table, outer, per_episode, per_group
from agentrl.types import Source, Span, join

LENGTHS = st.lists(st.integers(0, 5), max_size=4)
"""Sampled tokens of an attempt's turns: silent turns and empty attempts included."""
STEPS = st.lists(st.lists(LENGTHS, min_size=1, max_size=3), min_size=1, max_size=3)
"""Turn lengths `[group][attempt][turn]`."""


def step_of(lengths):
    rewards = [[number % 3 for number in range(len(row))] for row in lengths]
    return random_groups(rewards, lengths, seed=sum(map(len, lengths)))


# Selecting groups


def same_table(left, right):
    """Assert that two tables say the same, whatever numbers they gave to names."""
    assert [s.ids.tolist() for s in left.samples] == [s.ids.tolist() for s in right.samples]
    assert left.num_groups == right.num_groups
    assert left.rewards.tolist() == right.rewards.tolist()
    assert {n: o.tolist() for n, o in left.owner.items()} == {
        n: o.tolist() for n, o in right.owner.items()
    }
    assert set(left.columns) == set(right.columns)
    for name in left.columns:
        assert readable(left, name) == readable(right, name), name


def readable(table, name):
    values = table.columns[name].tolist()
    return [table.names[name][value] for value in values] if name in table.names else values


@pytest.mark.parametrize("chosen", [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2], []])
def test_selected_groups_are_the_table_of_those_groups(chosen):
    groups = mixed_groups()
    keep = torch.tensor([number in chosen for number in range(3)])
    same_table(table_of(groups).select_groups(keep), table_of([groups[i] for i in chosen]))


def test_added_columns_follow_their_rows():
    table = table_of(mixed_groups())
    table = table.with_columns(advantage=torch.arange(len(table)).float())
    kept = table.select_groups(torch.tensor([False, True, False]))
    assert kept.advantage.tolist() == torch.arange(len(table))[table.group == 1].tolist()


# Properties


@given(STEPS)
def test_the_ledger_is_the_sample(lengths):
    groups = step_of(lengths)
    table = table_of(groups)
    spoken = [e.main for g in groups for e in g.episodes if e.main.turns]
    ledgers = [
        join(t.turns[-1].spans).tolist() + t.turns[-1].completion.ids.tolist() for t in spoken
    ]
    assert [sample.ids.tolist() for sample in table.samples] == ledgers


@given(STEPS)
def test_a_token_has_a_row_iff_it_was_sampled(lengths):
    groups = step_of(lengths)
    table = table_of(groups)
    spoken = [e.main.turns[-1] for g in groups for e in g.episodes if e.main.turns]
    for number, last in enumerate(spoken):
        said = Span(ids=last.completion.ids, source=Source.SAMPLED)
        sampled = [s.source is Source.SAMPLED for s in (*last.spans, said) for _ in s.ids]
        assert table.position[table.sample == number].tolist() == np.flatnonzero(sampled).tolist()


@given(STEPS, st.integers(0, 7))
def test_any_selection_is_the_table_of_those_groups(lengths, mask):
    groups = step_of(lengths)
    keep = [bool(mask >> number & 1) for number in range(len(groups))]
    chosen = [g for g, kept in zip(groups, keep, strict=True) if kept]
    same_table(table_of(groups).select_groups(torch.tensor(keep)), build_table(chosen))


@given(STEPS)
def test_counts_do_not_depend_on_rows(lengths):
    table = table_of(step_of(lengths))
    assert table.count("episode") == sum(map(len, lengths))
    assert table.count("turn") == sum(len(turns) for row in lengths for turns in row)
    assert table.members("episode", "group").tolist() == [len(row) for row in lengths]
    assert int(table.sizes("turn").sum()) == len(table)


@given(STEPS, st.sampled_from(LEVELS))
def test_sums_and_means_are_those_of_each_segment(lengths, level):
    table = table_of(step_of(lengths))
    values = torch.linspace(-1, 2, len(table), dtype=torch.float64)
    view = view_of(table, values)
    index = table.columns[level]
    for answer, function in ((view.sum, torch.sum), (view.mean, torch.mean)):
        expected = [function(values[index == number]) for number in index]
        assert answer(values, over=level).tolist() == pytest.approx([float(x) for x in expected])


@given(STEPS)
def test_levels_nest(lengths):
    table = table_of(step_of(lengths))
    for level in ("sample", "turn", "trajectory", "episode"):
        owner = table.owner[level][table.columns[level]]
        assert torch.equal(owner, table.columns[outer(level)])


# Views


def test_broadcasts_give_every_row_its_owners_value():
    table = table_of(mixed_groups())
    values = torch.arange(table.count("episode"), dtype=torch.float64)
    assert torch.equal(per_episode(table, values), table.episode.float())
    assert torch.equal(per_group(table, values), table.group.float())


def test_a_view_reads_the_columns_of_its_rows():
    table = table_of(mixed_groups())
    rows = torch.tensor([4, 1])
    view = View(table, rows, torch.zeros(2))
    assert torch.equal(view.behaviour, table.behaviour[rows])
    assert torch.equal(view.group, table.group[rows])


def test_the_gradient_of_a_mean_is_spread_over_its_segment():
    table = table_of([group(conversation(np.random.default_rng(0), [2, 4]))])
    live = torch.zeros(6, requires_grad=True)
    view_of(table, live).mean(live, over="turn")[0].backward()
    assert live.grad.tolist() == [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("live", [True, False])
def test_reducing_over_a_split_segment_raises(live):
    table = table_of([group(forked(np.random.default_rng(0)))])
    rows = (table.sample == 0).nonzero()[:, 0]
    values = torch.zeros(len(rows), requires_grad=live)
    view = View(table, rows, values)
    assert view.mean(values, over="sample").shape == rows.shape
    for reduce in (view.sum, view.mean):
        with pytest.raises(ValueError, match=r"'trajectory'.*split between micro-batches"):
            reduce(values, over="trajectory")
