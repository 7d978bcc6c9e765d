"""The lab: episodes survive JSON exactly, and credit recomputed from them is the training's."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    conversation,
    gradients,
    group,
    learner_of,
    mixed_groups,
    random_groups,
    turn,
    turn_credit,
)
from builders import table_of as table
from runs import cli, played, small, trained

from agentrl.agents.chat import Limits
from agentrl.agents.delegate import DelegateAgent
from agentrl.algorithms import algorithm
from agentrl.backends import scripted
from agentrl.backends.tiny import word_tokenizer
from agentrl.chat import TemplateChat
from agentrl.cli.lab import caller, turns_of
from agentrl.env import make
from agentrl.episodes import episode_record
from agentrl.journal.folder import read_groups
from agentrl.lab import cosines, derivative, examine
from agentrl.table import build_table
from agentrl.types import Parent, Trajectory

FIELDS = ("ids", "position", "behaviour", "reward", "turn", "trajectory", "episode", "group")


def written(path, groups):
    """Groups as a file of episodes."""
    rows = [episode_record(3, e, n) for n, g in enumerate(groups) for e in g.episodes]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("groups", [mixed_groups(), random_groups([[1, 0], [0, 0, 1]])])
def test_episodes_survive_json_exactly(tmp_path, groups):
    before = table(groups)
    after = table(read_groups(written(tmp_path / "episodes.jsonl", groups)))
    for name in FIELDS:
        assert torch.equal(before.columns[name], after.columns[name]), name
    for one, other in zip(before.samples, after.samples, strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert np.array_equal(one.observed, other.observed)


def test_the_derivative_is_the_learners(tiny):
    """By the chain rule: sum of slope * d logp is the parameters' gradient."""
    record = algorithm("grpo").but(penalty=None)
    learner = learner_of(tiny, record)
    batch = learner.annotate(table(random_groups([[1, 0, 0], [0, 2]]), record))
    slopes = derivative(record, batch)
    expected = gradients(learner, batch)
    learner.model.zero_grad()
    for part in learner.layout.batches(batch, 10**6):
        rows = learner.layout.forward(learner.model, part)
        (slopes[part.rows] * rows.logprobs).sum().backward()
    found = torch.cat([p.grad.flatten() for p in learner.model.parameters()])
    assert torch.allclose(found, expected, atol=1e-6)


def test_what_differs_by_a_factor_has_cosine_one():
    rng = np.random.default_rng(0)
    groups = [group(*(conversation(rng, [3], reward=r) for r in (1.0, 0.0, 0.0)))]
    found = cosines(examine(groups, ["grpo", "dr_grpo", "rloo"]))
    assert np.allclose(found, 1.0, atol=1e-5)


def test_refused_groups_do_not_change_what_the_kept_ones_make():
    groups = random_groups([[1, 0, 0], [1, 1], [0, 0]])
    (whole,), (alone,) = examine(groups, ["dapo"]), examine(groups[:1], ["dapo"])
    assert alone.gradient.abs().max() > 0
    assert torch.allclose(whole.gradient[: len(alone.gradient)], alone.gradient)
    assert not whole.gradient[len(alone.gradient) :].any()


def test_groups_without_signal_are_counted():
    (finding,) = examine(random_groups([[1, 0], [1, 1], [0, 0], [1, 0]]), ["grpo"])
    assert finding.silent == 0.5
    assert 1 < finding.effective <= 4


def test_the_lab_reads_a_run(tmp_path):
    trained(small(tmp_path))
    code, printed, message = cli("lab", tmp_path, "--algorithms", "grpo,flow_grpo", "--json")
    assert (code, message) == (0, "")
    answer = json.loads(printed)
    assert answer["algorithms"]["grpo"]["cosine"]["grpo"] == pytest.approx(1.0, abs=1e-4) or (
        answer["algorithms"]["grpo"]["silent_groups"] == 1.0
    )
    assert {"grpo", "flow_grpo"} == set(answer["turns"][0]["credit"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.jsonl"], "cannot read 'none.jsonl'"),
        (["--step", "9"], "has no step 9: it holds 3 to 3"),
        (["--algorithms", "grop"], "did you mean 'grpo'"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, says):
    path = written(tmp_path / "episodes.jsonl", random_groups([[1, 0]]))
    named = arguments if arguments[0].endswith("jsonl") else [path, *arguments]
    code, _, message = cli("lab", *named)
    assert code == 2
    assert says in message


def test_a_torn_line_is_named(tmp_path):
    path = written(tmp_path / "episodes.jsonl", random_groups([[1, 0]]))
    path.write_text(path.read_text()[:-20])
    code, _, message = cli("lab", path)
    assert code == 2
    assert "episodes.jsonl:2: no recorded episode" in message


# ---- several agents -----------------------------------------------------------------------------


def research():
    return make("agentrl/Research-v0", triples=400, hops=[2], plan_slip=0.3, expert_slip=0.3)


@pytest.fixture(scope="module")
def team():
    """Demonstrations with slips: a main agent and its sub-agents, as a run's file has them."""
    chat = TemplateChat(word_tokenizer(["<delegate>"]))
    limits = Limits(turn_tokens=200, trajectory_tokens=2000, context_tokens=4000)
    agent = DelegateAgent(limits, prompt="")
    tasks = research().tasks("train", 3, 0)
    return played(scripted.expert(chat), agent, research, tasks=tasks, attempts=4)


def spoken(groups):
    """Every trajectory of every attempt: its place, itself."""
    return [pair for g in groups for e in g.live for pair in enumerate(e.trajectories)]


def test_every_turn_names_its_agent_and_who_called_it(team):
    lines = turns_of(team, examine(team, ["grpo"]), 99)
    told = [(x["invocation"], x["agent"], x["caller"], x["reward"], x["turn"]) for x in lines]
    assert told == [
        (place, t.agent, f"main.{t.parent.turn}" if place else "", t.reward, number)
        for place, t in spoken(team)
        for number in range(len(t.turns))
    ]
    assert {x["agent"] for x in lines} == {"main", "sub"}
    assert [x["attempt"] for x in turns_of(team, [], 2)][-1] == 1


def mean_credit(name, groups):
    """Mean advantage of the rows of every completion, copies together; the table, its weights."""
    record = algorithm(name).started()
    shaped = record.shape(groups) if record.shape else groups
    table = record.credit(build_table(shaped), shaped)
    said = [id(turn.completion) for _, t in spoken(shaped) for turn in t.turns]
    found = {}
    for key, mean in zip(said, turn_credit(table, table.advantage).tolist(), strict=True):
        found.setdefault(key, []).append(mean)
    return {key: np.mean(values) for key, values in found.items()}, table, record.weighting(table)


SHAPED = ("grpo", "m_grpo", "m_grpo_weight")
"""The second one copies invocations."""


@pytest.mark.parametrize("name", SHAPED)
def test_credit_is_that_of_the_turn_whatever_the_shape_makes_of_it(team, name):
    expected, table, _ = mean_credit(name, team)
    findings = examine(team, [name])
    found = [line["credit"][name] for line in turns_of(team, findings, 99)]
    said = [id(turn.completion) for _, t in spoken(team) for turn in t.turns]
    assert found == pytest.approx([expected[key] for key in said], abs=1e-5)
    assert sum(credit.rows for credit in findings[0].credits) == len(table)


@pytest.mark.parametrize("name", SHAPED)
def test_agents_share_the_step_s_credit(team, name):
    (finding,) = examine(team, [name])
    _, table, weight = mean_credit(name, team)
    size = (weight * table.advantage).abs()
    for code, agent in enumerate(("main", "sub")):
        mean, share, calls = finding.agents[agent]
        own = table.agent == code
        assert mean == pytest.approx(float(table.advantage[own].abs().mean()), rel=1e-5)
        assert share == pytest.approx(float(size[own].sum() / size.sum()), rel=1e-5)
        assert calls == sum(t.agent == agent for _, t in spoken(team))


def test_what_has_no_rows_has_no_credit():
    """A refused group's turns, a silent one and a branch's copy, among others' credit."""
    silent, heard = Trajectory(turns=(turn([1], []), turn([1], [2]))), turn([1], [3, 4])
    copied = Trajectory(turns=(replace(heard, trained=False), turn([1], [5])))
    groups = [group(silent, replace(copied, reward=1.0, success=True)), *random_groups([[1, 1]])]
    findings = examine(groups, ["dapo"])
    found = [line["credit"]["dapo"] for line in turns_of(groups, findings, 99)]
    assert [credit is None for credit in found[:4]] == [True, False, True, False]
    assert {*found[4:]} == {None}
    assert findings[0].agents["main"][1:] == (1.0, 2)


def test_failed_and_frozen_trajectories_have_no_lines():
    groups = mixed_groups()
    frozen = Trajectory(agent="judge", turns=(replace(turn([1], [2]), trained=False),))
    more = replace(groups[0].episodes[0], trajectories=(groups[0].episodes[0].main, frozen))
    groups[0] = replace(groups[0], episodes=(more, *groups[0].episodes[1:]))
    lines = turns_of(groups, [], 99)
    assert {(x["attempt"], x["agent"]) for x in lines if x["agent"] != "main"} == {(3, "helper")}
    assert len({x["attempt"] for x in lines if x["group"] == 1}) == 2


def test_callers_are_told_apart_down_to_the_last_one():
    parents = [None, (0, 2, 0), (0, 2, 1), (2, 0, 0), (9, 0, 0), (5, 0, 0)]
    cast = [Trajectory(agent=f"a{n}", parent=p and Parent(*p)) for n, p in enumerate(parents)]
    (episode,) = group(cast).episodes
    told = [caller(episode, number) for number in range(len(cast))]
    assert told == ["", "a0.2", "a0.2.1", "a0.2.1/a2.0", "", ""]


def test_the_verb_shows_agents_where_there_are_several(tmp_path, team):
    path = written(tmp_path / "episodes.jsonl", team)
    _, printed, _ = cli("lab", path, "--algorithms", "m_grpo,dapo", "--shown", 12)
    for words in (
        r"algorithm\s+agent\s+mean \|credit\|\s+share\s+invocations",
        r"m_grpo\s+sub\s+0\.\d{3}\s+\d+%\s+\d+",
        r"group\s+attempt\s+agent\s+invocation\s+reward\s+turn\s+m_grpo\s+dapo",
        r"0\s+0\s+sub\s+1 by main\.0\s+0\.00\s+0\s+[+-]0",
    ):
        assert re.search(words, printed), words
    answer = json.loads(cli("lab", path, "--algorithms", "m_grpo", "--json")[1])
    assert {"mean_absolute", "share", "invocations"} == {
        *answer["algorithms"]["m_grpo"]["agents"]["sub"]
    }
    assert answer["turns"][-1]["parent"][0] == 0


def test_a_single_agent_s_batch_is_shown_as_simply_as_ever(tmp_path):
    path = written(tmp_path / "episodes.jsonl", random_groups([[1, 0]]))
    _, printed, _ = cli("lab", path, "--algorithms", "grpo")
    assert re.search(r"\n\s*group\s+attempt\s+reward\s+turn\s+grpo\s*\n", printed)
    assert "agent" not in printed
    answer = json.loads(cli("lab", path, "--algorithms", "grpo", "--json")[1])
    assert answer["algorithms"]["grpo"]["agents"]["main"]["share"] == pytest.approx(1.0)
    assert (answer["turns"][0]["agent"], answer["turns"][0]["parent"]) == ("main", None)
