"""Every part of every record against a slow, literal formula, on random steps.

The formulas (`tests/references/`) are written from the papers in Python floats and know nothing of
tables. A part without one must be excused in its module's EXCUSED, with the reason.
"""

from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from differential import annotated, flat, random_step
from golden_bindings import LEARN

from agentrl.algorithms import NAMES
from agentrl.algorithms.base import Part, part
from agentrl.slots import build_algorithm
from agentrl.table import View
from agentrl.weightings import (
    last_turn_only,
    masked_importance,
    masked_sequences,
    truncated_sequences,
)

GROUPS = 200
"""Random groups per part, degenerate ones among them."""
FOLDER = Path(__file__).parent / "references"
MODULES = [import_module(f"references.{path.stem}") for path in sorted(FOLDER.glob("*.py"))]
SLOTS = ("advantage", "weighting", "loss", "penalty", "penalty_weighting", "shape")
TABLES = ("ADVANTAGES", "WEIGHTINGS", "LOSSES", "TOTALS", "SHAPES", "EXCUSED", "ALSO")


def gathered(table):
    """One table of references over all modules."""
    return {key: value for m in MODULES for key, value in getattr(m, table, {}).items()}


KNOWN = {table: gathered(table) for table in TABLES}


def told(settings):
    """Settings for a literal formula: inner parts as `(name, settings)`."""
    return {
        key: (value.name, told(value.settings)) if isinstance(value, Part) else value
        for key, value in settings.items()
    }


def cases():
    """`(name, slot)` of every part of every record that differs from another record's."""
    seen = {}
    for name in NAMES:
        record = build_algorithm({"name": name, **LEARN.get(name, {})})[1]
        for slot in SLOTS:
            part = record.parts.get(slot)
            if part is not None:
                seen.setdefault((slot, part.name, str(told(part.settings))), (name, slot))
    return sorted(seen.values())


def configured(name):
    return build_algorithm({"name": name, **LEARN.get(name, {})})[1]


def steps(seed):
    """Random steps with rows."""
    rng = np.random.default_rng(seed)
    found = 0
    while found < GROUPS:
        groups, step = random_step(rng)
        if any(attempt.tokens for group in step for attempt in group):
            found += len(groups)
            yield groups, step


def prepared(part, record, groups, step, own=False):
    """The step's table with all columns that the record's advantage makes.

    Credit and weights are synthetic ones, different for every token, or the record's `own`.
    """
    table = annotated(groups, step)
    if part.name in ("imitation", "explanation_sum"):
        table = cast(table, step)
    table = record.credit(table, groups)
    if not own:
        credit = torch.where(table.reward > 0, 1.0, -0.7) * (1 + table.behaviour.abs())
        table = table.with_columns(advantage=credit, weight=0.01 * (1 + table.ids))
    hand_over(table, step)
    return table


def cast(table, step):
    """The table with every third attempt an explanation."""
    attempts = [attempt for group in step for attempt in group]
    for number, attempt in enumerate(attempts):
        attempt.agent = ("main", "main", "explanation")[number % 3]
    agent = torch.tensor([number % 3 // 2 for number in range(len(attempts))])[table.episode]
    names = {**table.names, "agent": ("main", "explanation")}
    return replace(table.with_columns(agent=agent), names=names)


def hand_over(table, step):
    """Give the tokens the table's credit and weight, and fix what a difference must not move."""
    tokens = [token for group in step for attempt in group for token in attempt.tokens]
    for number, token in enumerate(tokens):
        token.credit = float(table.advantage[number])
        token.weight = float(table.weight[number])
        token.still = replace(token, still=None)


def whole(table, logprobs, entropy):
    """The table as one live view."""
    return View(table, torch.arange(len(table)), logprobs, entropy, table.value)


def live_terms(part, table):
    """Token values of a loss or penalty; their weighted sum's slopes by log-prob and entropy."""
    if part.prepare is not None:
        table = table.with_columns(**part.prepare(whole(table, table.logp, table.entropy)))
    live = [column.clone().requires_grad_() for column in (table.logp, table.entropy)]
    values = part(whole(table, *live))
    total = (table.weight * values).sum()
    if not total.requires_grad:
        return values, [torch.zeros(len(table)) for _ in live]
    return values.detach(), torch.autograd.grad(total, live, materialize_grads=True)


def differences(total, step, name):
    """Central differences of `total()` by each token's log-prob, or entropy."""
    found = []
    for token in (token for group in step for attempt in group for token in attempt.tokens):
        at, sides = getattr(token, name), []
        for moved in (at + 1e-5, at - 1e-5):
            setattr(token, name, moved)
            sides.append(total())
        setattr(token, name, at)
        found.append((sides[0] - sides[1]) / 2e-5)
    return np.array(found)


def own_slopes(losses, step, name):
    """Central differences of each token's loss by its own log-prob, or entropy, all at once."""
    tokens = [token for group in step for attempt in group for token in attempt.tokens]
    at, sides = [getattr(token, name) for token in tokens], []
    for move in (1e-5, -1e-5, 0.0):
        for token, value in zip(tokens, at, strict=True):
            setattr(token, name, value + move)
        sides.append(losses())
    return (sides[0] - sides[1]) / 2e-5


def compare(found, expected, tolerance=2e-4):
    found = np.asarray(found, np.float64)
    assert found.shape == expected.shape
    margin = tolerance * (1 + np.abs(expected))
    assert (np.abs(found - expected) <= margin).all(), np.abs(found - expected).max()


def check_advantage(part, groups, step, record, **more):
    table = cast(annotated(groups, step), step)
    found, expected = (
        credit if isinstance(credit, dict) else {"advantage": credit}
        for credit in (
            part(table, groups),
            KNOWN["ADVANTAGES"][part.name](step, **told(part.settings), **more),
        )
    )
    for name, values in expected.items():
        compare(found[name], flat(values))


def check_weighting(part, groups, step, record):
    table = prepared(part, record, groups, step)
    compare(part(table), flat(KNOWN["WEIGHTINGS"][part.name](step, **told(part.settings))))


def check_loss(part, groups, step, record, weighting=None):
    """Values by token, and the slopes of a literal total or of these values' weighted sum."""
    name, settings = part.name, told(part.settings)
    table = prepared(part, record, groups, step, own=name in KNOWN["TOTALS"])
    if name in KNOWN["TOTALS"]:
        table = table.with_columns(weight=(weighting or record.weighting)(table))
    values, slopes = live_terms(part, table)
    if name in KNOWN["LOSSES"]:
        compare(values, flat(KNOWN["LOSSES"][name](step, **settings)))

    columns = ("logp", "entropy") if "entropy" in part.needs else ("logp",)
    for found, column in zip(slopes, columns, strict=False):
        if name in KNOWN["TOTALS"]:
            expected = differences(lambda: KNOWN["TOTALS"][name](step, **settings), step, column)
        else:
            expected = own_slopes(
                lambda: flat(KNOWN["LOSSES"][name](step, **settings)), step, column
            )
            expected *= table.weight.double().numpy()
        compare_slopes(found, expected)


def check_penalty(part, groups, step, record):
    check_loss(part, groups, step, record, record.penalty_weighting)


def compare_slopes(found, expected):
    """Relative to the step's largest slope."""
    margin = 1e-3 * np.abs(expected).max() + 1e-7
    gap = np.abs(np.asarray(found, np.float64) - expected)
    assert (gap <= margin).all(), (found, expected)


def check_shape(part, groups, step, record, **more):
    found = [[episode.main.reward for episode in group.live] for group in part(groups)]
    formula = KNOWN["SHAPES"][part.name]
    compare(flat(found), flat(formula(step, **told(part.settings), **more)))


CHECKS = {
    "advantage": check_advantage,
    "weighting": check_weighting,
    "loss": check_loss,
    "penalty": check_penalty,
    "penalty_weighting": check_weighting,
    "shape": check_shape,
}


@pytest.mark.filterwarnings("ignore:the first attempts earned no")
@pytest.mark.parametrize(("name", "slot"), cases())
def test_a_part_is_its_formula(name, slot):
    record = configured(name)
    part = record.parts[slot]
    if part.name in KNOWN["EXCUSED"]:
        return
    if slot == "penalty" and "coef" in part.settings:
        part = part.but(coef=0.3)
    for groups, step in steps(len(name)):
        for changes in ({}, *KNOWN["ALSO"].get(part.name, ())):
            # a memory begins anew with every step
            CHECKS[slot](part.but(**changes).started(), groups, step, record.started())


@pytest.mark.parametrize(
    "function", [last_turn_only, masked_importance, truncated_sequences, masked_sequences]
)
def test_a_weighting_that_no_record_has_is_its_formula(function):
    for groups, step in steps(1):
        for changes in ({}, *KNOWN["ALSO"].get(function.__name__, ())):
            check_weighting(part(function, **changes), groups, step, configured("grpo"))


def memories():
    """The cases whose part remembers earlier steps."""
    judged = [case for case in cases() if case[1] in ("advantage", "shape")]
    return [(n, s) for n, s in judged if isinstance(configured(n).parts[s].function, type)]


@pytest.mark.filterwarnings("ignore:the first attempts earned no")
@pytest.mark.parametrize(("name", "slot"), memories())
def test_a_memory_is_its_formula(name, slot):
    """One part over many steps; the formula is told all `earlier` ones."""
    made = configured(name).parts[slot]
    for changes in ({}, *KNOWN["ALSO"].get(made.name, ())):
        part, earlier = made.but(**changes).started(), []
        for groups, step in islice(steps(1), 30):
            CHECKS[slot](part, groups, step, None, earlier=tuple(earlier))
            earlier.append(step)
