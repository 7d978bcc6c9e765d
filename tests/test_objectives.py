"""Objectives and regularisers beyond their golden numbers: exact gradients, masks, memories."""

import asyncio
import json

import numpy as np
import pytest
import torch
from builders import (
    conversation,
    error,
    gradients,
    group,
    learner_of,
    plain_logprobs,
    random_groups,
    table_of,
    view_of,
)

from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.algorithms.co_grpo import LearnedBudgets
from agentrl.algorithms.grpo_guard import guarded
from agentrl.losses import clipped, shaped_off_policy
from agentrl.penalties import imitation, kl_constraint
from agentrl.preferences import GroupWeights
from agentrl.table import View
from agentrl.types import Episode, Task
from agentrl.weightings import fork_tokens, seq_mean_token_mean, token_mean, truncated_importance

MIXED = [[1, 0, 1, 0], [0, 0, 1], [1, 1]]


def shifted(table, noise=0.3, seed=0):
    """The table with `old` off by up to `noise` nats."""
    draw = torch.rand(len(table), generator=torch.Generator().manual_seed(seed))
    return table.with_columns(old=table.old + noise * (2 * draw - 1))


def slope(record, table, logprobs):
    """Derivative of the record's weighted loss by each row's log-prob."""
    table = table.with_columns(weight=record.weighting(table))
    logprobs = logprobs.double().requires_grad_()
    prepared = record.loss.prepare(view_of(table, logprobs.detach()))
    total = record.loss(view_of(table.with_columns(**prepared), logprobs))
    return torch.autograd.grad((table.weight * total).sum(), logprobs)[0]


# Losses over whole groups


def literal_regression(table, logprobs):
    """The printed formula: mean squared error of advantage and normalised log-ratio."""
    errors = []
    for number in range(table.num_groups):
        members = (table.owner["episode"] == number).nonzero()[:, 0].tolist()
        rows = [table.episode == i for i in members]
        rho = torch.stack([(logprobs - table.old.double())[r].sum() for r in rows])
        advantage = torch.stack([table.advantage[r][0] for r in rows])
        errors.append((advantage - (rho - rho.mean()) / (rho.std(correction=0) + 1e-6)) ** 2)
    return torch.cat(errors).mean()


def test_the_regressions_gradient_is_that_of_the_printed_formula():
    record = algorithm("reg_grpo")
    table = shifted(table_of(random_groups(MIXED), record))
    logprobs = torch.zeros(len(table)).double().requires_grad_()
    (expected,) = torch.autograd.grad(literal_regression(table, logprobs), logprobs)
    assert error(slope(record, table, logprobs.detach()), expected) < 1e-6


def test_a_regression_without_spread_follows_the_advantage():
    record = algorithm("reg_grpo")
    table = table_of(random_groups(MIXED), record)
    found = slope(record, table, table.old)
    assert torch.equal(found.sign(), -table.advantage.double().sign())


def literal_disco(table, logprobs, right, ratio):
    """The printed objective, task by task, at tau 2."""
    values, found = (logprobs - table.old.double()).exp() if ratio else logprobs, []
    for number in range(table.num_groups):
        members = (table.owner["episode"] == number).nonzero()[:, 0].tolist()
        scores = torch.stack([values[table.episode == i].mean() for i in members])
        flags = right[members]
        if flags.all() or not flags.any():
            found.append(scores.sum() * 0)
            continue
        below = 2 * (scores[~flags] / 2).exp().mean().log()
        found.append(scores[flags].mean() - below)
    return torch.stack(found).mean()


@pytest.mark.parametrize("kind", ["log", "ratio"])
def test_the_discriminative_gradient_is_that_of_the_printed_formula(kind):
    record = algorithm("disco")
    record = record.but(loss=record.loss.but(tau=2.0, kind=kind))
    table = shifted(table_of(random_groups(MIXED), record))
    logprobs = (0.1 * torch.arange(len(table)).double()).sin().requires_grad_()
    right = table.rewards > 0
    objective = literal_disco(table, logprobs, right, kind == "ratio")
    (expected,) = torch.autograd.grad(objective, logprobs)
    assert error(slope(record, table, logprobs.detach()), -expected) < 1e-5


@pytest.mark.parametrize("name", ["disco", "drpo", "reg_grpo", "spine", "grpo_guard"])
def test_what_is_known_of_the_whole_step_does_not_depend_on_the_split(tiny, name):
    learner = learner_of(tiny, name, epochs=2, token_budget=10_000)
    record = learner.algorithm
    table = learner.annotate(table_of(random_groups(MIXED), record))
    table, found = shifted(table), []
    for learner.token_budget in (1, 10_000):
        found.append(gradients(learner, table))
    assert error(*found) < 1e-5


def test_items_of_a_micro_batch_without_tokens_are_none(tiny):
    rng = np.random.default_rng(0)
    silent, more = conversation(rng, [0]), conversation(rng, [3, 2], reward=1.0)
    learner = learner_of(tiny, "rank_grpo", token_budget=1, penalty=False)
    table = table_of([group(silent, more, conversation(rng, [4]))])
    table, found = shifted(table.with_columns(advantage=1 + table.behaviour)), []
    for learner.token_budget in (1, 10_000):
        found.append(gradients(learner, table))
    assert error(*found) < 1e-5


def test_the_constraint_pulls_back_only_when_violated():
    table = table_of(random_groups([[0, 0]]))
    near, far = table.old - 1e-5, table.old - 0.01
    for logprobs, pulls in ((near, False), (far, True)):
        penalty = part(kl_constraint)
        columns = penalty.prepare(view_of(table, logprobs))
        live = logprobs.clone().requires_grad_()
        penalty(view_of(table.with_columns(**columns), live)).sum().backward()
        assert bool(live.grad.lt(0).all()) is pulls
        assert live.grad.any() == pulls


@pytest.mark.parametrize(
    ("name", "slot", "changes"),
    [
        ("disco", "loss", {"weighting": part(token_mean)}),
        ("disco", "penalty", {"penalty_weighting": None}),
        ("reg_grpo", "loss", {"weighting": part(token_mean)}),
        ("spine", "penalty", {"weighting": part(fork_tokens, version="otsu")}),
    ],
)
def test_weights_under_which_a_gradient_is_another_ones_are_refused(name, slot, changes):
    assert not algorithm(name).refusals()
    assert set(algorithm(name).but(**changes).refusals()) == {slot}


# Ratios


def test_a_guarded_ratio_forgets_a_shift_of_all_tokens():
    table = table_of(random_groups([[1, 0]], [[[8], [8]]]), algorithm("grpo"))
    for loss in (part(guarded, width=4), part(guarded, width=4, target=0.1)):
        drift = view_of(table, table.old + 0.5)
        drifted = loss(view_of(table.with_columns(**loss.prepare(drift)), table.old + 0.5))
        assert torch.allclose(drifted, -table.advantage, atol=1e-5)


def test_guarding_without_width_is_clipping():
    table = shifted(table_of(random_groups(MIXED), algorithm("grpo")))
    loss, view = part(guarded, width=0), view_of(table, table.behaviour)
    found = loss(view_of(table.with_columns(**loss.prepare(view)), table.behaviour))
    assert torch.equal(found, clipped(view))


def test_a_bucket_of_one_token_is_left_alone():
    table = table_of(random_groups([[1, 0]], [[[3], [2]]]), algorithm("grpo"))
    columns = part(guarded, width=1).prepare(view_of(table, table.old + 0.5))
    assert columns["centre"].tolist() == pytest.approx([0.5, 0.5, 0.0, 0.5, 0.5])


def test_shaping_touches_off_policy_rows_only():
    table = table_of(random_groups([[1, 0]], [[[2], [2]]]), algorithm("grpo"))
    table = table.with_columns(off_policy=(table.episode == 0).long())
    loss, logprobs = part(shaped_off_policy, gamma=1.0), table.old + 0.1
    found = loss(view_of(table.with_columns(**loss.prepare(view_of(table, logprobs))), logprobs))
    plain = clipped(view_of(table, logprobs))
    assert torch.equal(found[2:], plain[2:])
    assert (found[:2] > plain[:2]).all()


def test_an_undecided_policy_trusts_the_tokens_ratio():
    record = algorithm("dhpo_entropy")
    table = table_of(random_groups([[1, 0]], [[[2], [2]]]), algorithm("grpo"))
    live, rows = torch.tensor([0.0, 2.0, 1.0, 0.5]), torch.arange(4)
    columns = record.loss.prepare(View(table, rows, table.old, live))
    assert columns["alpha"].tolist() == [0.0, 1.0, 0.5, 0.25]


# Weights and penalties


def test_importance_is_truncated_and_one_where_engine_and_learner_agree():
    table = table_of(random_groups([[1, 0]], [[[2], [1]]]))
    table = table.with_columns(old=table.behaviour + torch.tensor([0.0, 5.0, -1.0]))
    factor = truncated_importance(table, cap=3.0) / seq_mean_token_mean(table)
    assert factor.tolist() == pytest.approx([1.0, 3.0, np.exp(-1)], rel=1e-5)


def test_imitation_is_of_one_agents_rows():
    rng = np.random.default_rng(0)
    table = table_of([group([conversation(rng, [2]), conversation(rng, [3], agent="teacher")])])
    found = imitation(view_of(table, table.behaviour), coef=0.1)
    assert not found[:2].any()
    torch.testing.assert_close(found[2:], -0.1 * table.behaviour[2:])
    assert not imitation(view_of(table, table.behaviour), coef=0.1, agent="nobody").any()


@pytest.mark.parametrize("name", ["spine", "spine_otsu"])
def test_forks_of_the_majority_become_likelier(tiny, name):
    rng, record = np.random.default_rng(0), algorithm(name)
    said = [conversation(rng, [6], answer=answer) for answer in ("a", "a", "b", None)]
    groups = record.shape([group(*said)])
    learner = learner_of(tiny, record, lr=1e-3)
    table = learner.annotate(table_of(groups, record))
    forks, before = record.weighting(table) > 0, plain_logprobs(learner.model, table)
    learner.update(table)
    gain = plain_logprobs(learner.model, table) - before
    assert 0 < int(forks.sum()) < len(table)
    assert gain[forks & (table.episode < 2)].mean() > 0 > gain[forks & (table.episode > 1)].mean()


def test_a_vote_reads_no_label():
    rng, record = np.random.default_rng(0), algorithm("spine")
    said = [conversation(rng, [1], answer=a, reward=r) for a, r in (("x", 0), ("x", 0), ("y", 1))]
    (shaped,) = record.shape([group(*said)])
    assert [episode.main.reward for episode in shaped.episodes] == [1.0, 1.0, 0.0]


def test_indistinct_answers_are_masked_by_their_tokens():
    groups = random_groups([[1, 0, 1, 0]], [[[4]] * 4])
    record = algorithm("dagrpo")
    table = table_of(groups, record)
    alike = table.with_columns(score=torch.zeros(len(table)))
    assert not record.weighting(alike).any()
    assert float(table.score.min()) > 0


# Memories


def test_the_worse_group_gains_weight_and_memory_survives_json():
    weights = GroupWeights(0.1)
    easy, hard = weights.factors(["easy", "hard"], torch.tensor([0.1, 0.9]).double()).tolist()
    assert hard > easy
    other = GroupWeights(0.1)
    other.load_state_dict(json.loads(json.dumps(weights.state_dict())))
    again = [w.factors(["hard", "new"], torch.ones(2).double()).tolist() for w in (weights, other)]
    assert again[0] == again[1]
    assert sum(np.exp(list(weights.log_q.values()))) == pytest.approx(1.0)


def test_one_group_of_tasks_is_plain_dpo(tiny):
    learner = learner_of(tiny, "group_robust_dpo")
    table = learner.annotate(table_of(random_groups([[1, 0]], [[[3], [2]]])))
    credit = learner.algorithm.advantage(table, random_groups([[1, 0]], [[[3], [2]]]))
    weight = learner.algorithm.weighting(table)
    assert (credit * weight).tolist() == pytest.approx([0.05] * 3 + [-0.05] * 2)


class Patient:
    """A `Play` in which only attempts with many turns earn something."""

    def __init__(self, step):
        self.step = step
        self.rng = np.random.default_rng(step)

    async def __call__(self, task, attempt, direction):
        played = conversation(self.rng, [1], reward=float(direction.max_turns >= 4))
        return Episode(task=task, attempt=attempt, trajectories=(played,))


def steps(strategy, first, last):
    """The strategy after these steps, on two tasks each."""
    for step in range(first, last):
        for number in (0, 1):
            asyncio.run(strategy(Task(env="t", data={"n": number}), 8, Patient(step)))
    return strategy


def test_budgets_that_earn_are_drawn_more_often():
    odds = steps(LearnedBudgets(grid=(1, 2, 4)), 0, 20).odds()
    assert odds[2] > 0.8


def test_budgets_go_on_from_a_checkpoint():
    whole, half = steps(LearnedBudgets(grid=(1, 4)), 0, 6), steps(LearnedBudgets(grid=(1, 4)), 0, 3)
    resumed = LearnedBudgets(grid=(1, 4))
    resumed.load_state_dict(json.loads(json.dumps(half.state_dict())))
    assert steps(resumed, 3, 6).state_dict() == whole.state_dict()
