"""Credit that golden numbers do not reach: combinations, memories, masks and degenerate groups."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    conversation,
    group,
    learner_of,
    mixed_groups,
    plain_logprobs,
    random_groups,
    table_of,
)

from agentrl.advantages import STANDARD, adjusted, group_normalize, group_weighted, joint
from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.algorithms.ds_grpo import differential_smoothing
from agentrl.algorithms.spo_segment import segment_steps
from agentrl.algorithms.xrpo import novelty_bonus
from agentrl.conflicts import shared_run
from agentrl.segments import before_tag
from agentrl.types import Status, Trajectory

NAMES = (
    *("alpha_dpg", "corpo", "dcpo", "dgpo", "ds_grpo", "egpo", "gdpo", "gdpo_verl", "gtpo"),
    *("gtpo_release", "ngrpo", "pc_grpo", "seed_grpo", "xrpo"),
)
FRESH = ("entropy", "old", "ref", "tempered")


def annotated(groups, seed=0):
    """A table with every column that credit reads, and a text."""
    table, generator = table_of(groups), torch.Generator().manual_seed(seed)
    columns = {name: -torch.rand(len(table), generator=generator) for name in FRESH}
    columns["entropy"] = -columns["entropy"]
    texts = tuple(["so", "</think>", "call"][number % 3] for number in range(len(table)))
    return replace(table.with_columns(**columns), texts=texts)


# Statistics


def normalized(rewards, **options):
    values = torch.tensor(rewards, dtype=torch.float64)
    index = torch.zeros(len(rewards), dtype=torch.long)
    return group_normalize(values, index, 1, eps=0.0, **options).tolist()


def test_scale_without_centre_keeps_the_level():
    assert normalized([3.0, 1.0], center=False, scale="none") == [3.0, 1.0]
    assert normalized([3.0, 1.0], center=False, ddof=0) == [3.0, 1.0]
    assert normalized([2.0, 2.0], center=False) == [2.0, 2.0]


def test_mean_absolute_deviation():
    assert normalized([4.0, 0.0, 0.0, 0.0], scale="mad") == pytest.approx(
        [2, -2 / 3, -2 / 3, -2 / 3]
    )


def test_virtual_members_are_in_the_mean_and_never_in_the_answer():
    assert normalized([0.0, 0.0], virtual=(3.0,), scale="none") == [-1.0, -1.0]
    assert normalized([1.0, 1.0], virtual=(1.0,)) == [0.0, 0.0]
    assert normalized([5.0], virtual=(1.0,), singleton="raw") == [5.0]


def test_joint_keys_number_what_occurs():
    index, count = joint(torch.tensor([1, 0, 1, 1]), torch.tensor([7, 2**40, 7, 0]))
    assert index.tolist() == [2, 0, 2, 1]
    assert count == 3
    assert joint(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long))[1] == 0


# Combinations


def with_column(table, groups):
    return {"advantage": torch.ones(len(table)), "extra": torch.zeros(len(table))}


def test_what_the_base_adds_stays():
    table = table_of(mixed_groups())
    found = adjusted(part(with_column), table, [], lambda credit: 2 * credit)
    assert set(found) == {"advantage", "extra"}
    assert found["advantage"].unique().tolist() == [2.0]


def double(table, groups):
    return torch.full((table.num_groups,), 2.0)


def test_a_weight_multiplies_what_was_added_before():
    groups = random_groups([[1, 0, 1], [1, 1]])
    table = table_of(groups)
    smoothed = part(differential_smoothing, gamma_pos=0.1, gamma_neg=0.1)
    both = part(novelty_bonus, base=smoothed)
    weighed = part(group_weighted, base=both, weight=part(double))(table, groups)
    assert torch.equal(weighed, 2 * both(table, groups))
    assert not torch.equal(both(table, groups), smoothed(table, groups))
    assert not torch.equal(smoothed(table, groups), STANDARD(table, groups))


@pytest.mark.parametrize("name", NAMES)
def test_credit_is_finite_on_every_degenerate_group(name):
    failed = group(Trajectory(status=Status.ENV_FAILED), number=3)
    alone = random_groups([[1], [0]], [[[2]], [[0]]])
    for groups in (
        mixed_groups(),
        [failed, *mixed_groups()],
        alone,
        [failed],
        [group(Trajectory())],
    ):
        table = algorithm(name).started().credit(annotated(groups), groups)
        assert torch.isfinite(table.advantage).all()
        assert torch.isfinite(algorithm(name).weighting(table)).all()


@pytest.mark.parametrize(
    "name", ["alpha_dpg", "dgpo", "egpo", "gdpo", "gdpo_verl", "ngrpo", "xrpo"]
)
def test_an_all_right_group_is_dead_beside_a_live_one(name):
    groups = random_groups([[1, 1, 1], [1, 0, 0]])
    table = annotated(groups)
    still = {column: torch.zeros(len(table)) for column in ("old", "ref", "behaviour")}
    table = algorithm(name).started().credit(table.with_columns(**still), groups)
    assert not table.advantage[table.group == 0].any()
    assert table.advantage[table.group == 1].any()


@pytest.mark.parametrize("name", ["corpo", "ds_grpo", "gtpo", "ngrpo"])
def test_all_wrong_still_pushes_down(name):
    groups = random_groups([[-1, -1, -1]])
    table = algorithm(name).started().credit(annotated(groups), groups)
    assert float(table.advantage.max()) < 0


# Single papers


def test_a_thought_ends_where_its_tag_begins_and_needs_one():
    table = table_of([group(conversation(np.random.default_rng(0), [4, 3, 2]))])
    texts = ("hm", " so<", "/t>", "call", "call", "<t", ">", "hm</t>", "x")
    mask = before_tag(replace(table, texts=texts), "</t>")
    assert mask.tolist() == [True, True, False, False, False, False, False, True, False]


def test_without_thoughts_egpo_is_grpo():
    groups = mixed_groups()
    table = annotated(groups)
    table = replace(table, texts=("hm",) * len(table))
    found = algorithm("egpo").advantage(table, groups)
    assert torch.equal(found, STANDARD(table, groups))


def test_tokens_may_carry_their_own_surprise():
    groups = random_groups([[1]], [[[3]]])
    table = table_of(groups)
    slot = part(differential_smoothing, gamma_pos=0.5, gamma_neg=0.0)
    assert torch.equal(slot.but(per_token=True)(table, groups), -0.5 * table.behaviour)
    assert slot(table, groups).tolist() == pytest.approx([-0.5 * float(table.behaviour.sum())] * 3)


def named(group, **parts):
    """The group with these reward parts, one value per attempt."""
    episodes = []
    for number, episode in enumerate(group.episodes):
        main = replace(episode.main, parts={name: of[number] for name, of in parts.items()})
        episodes.append(replace(episode, trajectories=(main,)))
    return replace(group, episodes=tuple(episodes))


def test_weights_choose_the_parts_that_count():
    (plain,) = random_groups([[0, 0, 0]])
    groups = [named(plain, a=[1, 0, 0], b=[0, 0, math.nan], c=[0, 5, 9])]
    slot = algorithm("gdpo").advantage
    found = slot.but(weights={"a": 2.0, "b": 1.0}, batch_norm=False)(table_of(groups), groups)
    one_part = normalized([1.0, 0.0, 0.0])[0]
    assert float(found[0]) == pytest.approx(2 * one_part, abs=1e-3)


def test_one_part_is_grpo_in_one_release_only():
    groups = [named(g, solved=[1, 0, 0]) for g in random_groups([[1, 0, 0]], [[[1], [2], [3]]])]
    table = table_of(groups)
    plain = STANDARD.but(eps=1e-4)(table, groups)
    assert torch.equal(algorithm("gdpo").advantage(table, groups), plain)
    whitened = algorithm("gdpo_verl").advantage(table, groups)
    assert float(whitened.var()) == pytest.approx(1.0, abs=1e-3)


def test_difficulty_reads_the_named_part():
    groups = [named(g, form=[1, 1], right=[1, 0]) for g in random_groups([[2, 1]])]
    groups += [named(g, form=[1, 0], right=[1, 1]) for g in random_groups([[2, 1]])]
    weight, table = algorithm("dgpo").advantage.inner["weight"], table_of(groups)
    first, second = (weight.but(main=name)(table, groups) for name in ("", "right"))
    assert first[0] < 1 < first[1]
    assert second[0] > 1 > second[1]


def test_likely_answers_may_weigh_by_their_probability():
    (one,) = random_groups([[1, 0, 0]], [[[1], [1], [1]]])
    groups = [named_answers(one, ["a", "b", "b"])]
    table = table_of(groups).with_columns(behaviour=torch.tensor([0.5, 0.25, 0.25]).log())
    weight = algorithm("seed_grpo").advantage.inner["weight"].but(entropy="shannon", alpha=1.0)
    even = weight.but(mass="probability")(table, groups)
    assert even.tolist() == pytest.approx([1 - math.log(2) / math.log(3)])
    assert weight(table, groups)[0] > even[0]


def named_answers(group, answers):
    """The group with these canonical answers."""
    episodes = [
        replace(e, trajectories=(replace(e.main, answer=answer),))
        for e, answer in zip(group.episodes, answers, strict=True)
    ]
    return replace(group, episodes=tuple(episodes))


def test_runs_restart_at_each_turn():
    groups = random_groups([[1, 0]], [[[2, 2], [3, 2]]])
    table = table_of(groups).with_columns(ids=torch.tensor([5, 6, 7, 8, 5, 9, 9, 7, 1]))
    assert shared_run(table).tolist() == [1, 0, 1, 0, 1, 0, 0, 1, 0]
    last = table.with_columns(ids=torch.tensor([5, 6, 7, 8, 4, 5, 6, 3, 8]))
    assert shared_run(last, backward=True).tolist() == [1, 1, 0, 1, 0, 1, 1, 0, 1]


def test_the_filter_is_off_for_good_if_the_first_step_was_uncertain():
    groups = random_groups([[1, 0]], [[[2], [2]]])
    table = table_of(groups)
    high, low = (table.with_columns(entropy=torch.full((4,), h)) for h in (0.9, 0.1))
    slots = [algorithm("gtpo").advantage.started() for _ in range(2)]
    slots[0](high, groups)
    slots[1](low, groups)
    assert slots[0](high, groups).all()
    assert not slots[1](high, groups).any()
    again = algorithm("gtpo").advantage.started()
    again.load_state_dict(json.loads(json.dumps(slots[0].state_dict())))
    assert again(high, groups).all()


def test_the_tempered_column_follows_the_last_steps_entropy(tiny):
    learner, groups = learner_of(tiny, "dcpo"), mixed_groups()
    temperatures = []
    for _ in range(2):  # remembers nothing at first; a fresh model is then far above the target
        table = learner.annotate(table_of(groups))
        temperatures.append(learner.algorithm.advantage.live.temperature)
        expected = plain_logprobs(learner.model, table, temperatures[-1])
        torch.testing.assert_close(table.tempered, expected, atol=1e-5, rtol=0)
        learner.algorithm.credit(table, groups)
    assert temperatures == [1.2, 0.8]


def test_dcpo_goes_on_from_its_state():
    groups = mixed_groups()
    first, second = (algorithm("dcpo").started() for _ in range(2))
    first.credit(annotated(groups), groups)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    found = [record.credit(annotated(groups, seed=1), groups) for record in (first, second)]
    assert torch.equal(found[0].advantage, found[1].advantage)
    assert first.state_dict() == second.state_dict() != algorithm("dcpo").started().state_dict()


def test_the_normaliser_of_a_task_may_remember_its_steps():
    groups = random_groups([[1, 0]], [[[1], [1]]])
    table = table_of(groups).with_columns(behaviour=torch.zeros(2), old=torch.zeros(2))
    tables = [table.with_columns(ref=torch.full((2,), math.log(p))) for p in (0.8, 0.4)]
    slot = algorithm("alpha_dpg").advantage
    moving, fresh = (slot.but(reset_z=reset).started() for reset in (False, True))
    assert moving.live.normaliser(tables[0], groups).tolist() == pytest.approx([0.4])
    again = slot.but(reset_z=False).started()
    again.load_state_dict(json.loads(json.dumps(moving.state_dict())))
    assert again.live.normaliser(tables[1], groups).tolist() == pytest.approx([0.3])
    fresh.live.normaliser(tables[0], groups)
    assert fresh.live.normaliser(tables[1], groups).tolist() == pytest.approx([0.2])


def test_equal_segment_steps_are_no_spread():
    """Rounding of equal changes of value is nothing to whiten."""
    (only,) = random_groups([[0.37]], [[[20, 13]]])
    episode = replace(only.episodes[0], values={-1: 0.1})
    groups = [replace(only, episodes=(episode,))]
    table = table_of(groups)
    table = table.with_columns(behaviour=torch.full((len(table),), -1.0))
    assert segment_steps(table, groups).abs().max() < 1e-6
