"""The learner: the columns it makes, that engine and learner agree, and the steps it takes."""

import asyncio
import io
import math

import numpy as np
import pytest
import torch
from builders import (
    BASE,
    error,
    group,
    learner_of,
    mixed_groups,
    plain_logprobs,
    table_of,
    weights,
)

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.backends.hf import HFPolicy
from agentrl.envs.echo import Echo
from agentrl.errors import PolicyError
from agentrl.learner import lr_shape
from agentrl.penalties import kl
from agentrl.protocols import Choice
from agentrl.rollout import Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Message, Sampling, Task, Trajectory, Turn

WITH_KL = algorithm("grpo").but(penalty=part(kl, coef=0.1))


# Columns


def test_old_is_the_learners_own_log_prob(tiny):
    learner = learner_of(tiny, epochs=2, temperature=0.7)
    table = learner.annotate(table_of(mixed_groups()))
    expected = plain_logprobs(learner.model, table, 0.7)
    torch.testing.assert_close(table.old, expected, atol=1e-5, rtol=0)
    assert float((table.old - table.behaviour).abs().max()) > 0.1


def test_entropies_are_made_when_a_part_needs_them(tiny):
    def credit(table, groups):
        return table.entropy

    credit.needs = ("entropy",)
    learner = learner_of(tiny, algorithm("grpo").but(advantage=part(credit)))
    table = learner.annotate(table_of(mixed_groups()))
    assert 0 < float(table.entropy.min()) <= float(table.entropy.max()) <= math.log(300) + 1e-4


def test_the_gap_between_engine_and_learner_is_reported(tiny):
    learner = learner_of(tiny, epochs=2)
    table = learner.annotate(table_of(mixed_groups(), algorithm("grpo")))
    metrics = learner.step(table.with_columns(behaviour=table.old + 0.25))
    assert metrics["learner/gap"] == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("name", BASE)
def test_metrics_are_means_whatever_the_weights_sum_to(tiny, name):
    learner = learner_of(tiny, name, epochs=2, token_budget=20)
    table = learner.annotate(table_of(mixed_groups(), learner.algorithm))
    metrics = learner.step(table.with_columns(behaviour=table.old + 0.25))
    assert metrics["learner/gap"] == pytest.approx(0.25, abs=1e-5)


def play(policy, turns=2, attempts=4):
    """Groups of real episodes: `attempts` at each of two echo tasks."""
    words = [["red", "blue"], ["teal", "lime"]]
    tasks = [Task(env="echo", data={"words": w[:turns], "number": 1}) for w in words]
    pool = EnvPool(lambda: Echo(turns=turns), 30.0)
    agent = ChatAgent(Limits(turn_tokens=6))
    rollout = Rollout(pool=pool, agent=agent)
    cast = seated({"main": policy}, 1.3)
    answer = asyncio.run(
        rollout.groups([Choice(t, attempts) for t in tasks], cast, seed=1, strategy=independent)
    )
    pool.close()
    return answer


def test_the_engine_reports_the_learners_log_probs(tiny):
    learner = learner_of(tiny, temperature=1.3, epochs=2)
    table = learner.annotate(table_of(play(HFPolicy(learner.model, tiny.chat))))
    assert len(table) > 20
    torch.testing.assert_close(table.behaviour, table.old, atol=1e-4, rtol=0)


def test_a_played_conversation_is_one_sample_of_sampled_ids(tiny):
    groups = play(HFPolicy(tiny.fresh(), tiny.chat))
    table = table_of(groups)
    said = [t.completion.ids for g in groups for e in g.episodes for t in e.main.turns]
    assert table.ids.tolist() == np.concatenate(said).tolist()
    assert table.count("turn") == 2 * table.count("sample") == 16
    for ids in said:
        assert not np.isin(ids[:-1], list(tiny.chat.end_ids)).any()


def say(policy, spans):
    """One completion, outside of any episode."""
    return asyncio.run(policy.complete(spans, Sampling(max_tokens=8, seed=3)))


def test_new_weights_forget_what_old_ones_cached(tiny):
    policy = HFPolicy(tiny.fresh(), tiny.chat)
    opening = tiny.chat.opening([Message("user", "say red")])
    first = say(policy, opening.spans)
    policy.load(tiny.fresh(seed=1).state_dict())
    spans = tiny.chat.follow(opening, first, [Message("user", "say blue")]).spans
    second = Turn(spans=spans, completion=say(policy, spans))
    table = table_of([group(Trajectory(turns=(second,)))])
    expected = plain_logprobs(policy.model, table)
    torch.testing.assert_close(table.behaviour, expected, atol=1e-4, rtol=0)


# Steps


def test_metrics_name_loss_norm_and_rate(tiny):
    learner = learner_of(tiny, epochs=2, lr=1e-3)
    metrics = learner.update(learner.annotate(table_of(mixed_groups(), algorithm("grpo"))))
    wanted = {"loss", "grad_norm", "lr", "gap", "clip_fraction"}
    assert {f"learner/{name}" for name in wanted} <= set(metrics)
    assert metrics["learner/lr"] == pytest.approx(1e-3)
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(("epochs", "minibatches"), [(1, 1), (3, 1), (1, 3), (2, 3), (2, 2)])
def test_epochs_times_minibatches_are_optimiser_steps(tiny, epochs, minibatches):
    learner = learner_of(tiny, epochs=epochs, minibatches=minibatches)
    table = learner.annotate(table_of(mixed_groups(), algorithm("grpo")))
    learner.update(table)
    taken = {int(state["step"]) for state in learner.optimizer.state_dict()["state"].values()}
    assert taken == {epochs * minibatches}
    assert learner.scheduler.last_epoch == epochs * minibatches


def test_more_minibatches_than_groups_are_as_many_as_groups(tiny):
    learner = learner_of(tiny, minibatches=7)
    learner.update(learner.annotate(table_of(mixed_groups(), algorithm("grpo"))))
    assert learner.scheduler.last_epoch == 3


def test_minibatches_are_steps_on_their_groups_alone(tiny):
    groups, record = mixed_groups(), algorithm("grpo")
    split, single = learner_of(tiny, minibatches=3), learner_of(tiny, epochs=2)
    table = split.annotate(table_of(groups, record))
    split.update(table)
    for number in range(3):
        single.step(table.select_groups(torch.arange(3) == number))
    assert error(weights(split.model), weights(single.model)) < 1e-6


def test_gradients_do_not_add_up_over_steps(tiny):
    learner = learner_of(tiny, "reinforce", lr=0.0)
    table = table_of(mixed_groups(), algorithm("reinforce"))
    first, second = learner.step(table), learner.step(table)
    assert first["learner/grad_norm"] == second["learner/grad_norm"]


@pytest.mark.parametrize("limit", [1e-3, 1e3])
def test_the_gradient_norm_is_clipped(tiny, limit):
    learner, norms = learner_of(tiny, max_grad_norm=limit), []

    def before_step(optimizer, *arguments):
        trained = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm(trained)))

    learner.optimizer.optimizer.register_step_pre_hook(before_step)
    metrics = learner.step(table_of(mixed_groups(), algorithm("grpo")))
    assert norms == [pytest.approx(min(limit, metrics["learner/grad_norm"]), rel=1e-3)]


def test_a_gradient_that_is_not_finite_leaves_the_weights(tiny):
    learner = learner_of(tiny)
    table = table_of(mixed_groups(), algorithm("grpo"))
    before = weights(learner.model)
    with pytest.raises(PolicyError, match="weights are untouched"):
        learner.update(table.with_columns(advantage=torch.full((len(table),), torch.nan)))
    assert torch.equal(weights(learner.model), before)
    assert learner.scheduler.last_epoch == 0


def test_a_good_step_after_a_bad_one_is_a_first_step(tiny):
    learner, fresh = learner_of(tiny), learner_of(tiny)
    table = table_of(mixed_groups(), algorithm("grpo"))
    with pytest.raises(PolicyError):
        learner.update(table.with_columns(advantage=torch.full((len(table),), torch.nan)))
    learner.update(table)
    fresh.update(table)
    assert torch.equal(weights(learner.model), weights(fresh.model))


def test_a_step_without_rows_is_no_step(tiny):
    learner = learner_of(tiny, epochs=2, minibatches=2)
    table = learner.annotate(table_of([group(Trajectory())], algorithm("grpo")))
    assert learner.update(table) == {}
    assert learner.scheduler.last_epoch == 0


@pytest.mark.parametrize("name", BASE)
def test_every_record_takes_a_step(tiny, name):
    learner = learner_of(tiny, name)
    table = table_of(mixed_groups(), learner.algorithm)
    metrics = learner.update(learner.annotate(table))
    assert metrics["learner/grad_norm"] > 0
    assert not torch.equal(weights(learner.model), weights(tiny.fresh()))


@pytest.mark.usefixtures("accelerate_anew")
@pytest.mark.parametrize("name", ["grpo", "flow_grpo"])
def test_bf16_computes_everything_alike(tiny, name):
    learner = learner_of(tiny, name, precision="bf16", epochs=2, token_budget=10_000)
    table = learner.annotate(table_of(mixed_groups(), learner.algorithm))
    assert next(learner.model.parameters()).dtype == torch.float32
    if name == "flow_grpo":
        assert torch.equal(table.old, table.ref)
    exact = plain_logprobs(tiny.fresh(), table)
    assert 0 < float((table.old - exact).abs().max()) < 0.2
    assert learner.step(table)["learner/grad_norm"] > 0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25, 0, 0, 0]),
        ("cosine", [1 / 3, 2 / 3, 1, 0.853553, 0.5, 0.146447, 0, 0, 0]),
    ],
)
def test_learning_rate_shapes(schedule, expected):
    factor = lr_shape(schedule, warmup=2, horizon=6)
    assert [factor(step) for step in range(9)] == pytest.approx(expected, abs=1e-6)


def test_the_rate_of_each_step_follows_its_shape(tiny):
    learner = learner_of(tiny, lr=1.0, max_grad_norm=1e-9, warmup_steps=1, schedule="linear")
    table = table_of(mixed_groups(), algorithm("grpo"))
    rates = []
    for _ in range(3):
        rates.append(learner.optimizer.param_groups[0]["lr"])
        learner.step(table)
    assert rates == pytest.approx([0.5, 1.0, 8 / 9])


def trained(learner, steps):
    table = table_of(mixed_groups(), learner.algorithm)
    for _ in range(steps):
        learner.update(learner.annotate(table))
    return learner


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_saved_state_goes_on_as_if_never_saved(tiny):
    options = {"name": WITH_KL, "schedule": "cosine", "warmup_steps": 1}
    whole, first = (trained(learner_of(tiny, **options), steps) for steps in (4, 2))
    model = tiny.fresh()
    model.load_state_dict(first.model.state_dict())
    second = learner_of(tiny, model=model, **options)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert torch.equal(weights(trained(second, 2).model), weights(whole.model))
