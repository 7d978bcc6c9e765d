"""Combinations that are mathematically wrong are refused with the sentence why, sound ones run."""

import pytest
from runs import cli

from agentrl.slots import build_algorithm

BONUS = "agentrl.algorithms.egpo:entropy_bonus"
NOVELTY = "agentrl.algorithms.xrpo:novelty_bonus"
SMOOTHING = "agentrl.algorithms.ds_grpo:differential_smoothing"
CENTRED = {"name": "group_advantage", "scale": "none"}
WRONG = [
    ({"name": "corpo", "advantage": "group_advantage"}, "advantage", "the std would undo it"),
    ({"name": "dr_grpo", "advantage": {"scale": "std"}}, "advantage", "compares rewards by their"),
    ({"name": "pc_grpo", "advantage": {"base": {"scale": "std"}}}, "advantage", "undo it"),
    ({"name": "egpo", "advantage": {"base": CENTRED}}, "advantage", "divided by its group's std"),
    ({"name": "xrpo", "advantage": {"base": {"scale": "loo"}}}, "advantage", "with scale std"),
    ({"name": "ds_grpo", "advantage": {"base": CENTRED}}, "advantage", "measured against"),
    ({"name": "gspo", "weighting": "token_mean"}, "loss", "would count it once per token"),
    ({"name": "dr_grpo", "loss": "sequence_clipped"}, "loss", "long answers weigh more"),
    ({"name": "grpo", "loss": "elastic_clipped"}, "loss", "reads width, which this advantage"),
    ({"name": "grpo", "penalty": "agentrl.returns:value_loss"}, "penalty", "reads returns"),
    ({"name": "disco", "weighting": "token_mean"}, "loss", ""),
    (
        {"name": "grpo", "weighting": "truncated_importance", "strategy": "demonstrated"},
        "weighting",
        "that nobody sampled",
    ),
]
SOUND = [
    {"name": "grpo", "advantage": {"name": BONUS, "base": {"name": NOVELTY}}},
    {"name": "dapo", "advantage": {"name": SMOOTHING, "gamma_pos": 0.01, "gamma_neg": 0.01}},
    {"name": "gspo", "weighting": {"name": "truncated_importance", "cap": 3.0}},
]


@pytest.mark.parametrize(("settings", "slot", "says"), WRONG)
def test_a_wrong_combination_says_why(settings, slot, says):
    refusals = build_algorithm(settings)[1].refusals()
    assert says in refusals[slot]


@pytest.mark.parametrize("settings", SOUND)
def test_papers_combine_where_the_mathematics_allows(settings):
    assert build_algorithm(settings)[1].refusals() == {}


def test_the_command_line_refuses_in_one_line():
    overrides = ("algorithm=corpo", "algorithm.advantage.name=group_advantage")
    code, _, message = cli("check", "echo", *overrides)
    assert code == 2
    assert message.startswith("error: command line")
    assert "must not be divided by a std" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("algorithm.penalty_weighting=token_mean", "weighs a penalty, but there is none"),
        ("algorithm.reference=moving_average", "moves a reference model that no part reads"),
        ("learner.teacher=somewhere", "reads no teacher: leave it empty"),
        ("algorithm=codistill", "has no default alpha: set algorithm.advantage.alpha"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(override, says):
    code, _, message = cli("check", "echo", override)
    assert code == 2
    assert says in message
