"""The float32 head of a 16-bit model, and checkpointed adapters: no other mathematics."""

import copy

import pytest
import torch
from builders import error, gradients, learner_of, mixed_groups, table_of
from torch.nn.functional import linear
from transformers import AutoModelForCausalLM

from agentrl.algorithms import algorithm
from agentrl.backends.head import Float32Head, float32_head
from agentrl.backends.load import pretrained
from agentrl.errors import ConfigError

IDS = torch.tensor([[1, 5, 9, 30, 41, 7]])


def half(tiny, **options):
    return pretrained(tiny.folder, dtype="bfloat16", **options)[0]


@pytest.mark.parametrize("lora_rank", [0, 2])
@pytest.mark.parametrize("autocast", [False, True])
@torch.no_grad()
def test_logits_are_made_in_float32(tiny, lora_rank, autocast):
    model = half(tiny, head="float32", lora_rank=lora_rank).eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = model(IDS, output_hidden_states=True)
    weight = model.get_output_embeddings().weight
    assert weight.dtype == model.dtype == torch.bfloat16
    expected = linear(output.hidden_states[-1].float(), weight.float())
    assert output.logits.dtype == torch.float32
    torch.testing.assert_close(output.logits, expected)


def test_the_checkpoint_is_that_of_the_model_as_it_was(tiny, tmp_path):
    model = half(tiny, head="float32")
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.dtype == torch.bfloat16
    assert type(again.get_output_embeddings()) is torch.nn.Linear
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_copy_has_a_head_of_its_own(tiny):
    model = half(tiny, head="float32").eval()
    copied = copy.deepcopy(model)
    before = copied(IDS).logits.clone()
    model.get_output_embeddings().weight.data.mul_(2.0)
    assert torch.equal(copied(IDS).logits, before)
    assert isinstance(copied.get_output_embeddings(), Float32Head)


@pytest.mark.parametrize("head_chunk", [0, 3])
def test_it_trains_like_any_head(tiny, head_chunk):
    """In float32 it is no change at all: tied weights get both of their gradients."""
    changed = tiny.fresh()
    float32_head(changed)
    table = table_of(mixed_groups(), algorithm("grpo"))
    found = gradients(learner_of(tiny, model=changed, head_chunk=head_chunk), table)
    assert error(found, gradients(learner_of(tiny), table)) < 1e-5


@torch.no_grad()
def test_log_probs_come_closer_to_those_of_float32(tiny):
    exact = half(tiny).float().eval()(IDS).logits.log_softmax(-1)
    noise = {}
    for head in ("same", "float32"):
        found = half(tiny, head=head).eval()(IDS).logits.float().log_softmax(-1)
        noise[head] = float((found - exact).abs().mean())
    assert noise["float32"] < noise["same"]


def test_another_kind_of_head_is_refused(tiny):
    model = tiny.fresh()
    model.lm_head = torch.nn.Sequential(model.lm_head)
    with pytest.raises(ConfigError, match="has a Sequential as its head"):
        float32_head(model)


@pytest.mark.parametrize("reentrant", [None, True])
def test_checkpointed_adapters_get_the_same_gradient(tiny, reentrant):
    """The embeddings are frozen, so a checkpoint might find nothing that asks for a gradient."""
    table = table_of(mixed_groups(), algorithm("grpo"))
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model, _ = pretrained(tiny.folder, lora_rank=2)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        learner = learner_of(tiny, model=model, gradient_checkpointing=checkpointing)
        if checkpointing and reentrant:
            model.gradient_checkpointing_enable({"use_reentrant": True})
        learner.model.train()
        found.append(gradients(learner, table))
    assert error(*found) < 1e-5
