"""The reference: what penalties measure against, full models and LoRA models alike."""

import math

import peft
import pytest
import torch
from builders import (
    learner_of,
    mixed_groups,
    plain_logprobs,
    random_groups,
    table_of,
    view_of,
    weights,
)

from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.penalties import kl

WITH_KL = algorithm("grpo").but(penalty=part(kl, coef=0.1))


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("k1", [-math.log(2), math.log(2)]),
        ("k2", [math.log(2) ** 2 / 2, math.log(2) ** 2 / 2]),
        ("k3", [2 - math.log(2) - 1, 0.5 + math.log(2) - 1]),
    ],
)
def test_kl_estimators(estimator, expected):
    table = table_of(random_groups([[0]], [[[2]]])).with_columns(
        ref=torch.tensor([0.5, 0.25]).log()
    )
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
