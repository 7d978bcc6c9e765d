"""All names through one test: what every record of the catalogue must satisfy.

Numbers are in `test_golden.py`, literal formulas in `test_differential.py`, learning in
`test_must_learn.py`; here are the properties that hold whatever the formula says. A check that a
record cannot satisfy by its own definition is excused in EXCUSED, with the reason.
"""

import importlib
import inspect
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from builders import (
    conversation,
    error,
    gradients,
    group,
    learner_of,
    mixed_groups,
    random_groups,
)
from golden_bindings import BINDINGS, EXEMPT, LEARN, WITHOUT_NUMBERS, golden_file
from runs import small

from agentrl.algorithms import NAMES
from agentrl.catalogue import FIELDS, entry
from agentrl.config import build_run
from agentrl.lab import derivative, with_live_entropy
from agentrl.slots import build_algorithm
from agentrl.table import build_table
from agentrl.types import Status, Trajectory

MIXED = [[1, 0, 0.5], [0, 0, 1], [2, 1]]

EXCUSED: dict[tuple[str, str], str] = {}
"""`(check, name) -> why` the check does not apply."""


def configured(name):
    """A fresh record with what the tests' groups ask of it."""
    return build_algorithm({"name": name, **LEARN.get(name, {})})[1].started()


def scored(rewards, lengths=None, seed=0):
    """Groups whose reward is also the named part `solved`."""
    groups = random_groups(rewards, lengths, seed=seed)
    for one in groups:
        for episode in one.episodes:
            episode.main.parts["solved"] = episode.main.reward
    return groups


def with_foreign_members(groups):
    """The groups, the second attempt of each sampled under another prompt than it trains under."""
    found = []
    for one in groups:
        first, second, *rest = one.episodes
        episodes = (first, replace(second, off_policy=True), *rest)
        found.append(replace(one, episodes=episodes))
    return found


def credited(tiny, name, groups, **options):
    """A learner of the record and the annotated table with its credit."""
    learner = learner_of(tiny, configured(name), **options)
    record = learner.algorithm
    table = learner.annotate(build_table(groups))
    return learner, record.credit(table, groups)


def check_golden(tiny, name):
    """A file of numbers under the paper's name, every piece bound; variants share their paper's."""
    paper = NAMES[name].partition(":")[0]
    path = golden_file(paper)
    assert (path is None) == (paper in WITHOUT_NUMBERS)
    cases = yaml.safe_load(path.read_text())["cases"] if path else []
    assert all((path.stem, case["piece"]) in BINDINGS for case in cases)


def check_file(tiny, name):
    """Short, and its docstring says what a reader needs."""
    found = entry(name, f"agentrl.algorithms.{NAMES[name]}")
    module = importlib.import_module(found.place.partition(":")[0])
    assert len(inspect.getsource(module).splitlines()) <= 80
    assert found.summary.endswith(".")
    assert found.tier in "ABC"
    assert not [key for key in FIELDS if not getattr(found, key)], "a field is missing"


def check_sound(tiny, name):
    """The record is no combination that would be refused."""
    assert configured(name).refusals() == {}


def check_yaml(tiny, name):
    """The resolved form builds the same run."""
    teacher = {"teacher": tiny.folder} if "teacher" in configured(name).needs else {}
    settings = {"name": name, **LEARN.get(name, {})}
    run = small("out", algorithm=settings, learner=teacher, rollout={"attempts": 4})
    told = yaml.safe_load(yaml.safe_dump(run.resolved()))
    assert build_run(told).resolved() == run.resolved()


def check_memory(tiny, name):
    """What a record remembers survives a checkpoint's JSON."""
    learner, _ = credited(tiny, name, scored(MIXED))
    state = json.loads(json.dumps(learner.algorithm.state_dict()))
    other = configured(name)
    other.load_state_dict(state)
    assert other.state_dict() == state


def check_zero_credit(tiny, name):
    """Without credit nothing moves, penalties aside."""
    record = configured(name).but(penalty=None, penalty_weighting=None)
    learner = learner_of(tiny, record, epochs=2)
    groups = mixed_groups()
    table = learner.algorithm.credit(learner.annotate(build_table(groups)), groups)
    assert not gradients(learner, table.with_columns(advantage=torch.zeros(len(table)))).any()


def check_sign(tiny, name):
    """At the policy that sampled, credit above zero raises a token's log-prob, below lowers it."""
    learner, table = credited(tiny, name, scored(MIXED), epochs=2)
    table = with_live_entropy(table, learner)
    record = configured(name).but(penalty=None, penalty_weighting=None)
    slopes = derivative(record, table)
    assert (slopes * table.advantage <= 1e-7).all()
    assert not table.advantage.any() or slopes.any()


def degenerate():
    """One attempt; all equal; nobody right; no tokens; a failure beside one attempt; no group."""
    rng = __import__("numpy").random.default_rng(0)
    broken = conversation(rng, [3], status=Status.ENV_FAILED)
    yield scored([[1]])
    yield scored([[1, 1], [0, 0, 0]])
    yield scored([[0, 0]])
    yield [group(Trajectory(), Trajectory(reward=1.0)), *scored([[1, 0]])]
    yield [group(broken, conversation(rng, [2], reward=1.0))]
    yield [group(broken)]
    yield []


def check_degenerate(tiny, name):
    """Finite credit and gradient on every degenerate group."""
    for groups in degenerate():
        learner, table = credited(tiny, name, groups, epochs=2)
        assert torch.isfinite(table.advantage).all()
        if len(table):
            assert torch.isfinite(gradients(learner, table)).all()


def check_step(tiny, name):
    """A whole update, metrics and all, leaves finite weights."""
    learner, table = credited(tiny, name, scored(MIXED))
    metrics = learner.update(table)
    assert all(math.isfinite(value) for value in metrics.values())
    assert all(torch.isfinite(p).all() for p in learner.model.parameters())


def check_split(tiny, name):
    """No split into micro-batches, and so no padding, changes the gradient."""
    learner, table = credited(tiny, name, with_foreign_members(scored(MIXED)), epochs=2)
    own = table.off_policy == 0
    shifted = table.old + 0.3 * torch.rand(len(table)) - 0.15
    table = table.with_columns(old=torch.where(own, shifted, table.behaviour))
    learner.token_budget = 10_000
    expected = gradients(learner, table)
    for learner.token_budget in (1, 17):
        found = gradients(learner, table)
        assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()) + 1e-9)


def check_order(tiny, name):
    """The order of groups does not matter."""
    groups = scored(MIXED)
    learner, forward = credited(tiny, name, groups)
    expected = gradients(learner, forward)
    learner, backward = credited(tiny, name, groups[::-1])
    found = gradients(learner, backward)
    assert (not expected.any() and not found.any()) or error(found, expected) < 2e-5


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        *(check_golden, check_file, check_sound, check_yaml, check_memory, check_zero_credit),
        *(check_sign, check_degenerate, check_step, check_split, check_order),
    )
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_every_record(tiny, name, check):
    if (check, name) not in EXCUSED:
        CHECKS[check](tiny, name)


def test_excuses_and_exemptions_are_of_records_and_tests_that_exist():
    assert {name for _, name in EXCUSED} | set(EXEMPT) | set(LEARN) <= set(NAMES)
    for place in EXEMPT.values():
        path, _, test = place.partition("::")
        assert f"def {test}(" in (Path(__file__).parents[1] / path).read_text(), place


def test_half_of_the_files_are_shorter_than_a_screen():
    folder = Path(importlib.import_module("agentrl.algorithms").__file__).parent
    papers = {place.partition(":")[0] for place in NAMES.values()}
    lengths = sorted(len((folder / f"{p}.py").read_text().splitlines()) for p in papers)
    assert lengths[len(lengths) // 2] <= 50
