"""The learner: gradients that no split changes, the columns it makes, and the steps it takes."""

import asyncio
import math

import numpy as np
import peft
import pytest
import torch
from agentrl.envs.echo import Echo
from builders import (
    completion,
    conversation,
    draw,
    follow,
    gradients,
    group,
    learner_of,
    mixed_groups,
    plain_logprobs,
    random_groups,
    table_of,
    turn,
    view_of,
    weights,
)

from agentrl.agents import chat as chat_agent
from agentrl.agents.chat import ChatAgent, Limits
from agentrl.algorithms import NAMES, algorithm
from agentrl.algorithms.base import part
from agentrl.backends.hf import HFPolicy
from agentrl.errors import PolicyError
from agentrl.learner import lr_shape
from agentrl.losses import sequence_clipped
from agentrl.penalties import kl
from agentrl.rollout import Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Message, Sampling, Task, Trajectory, Turn

BUDGETS = [1, 17, 40, 10_000]
WITH_KL = algorithm("grpo").but(penalty=part(kl, coef=0.1))


def off_policy_table(learner, record, groups, noise=0.3):
    """An annotated table whose `old` (and `ref`) are off by up to `noise` nats, so that clips act."""
    table = learner.annotate(table_of(groups, record))
    generator = torch.Generator().manual_seed(0)
    for name in {"old", "ref"} & set(table.columns):
        shift = noise * (2 * torch.rand(len(table), generator=generator) - 1)
        table = table.with_columns(**{name: table.columns[name] + shift})
    return table


def error(found, expected):
    """The largest difference as a share of the largest number."""
    assert float(expected.abs().max()) > 0, "nothing to compare: the gradient is zero"
    return float((found - expected).abs().max() / expected.abs().max())


# Gradients


@pytest.mark.parametrize("name", NAMES)
def test_no_split_changes_the_gradient(tiny, name):
    found = []
    for budget in BUDGETS:
        learner = learner_of(tiny, name, token_budget=budget, epochs=2)
        table = off_policy_table(learner, algorithm(name), mixed_groups())
        found.append(gradients(learner, table))
    assert max(error(other, found[-1]) for other in found[:-1]) < 1e-5


def test_no_split_changes_the_gradient_in_double_precision(tiny):
    found = []
    for budget in BUDGETS:
        learner = learner_of(tiny, model=tiny.fresh().double(), token_budget=budget, epochs=2)
        table = table_of(mixed_groups(), algorithm("grpo"))
        found.append(gradients(learner, table.with_columns(old=table.behaviour - 4)))
    assert max(error(other, found[-1]) for other in found[:-1]) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_groups_does_not_matter(tiny, name):
    groups, record = mixed_groups(), algorithm(name)
    learner = learner_of(tiny, name)
    forward, backward = (table_of(of, record) for of in (groups, groups[::-1]))
    expected = gradients(learner, learner.annotate(forward))
    assert error(gradients(learner, learner.annotate(backward)), expected) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_zero_advantage_is_exactly_zero_gradient(tiny, name):
    learner = learner_of(tiny, name, epochs=2)
    table = off_policy_table(learner, algorithm(name), random_groups([[1, 1], [0, 0]]), noise=0)
    assert not table.advantage.any()
    assert not gradients(learner, table).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_advantage_token_moves_nothing_even_off_policy(tiny, name):
    learner = learner_of(tiny, name, epochs=2, penalty=False)
    table = off_policy_table(learner, learner.algorithm, mixed_groups())
    assert not gradients(learner, table.with_columns(advantage=torch.zeros(len(table)))).any()


def test_the_gradient_is_the_score_function_estimator(tiny):
    learner = learner_of(tiny, "reinforce")
    table = table_of(mixed_groups(), algorithm("reinforce"))
    learner.model.zero_grad()
    weight = learner.algorithm.weighting(table) * table.advantage
    for number, sample in enumerate(table.samples):
        rows = (table.sample == number).nonzero()[:, 0]
        scores = learner.model(torch.from_numpy(sample.ids)[None]).logits[0].log_softmax(-1)
        (-weight[rows] * scores[table.position[rows] - 1, table.ids[rows]]).sum().backward()
    expected = torch.cat([p.grad.flatten().clone() for p in learner.model.parameters()])
    assert error(gradients(learner, table), expected) < 1e-5


def test_a_step_makes_rewarded_tokens_likelier(tiny):
    learner = learner_of(tiny)
    table = table_of(random_groups([[1, 0]], [[[3, 2], [4]]]), algorithm("grpo"))
    before = plain_logprobs(learner.model, table)
    learner.update(learner.annotate(table))
    gain = plain_logprobs(learner.model, table) - before
    assert gain[table.episode == 0].mean() > 0 > gain[table.episode == 1].mean()


def test_only_positions_before_sampled_tokens_have_gradient(tiny):
    learner, seen = learner_of(tiny, token_budget=10_000), []
    norm = learner.model.get_decoder().norm
    norm.register_forward_hook(lambda module, inputs, output: (output.retain_grad(), seen.append(output)))
    table = table_of([group(*(conversation(np.random.default_rng(i), [2, 3], reward=i) for i in (0, 1)))])
    gradients(learner, table.with_columns(advantage=torch.ones(len(table))))
    touched = torch.cat([states.grad.abs().sum(-1) > 0 for states in seen])
    before = torch.zeros_like(touched)
    before[table.sample, table.position - 1] = True
    assert touched.sum() == len(table)
    assert torch.equal(touched, before)


def silent_end(rng, last):
    """A conversation whose last turn says nothing: its sample ends in the reply `last`."""
    first = turn(draw(rng, 3), draw(rng, 4))
    return Trajectory(turns=(first, Turn(spans=follow(first, last), completion=completion([]))))


def test_what_follows_the_last_sampled_token_does_not_matter(tiny):
    learner, found = learner_of(tiny, "reinforce"), []
    for last in ([1, 2, 3], [3, 9, 9]):
        table = table_of([group(silent_end(np.random.default_rng(0), last))])
        found.append(gradients(learner, table.with_columns(advantage=torch.ones(len(table)))))
    assert error(*found) < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_environment_text_never_changes_a_weight_or_an_advantage(name):
    record, lengths = algorithm(name), [[[2, 3], [4]], [[1], [2, 2, 2]]]
    short = random_groups([[1, 0], [0, 1]], lengths, opening=2, reply=1, seed=1)
    long = random_groups([[1, 0], [0, 1]], lengths, opening=9, reply=7, seed=2)
    short, long = table_of(short, record), table_of(long, record)
    assert torch.equal(short.advantage, long.advantage)
    assert torch.equal(record.weighting(short), record.weighting(long))


@pytest.mark.parametrize("token", [0, 1, 5, 63])
def test_every_token_id_learns(tiny, token):
    learner = learner_of(tiny, "reinforce")
    assert learner.model.get_input_embeddings().padding_idx is None
    said = Trajectory(turns=(turn([7, 8, 9], [token, token]),))
    table = table_of([group(said)]).with_columns(advantage=torch.ones(2))
    learner.model.zero_grad()
    ids = torch.tensor([[7, 8, 9, token, token]])
    scores = learner.model(ids).logits[0].log_softmax(-1)
    (-(scores[2, token] + scores[3, token]) / 2).backward()
    expected = learner.model.get_input_embeddings().weight.grad.clone()
    gradients(learner, table)
    assert expected[token].any()
    assert error(learner.model.get_input_embeddings().weight.grad, expected) < 1e-5


def test_a_token_clipped_from_its_good_side_has_no_gradient(tiny):
    learner = learner_of(tiny, epochs=2)
    table = learner.annotate(table_of(random_groups([[0]])))
    good = table.with_columns(old=table.old - 1, advantage=torch.ones(len(table)))
    bad = table.with_columns(old=table.old - 1, advantage=-torch.ones(len(table)))
    assert not gradients(learner, good).any()
    assert gradients(learner, bad).any()


def test_a_trajectory_ratio_that_a_split_would_change_raises(tiny):
    record = algorithm("gspo").but(loss=part(sequence_clipped, level="trajectory"))
    learner = learner_of(tiny, record, token_budget=1)
    with pytest.raises(ValueError, match="split between micro-batches"):
        learner.step(table_of(mixed_groups(), record))


def test_gradient_checkpointing_changes_nothing(tiny):
    table = table_of(mixed_groups(), algorithm("grpo"))
    learner = learner_of(tiny, gradient_checkpointing=True)
    learner.model.train()
    assert error(gradients(learner, table), gradients(learner_of(tiny), table)) < 1e-5


# Columns


def test_old_is_the_learners_own_log_prob(tiny):
    learner = learner_of(tiny, epochs=2, temperature=0.7)
    table = learner.annotate(table_of(mixed_groups()))
    expected = plain_logprobs(learner.model, table, 0.7)
    torch.testing.assert_close(table.old, expected, atol=1e-5, rtol=0)
    assert float((table.old - table.behaviour).abs().max()) > 0.1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_on_policy_shortcut_equals_annotating(tiny, name, budget):
    found = []
    for epochs in (1, 2):
        learner = learner_of(tiny, name, epochs=epochs, token_budget=budget)
        table = learner.annotate(table_of(mixed_groups(), learner.algorithm))
        found.append(gradients(learner, table))
        assert learner.on_policy == (epochs == 1)
    assert error(*found) < 1e-4


def test_behaviour_never_enters_the_gradient(tiny):
    learner = learner_of(tiny)
    table = table_of(mixed_groups(), algorithm("grpo"))
    other = table.with_columns(behaviour=table.behaviour + 3, old=table.old - 2)
    assert torch.equal(gradients(learner, table), gradients(learner, other))


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


@pytest.mark.parametrize("name", NAMES)
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
    answer = asyncio.run(rollout.groups(tasks, attempts, cast, seed=1, strategy=independent))
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
    first = say(policy, opening)
    policy.load(tiny.fresh(seed=1).state_dict())
    spans = chat_agent.follow(opening, first, policy, "say blue")
    second = Turn(spans=spans, completion=say(policy, spans))
    table = table_of([group(Trajectory(turns=(second,)))])
    expected = plain_logprobs(policy.model, table)
    torch.testing.assert_close(table.behaviour, expected, atol=1e-4, rtol=0)


# Penalties and the reference


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("k1", [-math.log(2), math.log(2)]),
        ("k2", [math.log(2) ** 2 / 2, math.log(2) ** 2 / 2]),
        ("k3", [2 - math.log(2) - 1, 0.5 + math.log(2) - 1]),
    ],
)
def test_kl_estimators(estimator, expected):
    table = table_of(random_groups([[0]], [[[2]]])).with_columns(ref=torch.tensor([0.5, 0.25]).log())
    values = kl(view_of(table, torch.tensor([0.25, 0.5]).log()), coef=2.0, estimator=estimator)
    assert values.tolist() == pytest.approx([2 * value for value in expected], abs=1e-6)


def test_k1_and_k3_are_unbiased():
    policy, reference = torch.randn(2, 9).double().log_softmax(-1)
    table = table_of(random_groups([[0]], [[[9]]])).with_columns(ref=reference)
    exact = float((policy.exp() * (policy - reference)).sum())
    for estimator in ("k1", "k3"):
        values = kl(view_of(table, policy), coef=1.0, estimator=estimator)
        assert float((policy.exp() * values).sum()) == pytest.approx(exact, abs=1e-9)


def test_a_penalty_without_coefficient_is_off(tiny):
    learner = learner_of(tiny, "grpo")
    assert learner.reference is None
    assert "ref" not in learner.annotate(table_of(mixed_groups())).columns


def test_the_reference_is_the_model_before_training(tiny):
    learner = learner_of(tiny, WITH_KL)
    table = learner.annotate(table_of(mixed_groups(), WITH_KL))
    expected = plain_logprobs(tiny.fresh(), table)
    torch.testing.assert_close(table.ref, expected, atol=1e-5, rtol=0)


def test_steps_leave_the_reference_alone(tiny):
    learner = learner_of(tiny, WITH_KL)
    table = table_of(mixed_groups(), WITH_KL)
    before, start = weights(learner.reference), learner.annotate(table).ref
    learner.update(learner.annotate(table))
    assert torch.equal(weights(learner.reference), before)
    assert torch.equal(learner.annotate(table).ref, start)
    assert not torch.equal(weights(learner.model), before)


def test_the_penalty_pulls_back_to_the_reference(tiny):
    learner = learner_of(tiny, WITH_KL)
    table = table_of(mixed_groups(), WITH_KL)
    for _ in range(3):
        learner.update(learner.annotate(table))
    table = table.with_columns(advantage=torch.zeros(len(table)))
    distance = [learner.update(learner.annotate(table))["learner/kl"] for _ in range(5)]
    assert distance[0] > distance[-1] >= 0


def lora(tiny):
    """A tiny model under a LoRA adapter that already does something."""
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(0)
    return peft.get_peft_model(tiny.fresh(), config)


def test_a_lora_models_reference_is_its_base(tiny):
    learner = learner_of(tiny, WITH_KL, model=lora(tiny), epochs=2)
    table = learner.annotate(table_of(mixed_groups(), WITH_KL))
    assert learner.reference is None
    expected = plain_logprobs(tiny.fresh(), table)
    torch.testing.assert_close(table.ref, expected, atol=1e-5, rtol=0)
    assert float((table.old - table.ref).abs().max()) > 1e-3


def test_a_step_changes_the_adapter_only(tiny):
    learner = learner_of(tiny, WITH_KL, model=lora(tiny))
    before = {n: p.detach().clone() for n, p in learner.model.named_parameters()}
    learner.update(learner.annotate(table_of(mixed_groups(), WITH_KL)))
    after = dict(learner.model.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "lora_" in name}


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
def test_the_gradient_norm_is_clipped(tiny, limit, monkeypatch):
    learner = learner_of(tiny, max_grad_norm=limit)
    norms = []
    step = learner.optimizer.step
    parameters = list(learner.model.parameters())
    total = lambda: norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in parameters])))  # noqa: E731
    monkeypatch.setattr(learner.optimizer, "step", lambda: (total(), step()))
    metrics = learner.step(table_of(mixed_groups(), algorithm("grpo")))
    assert norms[0] == pytest.approx(min(limit, metrics["learner/grad_norm"]), rel=1e-3)


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


@pytest.mark.parametrize("name", NAMES)
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


def test_a_saved_state_goes_on_as_if_never_saved(tiny):
    options = {"name": WITH_KL, "schedule": "cosine", "warmup_steps": 1}
    whole, first = (trained(learner_of(tiny, **options), steps) for steps in (4, 2))
    model = tiny.fresh()
    model.load_state_dict(first.model.state_dict())
    second = learner_of(tiny, model=model, **options)
    second.load_state_dict(first.state_dict())
    assert torch.equal(weights(trained(second, 2).model), weights(whole.model))
