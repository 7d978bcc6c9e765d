"""The gap between engine and learner: its figures, the alarm, and the weightings that answer it."""

import io

import numpy as np
import pytest
import torch
from builders import (
    conversation,
    gradients,
    group,
    learner_of,
    mixed_groups,
    plain_logprobs,
    random_groups,
    table_of,
    weights,
)
from rich.console import Console
from runs import cli, rows, small

from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.errors import PolicyError
from agentrl.gap import GapAlarm, gap_metrics
from agentrl.slots import build_algorithm
from agentrl.train import run_training
from agentrl.weightings import (
    masked_importance,
    masked_sequences,
    seq_mean_token_mean,
    truncated_sequences,
)

GRPO = algorithm("grpo")


def apart(gaps, turns=None):
    """A table of one trajectory per list of gaps, in nats."""
    lengths = [turns or [len(row)] for row in gaps]
    table = table_of(random_groups([[1.0] * len(gaps)], [lengths]))
    return table.with_columns(old=table.behaviour + torch.tensor([g for row in gaps for g in row]))


# Figures


def test_the_figures_are_those_of_the_definition():
    found = gap_metrics(apart([[0.0, 1.0], [-2.0, 0.0]]))
    assert found["gap/mean_abs"] == pytest.approx(0.75)
    assert found["gap/max_abs"] == pytest.approx(2.0)
    assert found["gap/kl"] == pytest.approx((np.e - 2 + np.exp(-2) + 1) / 4, rel=1e-5)
    assert found["gap/ratio_max"] == pytest.approx(np.e, rel=1e-5)
    assert found["gap/outside"] == 0.5
    assert not [name for name in found if "lag" in name]


def test_versions_are_told_apart_by_their_lag():
    table = apart([[0.0, 1.0], [-3.0, 0.0]])
    found = gap_metrics(table.with_columns(version=torch.tensor([7, 7, 5, 5])))
    assert found["gap/lag_0"] == pytest.approx(0.5)
    assert found["gap/lag_2"] == pytest.approx(1.5)


def test_only_what_the_policy_sampled_for_itself_counts():
    table = apart([[0.5, 0.5], [9.0, 9.0]])
    other = table.with_columns(off_policy=torch.tensor([0, 0, 1, 1]))
    assert gap_metrics(other)["gap/max_abs"] == pytest.approx(0.5)
    assert gap_metrics(table.with_columns(off_policy=torch.ones(4, dtype=torch.int64))) == {}
    assert gap_metrics(table_of([])) == {}


def test_what_a_script_wrote_has_no_gap():
    said = conversation(np.random.default_rng(0), [3])
    table = table_of([group(said)])
    assert gap_metrics(table)
    names = {**table.names, "policy": ("script",)}
    assert gap_metrics(type(table)(**{**vars(table), "names": names})) == {}


# Every step


@pytest.mark.parametrize("options", [{}, {"epochs": 2}, {"minibatches": 2}])
def test_every_update_reports_the_gap_before_it(tiny, options):
    learner = learner_of(tiny, **options)
    table = learner.annotate(table_of(mixed_groups(), GRPO))
    before = plain_logprobs(learner.model, table) - table.behaviour
    old = table.old.clone()
    metrics = learner.update(table)
    assert metrics["gap/mean_abs"] == pytest.approx(float(before.abs().mean()), rel=1e-4)
    assert metrics["gap/max_abs"] == pytest.approx(float(before.abs().max()), rel=1e-4)
    assert torch.equal(table.old, old)


@pytest.mark.parametrize("options", [{}, {"epochs": 2}])
def test_a_gap_above_the_limit_leaves_the_weights_alone(tiny, options):
    learner = learner_of(tiny, gap_stop=0.5, **options)
    learner.alarm.run = "runs/x"
    table = learner.annotate(table_of(mixed_groups(), GRPO))
    before = weights(learner.model)
    with pytest.raises(PolicyError, match=r"gap_stop=0.5: run `agentrl doctor mismatch runs/x`"):
        learner.update(table)
    assert torch.equal(weights(learner.model), before)
    assert all(p.grad is None for p in learner.model.parameters())


def test_a_line_is_due_once_and_again_when_the_gap_has_doubled():
    alarm = GapAlarm(warn=0.1)
    gaps = (0.05, 0.2, 0.3, 0.39, 0.41, 0.7, 0.9)
    due = [bool(alarm.line({"gap/mean_abs": gap, "gap/max_abs": 1.0})) for gap in gaps]
    assert due == [False, True, False, False, True, False, True]
    assert not GapAlarm(warn=0.0).line({"gap/mean_abs": 9.0, "gap/max_abs": 9.0})
    assert not alarm.line({})


def test_a_run_warns_on_the_console_and_writes_the_figures(tmp_path):
    console = Console(file=io.StringIO())
    always = {"name": "grpo", "penalty": {"name": "kl", "coef": 0.1}}  # a step without success too
    run = small(tmp_path / "run", learner={"gap_warn": 1e-12}, algorithm=always)
    run_training(run, console=console)
    printed = console.file.getvalue()
    assert printed.count("warning: the engine's log-probs are") >= 1
    assert f"agentrl doctor mismatch {tmp_path / 'run'}" in printed.replace("\n", "")
    steps = rows(tmp_path / "run" / "metrics.jsonl", "train")
    assert all(step["gap/mean_abs"] < 1e-3 for step in steps)


@pytest.mark.parametrize("key", ["gap_warn", "gap_stop"])
def test_limits_are_no_negative_numbers(key):
    code, _, message = cli("check", "echo", f"learner.{key}=-1")
    assert code == 2
    assert f"learner.{key} is -1" in message


# Weightings


def factors(function, table, **arguments):
    return (function(table, **arguments) / seq_mean_token_mean(table)).tolist()


def test_tokens_outside_the_interval_do_not_count():
    table = apart([[0.0, 2.0, -1.0, 0.5]])
    found = factors(masked_importance, table)
    assert found == pytest.approx([1.0, 0.0, 0.0, np.exp(0.5)], rel=1e-5)
    found = factors(masked_importance, table, ratio=False, renormalise=True)
    assert found == pytest.approx([2.0, 0.0, 0.0, 2.0], rel=1e-5)


def test_whole_sequences_are_judged_by_product_or_mean():
    table = apart([[0.3, 0.4], [0.0, -0.2]])
    found = factors(truncated_sequences, table, cap=1.5)
    assert found == pytest.approx([1.5, 1.5, np.exp(-0.2), np.exp(-0.2)], rel=1e-5)
    found = factors(truncated_sequences, table, cap=1.5, over="geometric")
    assert found == pytest.approx([np.exp(0.35)] * 2 + [np.exp(-0.1)] * 2, rel=1e-5)
    assert factors(masked_sequences, table, ratio=False)[:2] == [0.0, 0.0]


def test_a_turn_may_be_the_unit():
    table = apart([[0.0, 3.0, 0.0]], turns=[1, 2])
    assert factors(masked_sequences, table, level="turn") == pytest.approx([1.0, 0.0, 0.0])
    assert factors(masked_sequences, table) == [0.0] * 3


@pytest.mark.parametrize("name", ["masked_importance", "truncated_sequences", "masked_sequences"])
def test_the_new_weightings_are_found_by_name_and_refuse_what_nobody_sampled(name):
    settings = {"name": "grpo", "weighting": {"name": name, "base": {"name": "token_mean"}}}
    record = build_algorithm(settings)[1]
    assert record.refusals() == {}
    assert "old" in record.needs
    wrong = build_algorithm({**settings, "strategy": "demonstrated"})[1]
    assert "that nobody sampled" in wrong.refusals()["weighting"]


@pytest.mark.parametrize("function", [masked_importance, truncated_sequences, masked_sequences])
def test_a_gradient_is_plain_where_engine_and_learner_agree(tiny, function):
    plain = learner_of(tiny, GRPO)
    groups = mixed_groups()
    table = plain.annotate(table_of(groups, GRPO))
    agreed = table.with_columns(behaviour=plain_logprobs(plain.model, table))
    changed = learner_of(tiny, GRPO.but(weighting=part(function)))
    expected = gradients(plain, agreed)
    torch.testing.assert_close(gradients(changed, changed.annotate(agreed)), expected)
