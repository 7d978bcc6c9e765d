"""The padded layout gives each row the log-prob and entropy of one plain forward per sample."""

import numpy as np
import pytest
import torch
from builders import (
    completion,
    conversation,
    group,
    mixed_groups,
    plain_logprobs,
    random_groups,
    span,
    table_of,
)
from hypothesis import given
from hypothesis import strategies as st

from agentrl.layouts.padded import MIN_FILL, Padded
from agentrl.types import Trajectory, Turn

BUDGETS = [1, 12, 30, 10_000]
"""From one sample a batch to all that are alike in one."""


def laid_out(model, table, budget, **options):
    """Log-probs and entropies of all rows through the layout, in the table's order."""
    logprobs, entropies = torch.zeros(len(table)), torch.zeros(len(table))
    with torch.no_grad():
        for batch in Padded().batches(table, budget):
            logprobs[batch.rows], spread, _ = Padded().forward(model, batch, **options)
            if spread is not None:
                entropies[batch.rows] = spread
    return logprobs, entropies


@pytest.mark.parametrize("budget", BUDGETS)
def test_log_probs_equal_a_plain_forward(tiny, budget):
    model, table = tiny.fresh(), table_of(mixed_groups())
    logprobs, _ = laid_out(model, table, budget)
    torch.testing.assert_close(logprobs, plain_logprobs(model, table), atol=1e-5, rtol=0)


def test_log_probs_equal_a_plain_forward_in_float64(tiny):
    model, table = tiny.fresh().double(), table_of(mixed_groups())
    logprobs, _ = laid_out(model, table, 30)
    torch.testing.assert_close(logprobs, plain_logprobs(model, table), atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_log_probs_are_of_the_tempered_distribution(tiny, temperature):
    model, table = tiny.fresh(), table_of(mixed_groups())
    logprobs, _ = laid_out(model, table, 30, temperature=temperature)
    expected = plain_logprobs(model, table, temperature)
    torch.testing.assert_close(logprobs, expected, atol=1e-5, rtol=0)


def test_greedy_sampling_is_scored_untempered(tiny):
    model, table = tiny.fresh(), table_of(mixed_groups())
    greedy, _ = laid_out(model, table, 30, temperature=0.0)
    assert torch.equal(greedy, laid_out(model, table, 30)[0])


@pytest.mark.parametrize("budget", BUDGETS)
def test_entropies_are_over_the_whole_vocabulary(tiny, budget):
    model, table = tiny.fresh(), table_of(random_groups([[1, 0]]))
    _, entropies = laid_out(model, table, budget, entropy=True)
    for row in range(len(table)):
        before = table.samples[table.sample[row]].ids[: table.position[row]]
        with torch.no_grad():
            logits = model(torch.from_numpy(before)[None]).logits[0, -1]
        expected = torch.distributions.Categorical(logits=logits).entropy()
        assert float(entropies[row]) == pytest.approx(float(expected), abs=1e-4)


def test_changing_what_follows_a_token_never_changes_its_log_prob(tiny):
    model, table = tiny.fresh(), table_of([group(conversation(np.random.default_rng(0), [3, 4]))])
    before, _ = laid_out(model, table, 100)
    table.samples[0].ids[table.position[3] :] = 1
    after, _ = laid_out(model, table, 100)
    torch.testing.assert_close(after[:3], before[:3], atol=1e-6, rtol=0)
    assert not torch.equal(after[3:], before[3:])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 200))
def test_batches_hold_every_sample_once_and_keep_the_budget(lengths, budget):
    table = table_of(random_groups([[0] * len(lengths)], [[[n] for n in lengths]]))
    batches = list(Padded().batches(table, budget))
    rows = torch.cat([batch.rows for batch in batches])
    assert sorted(rows.tolist()) == list(range(len(table)))
    assert sum(len(batch.input_ids) for batch in batches) == len(lengths)
    for batch in batches:
        size, width = batch.input_ids.shape
        assert size == 1 or size * width <= budget
        assert batch.attention_mask.sum(1).min() >= MIN_FILL * width


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=6))
def test_a_batch_holds_its_rows_tokens_where_it_says(turns):
    table = table_of(random_groups([[0] * len(turns)], [turns]))
    for batch in Padded().batches(table, 40):
        assert torch.equal(batch.input_ids[batch.line, batch.position], table.ids[batch.rows])
        for line, length in enumerate(batch.attention_mask.sum(1).tolist()):
            assert batch.attention_mask[line].tolist() == [1] * length + [0] * (
                batch.input_ids.shape[1] - length
            )


def test_a_table_without_samples_has_no_batches():
    assert list(Padded().batches(table_of([group(Trajectory())]), 100)) == []


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_sample_without_rows_is_harmless(tiny, budget):
    silent = Trajectory(turns=(Turn(spans=(span([1, 2, 3]),), completion=completion([])),))
    table = table_of([group(silent, conversation(np.random.default_rng(0), [3]))])
    model = tiny.fresh()
    logprobs, _ = laid_out(model, table, budget)
    torch.testing.assert_close(logprobs, plain_logprobs(model, table), atol=1e-5, rtol=0)
