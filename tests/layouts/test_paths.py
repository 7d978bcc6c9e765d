"""Layouts that share prefixes say of every row what the padded one says, and learn the same."""

import numpy as np
import pytest
import torch
from builders import error, gradients, group, learner_of, mixed_groups, random_groups, table_of
from comparing import (
    BUDGETS,
    NAMES,
    TREES,
    attempt,
    branches,
    differences,
    gradient,
    in_double,
    said,
    small,
    tree_table,
    value_head,
)
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from agentrl.backends.tiny import tiny_model
from agentrl.errors import ConfigError
from agentrl.layouts import LAYOUTS
from agentrl.types import Trajectory

both = pytest.mark.parametrize("name", NAMES)
TABLES = {
    "every edge": table_of(mixed_groups()),
    "a fork after sampled tokens": tree_table(branches(np.random.default_rng(0))),
    "strangers": table_of(random_groups([[1, 0, 1]])),
    "one token each": tree_table([[([1, 2], 1), ([1, 3], 1), ([1, 2, 4], 2)]]),
    "a sample inside another": tree_table([[([1, 2, 3], 1), ([1, 2, 3, 4, 5], 1)]]),
    "all the same": tree_table([[([1, 2, 3], 1)] * 4]),
}


@both
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_nothing_is_said_or_learned_otherwise(tiny, name, budget, table):
    model = tiny.fresh()
    head = value_head(model)
    expected = said("padded", model, table, head=head)
    assert len(expected) == 3
    found = said(name, model, table, budget, head=head)
    assert max(differences(model, found, expected)) < 1e-5


@both
@given(TREES, st.sampled_from(BUDGETS))
def test_random_trees(tiny, name, trees, budget):
    model, table = tiny.fresh(), tree_table(trees)
    if len(table):
        head = value_head(model)
        expected = said("padded", model, table, head=head)
        found = said(name, model, table, budget, head=head)
        assert max(differences(model, found, expected)) < 1e-5


@both
def test_double_precision_agrees_to_ten_digits(tiny, name):
    model, table = in_double(tiny.fresh()), TABLES["a fork after sampled tokens"]
    head = value_head(model)
    found, expected = (said(layout, model, table, 20, head)[2:] for layout in (name, "padded"))
    assert found[0].dtype == torch.float64
    assert max(differences(model, found, expected)) < 1e-10


@both
@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_temperatures(tiny, name, temperature):
    model, table = tiny.fresh(), TABLES["a fork after sampled tokens"]
    expected = said("padded", model, table, temperature=temperature)
    assert (
        max(differences(model, said(name, model, table, temperature=temperature), expected)) < 1e-5
    )


@both
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_architectures_and_attentions(name, architecture, attention):
    model = tiny_model(300, architecture=architecture, hidden_size=32, layers=2, heads=2)
    model.set_attn_implementation(attention)
    table = TABLES["every edge"]
    expected = said("padded", model, table)
    assert max(differences(model, said(name, model, table, 40), expected)) < 1e-5


@both
def test_grouped_queries_and_adapters(name):
    model = LlamaForCausalLM(small(LlamaConfig))
    model = get_peft_model(model, LoraConfig(r=2, init_lora_weights=False, task_type="CAUSAL_LM"))
    table = TABLES["every edge"]
    expected = said("padded", model, table)
    assert max(differences(model, said(name, model, table, 40), expected)) < 1e-5


@both
@pytest.mark.parametrize("recipe", ["grpo", "ppo"])
def test_learners_learn_the_same(tiny, name, recipe):
    groups, found = mixed_groups(), []
    for layout in ("padded", name):
        learner = learner_of(tiny, recipe, epochs=2, layout=layout, head_chunk=3)
        table = learner.algorithm.credit(learner.annotate(table_of(groups)), groups)
        found.append(gradients(learner, table))
    assert error(found[1], found[0]) < 1e-5


@both
def test_a_shared_token_is_clipped_once_per_row(tiny, name):
    table = table_of([group(attempt([1, 2, 3], 2), attempt([1, 2, 3], 2))])
    table = table.with_columns(old=torch.full((2,), -9.0), advantage=torch.tensor([1.0, -1.0]))
    learners = [learner_of(tiny, penalty=False, epochs=2, layout=of) for of in ("padded", name)]
    expected, found = (gradients(learner, table) for learner in learners)
    assert expected.abs().max() > 1e-3, "merged rows would cancel"
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


@both
def test_the_branches_gradients_add_up(tiny, name):
    model, table = tiny.fresh(), tree_table([[([1, 2, 3], 1)] * 2])
    twice = said(name, model, table)[:1]
    once = said("padded", model, tree_table([[([1, 2, 3], 1)]]))[0]
    assert torch.allclose(twice[0].view(2, 2), once.expand(2, 2), atol=1e-5)
    apart = [torch.cat([once, once])]
    assert error(gradient(model, twice), gradient(model, apart)) < 1e-5


@both
@given(TREES)
def test_lines_hold_their_rows_tokens_and_keep_the_budget(name, trees):
    table = tree_table(trees)
    for batch in LAYOUTS[name]().batches(table, 12):
        ids = batch.inputs.ids
        assert torch.equal(ids[batch.line, batch.position], table.ids[batch.rows])
        depth = batch.inputs.depth[batch.line, batch.position]
        assert torch.equal(depth, table.position[batch.rows])
        samples = table.sample[batch.rows].unique()
        assert ids.numel() <= 12 or len(samples) == 1


@given(TREES)
def test_a_tree_holds_each_path_once(trees):
    table = tree_table(trees)
    spoken = set(table.sample.tolist())
    group_of = table.owner["episode"][table.owner["trajectory"][table.owner["sample"]]].tolist()
    paths = {
        (group_of[i], tuple(table.samples[i].ids[: length + 1]))
        for i in spoken
        for length in range(len(table.samples[i].ids))
    }
    lines = [batch.inputs for batch in LAYOUTS["tree"]().batches(table, 10_000)]
    padding = sum(int((part.ends == torch.arange(part.ids.shape[1]) + 1).sum()) for part in lines)
    assert len(paths) <= sum(part.ids.numel() for part in lines) <= len(paths) + padding


def test_packing_takes_the_prefix_that_saves_most():
    odd = [([9, 9, 9, 9], 2)]
    table = tree_table([[([1, 2, 3, 4, i], 2) for i in range(5)] + odd])
    sizes = sorted(batch.inputs.ids.shape for batch in LAYOUTS["packed"]().batches(table, 100))
    assert sizes == [(1, 4), (1, 9)]


@both
def test_tables_without_rows_have_no_batches(name):
    silent = tree_table([[([1, 2], 2)]])
    for table in (silent, table_of([group(Trajectory())])):
        assert list(LAYOUTS[name]().batches(table, 100)) == []


@both
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("sliding_window", 8, "sliding"),
        ("model_type", "gpt2", "not gpt2"),
        ("_attn_implementation_internal", "flash_attention_2", "model.attention"),
    ],
)
def test_other_models_are_refused(tiny, name, option, value, message):
    model = MistralForCausalLM(small(MistralConfig, sliding_window=None))
    LAYOUTS[name]().check(model)
    config = vars(model.config)
    config[option] = value
    with pytest.raises(ConfigError, match=message):
        LAYOUTS[name]().check(model)
