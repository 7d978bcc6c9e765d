"""`agentrl journal`: a run in numbers, its lives, and the export by hand."""

import json
from dataclasses import replace

import pytest
from builders import mixed_groups
from runs import cli, one_line, rows

from agentrl.journal import Journal
from agentrl.journal.reading import Credit


@pytest.fixture
def run(journal):
    """The id of a run of two lives and three steps, the first one's last step replayed."""
    first = journal.begin({"seed": 1})
    for step in (0, 1):
        first.groups(step, of_step(step))
    second = journal.begin({"seed": 1}, first.run, 1)
    second.groups(1, of_step(1))
    second.credits(1, [Credit(0, 0, 0, 0, -2.0, 0.5, 2), Credit(0, 0, 0, 1, 0.5, 0.5, 4)])
    second.credits(1, [Credit(1, 0, 1, 0, 1.0, 1.0, 2)])
    return first.run


def of_step(step):
    return [replace(group, step=step) for group in mixed_groups()]


def test_what_survives_is_counted_once(journal, run):
    found = journal.overview(run)
    assert [life["from_step"] for life in found["lives"]] == [0, 1]
    assert (found["steps"], found["groups"]) == ([0, 1], 6)
    assert found["episodes"] == {"completed": 14, "env_failed": 2}
    groups = mixed_groups()
    turns = [t for g in groups for e in g.episodes for a in e.trajectories for t in a.turns]
    assert found["turns"] == 2 * len(turns)
    assert found["tokens"] == 2 * sum(len(turn.completion.ids) for turn in turns)


def test_agents_are_told_apart(journal, run):
    agents = journal.overview(run)["agents"]
    assert list(agents) == ["helper", "main"]
    assert agents["main"]["trajectories"] == 16
    assert agents["main"]["reward"] == pytest.approx((1 + 0 + 0.5 + 1 + 0 + 2 + 0) / 7)
    assert agents["main"]["advantage"] == pytest.approx((2 * 2 + 0.5 * 4) / 6)
    assert (agents["main"]["credited_turns"], agents["helper"]["credited_turns"]) == (2, 1)
    assert journal.overview(journal.begin({}).run)["agents"] == {}


def test_the_verb_shows_a_run(journal, url, run):
    code, printed, message = cli("journal", url)
    assert (code, message) == (0, "")
    assert f"run {run}: 2 steps, 0 to 1, 6 groups" in printed
    assert "life 1 from step 1" in printed
    assert "14 completed, 2 env_failed" in printed
    assert json.loads(cli("journal", url, "--json", "--run", run[:6])[1]) == [journal.overview(run)]


def test_the_verb_exports(journal, url, run, tmp_path):
    code, printed, _ = cli("journal", url, "--export", tmp_path / "all.jsonl")
    assert (code, printed) == (0, f"16 episodes in {tmp_path / 'all.jsonl'}\n")
    assert {row["step"] for row in rows(tmp_path / "all.jsonl")} == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "there is no 'nowhere': give a run's folder, a journal or its URL"),
        (["{tmp}"], "holds no journal: give a run's folder, or a URL"),
        (["sqlite:///{tmp}/x.sqlite"], "there is no journal"),
        (["{tmp}/two.sqlite", "--run", "z"], "0 runs of '{tmp}/two.sqlite' begin with 'z'"),
        (["{tmp}/two.sqlite", "--export", "{tmp}/a"], "holds 2 runs: name one with --run"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, says):
    with Journal.open(f"sqlite:///{tmp_path}/two.sqlite") as journal:
        journal.begin({}), journal.begin({})
    code, _, message = cli("journal", *(word.format(tmp=tmp_path) for word in arguments))
    assert code == 2
    assert says.format(tmp=tmp_path) in one_line(message)
