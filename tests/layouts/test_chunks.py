"""Chunks of the output head and of the decoder layers change no number, only what is held."""

import numpy as np
import pytest
import torch
from builders import error, gradients, learner_of, mixed_groups, random_groups, table_of
from comparing import TREES, branches, differences, in_double, said, small, tree_table, value_head
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agentrl.errors import ConfigError
from agentrl.layouts import LAYOUTS, head, streaming

CHUNKS = [
    {"head_chunk": 1},
    {"head_chunk": 3},
    {"layer_chunk": 1},
    {"layer_chunk": 4},
    {"layer_chunk": 1000},
    {"head_chunk": 2, "layer_chunk": 5},
]
chunked = pytest.mark.parametrize("chunks", CHUNKS, ids=str)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig),
    "mistral": (MistralForCausalLM, MistralConfig),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config),
}


def random_model(kind, **options):
    """A model of some type, with grouped queries and no windows."""
    made, config = MODELS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return made(small(config, sliding_window=None, initializer_range=0.1, **options))


@chunked
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_chunks_change_nothing(tiny, chunks, layout, budget):
    model, table = tiny.fresh(), table_of(mixed_groups())
    head = value_head(model)
    expected = said("padded", model, table, head=head)
    found = said(layout, model, table, budget, head=head, **chunks)
    assert len(found) == 3
    assert max(differences(model, found, expected)) < 1e-5


@settings(max_examples=20)
@given(TREES, st.integers(0, 4), st.integers(0, 4), st.sampled_from(sorted(LAYOUTS)))
def test_random_chunks_of_random_trees(tiny, trees, heads, layers, layout):
    model, table = tiny.fresh(), tree_table(trees)
    if len(table):
        expected = said("padded", model, table)
        found = said(layout, model, table, 20, head_chunk=heads, layer_chunk=layers)
        assert max(differences(model, found, expected)) < 1e-5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_double_precision_agrees_to_ten_digits(tiny, layout):
    model = in_double(tiny.fresh())
    table = tree_table(branches(np.random.default_rng(0)))
    head = value_head(model)
    expected = said("padded", model, table, head=head)[2:]
    found = said(layout, model, table, head=head, head_chunk=2, layer_chunk=3)[2:]
    assert max(differences(model, found, expected)) < 1e-10


@pytest.mark.parametrize("chunks", CHUNKS[1::4], ids=str)
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_models_and_attentions(kind, attention, chunks):
    model, table = random_model(kind), table_of(random_groups([[1, 0]]))
    model.set_attn_implementation(attention)
    expected = said("padded", model, table)
    for layout in LAYOUTS:
        assert max(differences(model, said(layout, model, table, **chunks), expected)) < 1e-5


@chunked
def test_adapters_alone_learn(chunks):
    adapters = LoraConfig(r=2, init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(random_model("qwen3"), adapters)
    table = table_of(random_groups([[1, 0]]))
    expected = said("padded", model, table)
    assert max(differences(model, said("padded", model, table, **chunks), expected)) < 1e-5


@chunked
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_temperatures(tiny, chunks, temperature):
    model, table = tiny.fresh(), table_of(mixed_groups())
    expected = said("padded", model, table, temperature=temperature)
    found = said("padded", model, table, temperature=temperature, **chunks)
    assert max(differences(model, found, expected)) < 1e-5


def learned(tiny, **options):
    """A learner's gradient of every parameter of one step."""
    learner, groups = learner_of(tiny, epochs=2, **options), mixed_groups()
    table = learner.algorithm.credit(learner.annotate(table_of(groups)), groups)
    gradients(learner, table.with_columns(old=table.old - 0.1))
    return {name: weight.grad for name, weight in learner.model.named_parameters()}


@chunked
def test_learners_learn_the_same(tiny, chunks):
    expected, found = learned(tiny), learned(tiny, **chunks)
    assert max(error(found[name], expected[name]) for name in expected) < 1e-5


@chunked
def test_mixed_precision_stays_what_it_is(tiny, accelerate_anew, chunks):
    expected, found = (learned(tiny, precision="bf16", **options) for options in ({}, chunks))
    apart = [float((found[n] - expected[n]).norm() / expected[n].norm()) for n in expected]
    assert max(apart) < 0.05


def test_the_head_never_holds_more_logits_than_a_chunk(tiny):
    model, table = tiny.fresh(), table_of(mixed_groups())
    seen = []
    model.lm_head.register_forward_hook(lambda _, __, logits: seen.append(logits[..., 0].numel()))
    parts = said("padded", model, table, head_chunk=3)
    forward = len(seen)
    parts[0].sum().backward()
    assert max(seen) == 3
    assert len(seen) > forward, "the backward pass makes them again"


def test_the_layers_never_hold_more_positions_than_a_chunk(tiny):
    model, table = tiny.fresh(), table_of(random_groups([[1, 0]]))
    widths = []
    for layer in model.model.layers:
        layer.mlp.register_forward_hook(lambda _, given, __: widths.append(given[0].shape[1]))
    said("padded", model, table, layer_chunk=4)[0].sum().backward()
    longest = max(len(sample.ids) for sample in table.samples)
    assert max(widths) == 4 < longest


def test_a_streamed_layer_keeps_its_input_and_nothing_else(tiny):
    model, table = tiny.fresh(), table_of(random_groups([[1]]))
    held = []

    def keep(tensor):
        held.append(tensor)
        return tensor

    (batch,) = LAYOUTS["padded"]().batches(table, 10_000)
    inputs = head.Inputs(batch.input_ids)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        streaming.streamed(model, inputs, 4)
    weights = {id(weight) for weight in model.parameters()}
    widths = [part.shape[-1] for part in held if id(part) not in weights and part.dim() == 3]
    assert widths.count(model.config.hidden_size) <= model.config.num_hidden_layers + 3


def test_work_of_attention_falls_with_chunks():
    assert streaming.attention_work(7, 7) == 1
    assert streaming.attention_work(64, 1) == pytest.approx(65 / 128)


@pytest.mark.parametrize("chunks", [{"head_chunk": -1}, {"layer_chunk": -1}], ids=str)
def test_chunks_are_counts(tiny, chunks):
    with pytest.raises(ConfigError, match="-1: give positions"):
        learner_of(tiny, **chunks)


@pytest.mark.parametrize("chunks", [{"head_chunk": 2}, {"layer_chunk": 2}], ids=str)
def test_unknown_models_are_refused(tiny, chunks):
    shape = {"n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 300}
    model = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=1))
    with pytest.raises(ConfigError, match="not gpt2"):
        learner_of(tiny, model=model, **chunks)


def test_streaming_replaces_checkpointing(tiny):
    with pytest.raises(ConfigError, match="gradient_checkpointing"):
        learner_of(tiny, layer_chunk=2, gradient_checkpointing=True)


def test_streaming_refuses_dropout():
    model = random_model("llama", attention_dropout=0.1).train()
    with pytest.raises(ConfigError, match="dropout"):
        LAYOUTS["padded"](layer_chunk=2).check(model)
    LAYOUTS["padded"](layer_chunk=2).check(model.eval())


def test_checkpointing_and_a_chunked_head_go_together(tiny):
    found = []
    for options in ({}, {"gradient_checkpointing": True, "head_chunk": 3, "layout": "tree"}):
        learner = learner_of(tiny, epochs=2, **options)
        learner.model.train()
        table = learner.annotate(table_of(mixed_groups(), learner.algorithm))
        found.append(gradients(learner, table))
    assert error(found[1], found[0]) < 1e-5


def test_mixed_precision_holds_in_both_passes(tiny, accelerate_anew):
    learner = learner_of(tiny, precision="bf16", layer_chunk=4)
    kinds = []
    for layer in learner.model.model.layers:
        layer.mlp.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    gradients(learner, table_of(random_groups([[1, 0]]), learner.algorithm))
    assert set(kinds) == {torch.bfloat16}
