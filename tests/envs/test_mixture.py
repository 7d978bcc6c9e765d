"""A mixture plays each task in its own environment, by weights, and tells them apart."""

from collections import Counter

import pytest

from agentrl.config import build_run
from agentrl.conformance import check_environment
from agentrl.env import make
from agentrl.errors import ConfigError
from agentrl.train import run_training

SUDOKU = {"id": "agentrl/Sudoku-v0", "size": 4, "blanks": 2}
MEMBERS = {"puzzles": SUDOKU | {"weight": 3}, "words": {"id": "agentrl/Echo-v0", "turns": 2}}


def mixture(**members):
    return make("agentrl/Mixture-v0", members=members or MEMBERS)


def test_it_conforms():
    assert check_environment(mixture, tasks=4) == []


def test_weights_share_the_tasks():
    tasks = mixture().tasks("train", 40, 0)
    assert Counter(task.data["member"] for task in tasks) == {"puzzles": 30, "words": 10}


@pytest.mark.parametrize("split", ["train", "test"])
def test_held_out_there_is_held_out_here(split):
    env = mixture()
    for task in env.tasks(split, 16, 0):
        assert env.own(task)[1].split == split


def test_an_episode_is_the_member_s_own():
    env, sudoku = mixture(), make(**SUDOKU)
    task = next(t for t in env.tasks("train", 8, 0) if t.data["member"] == "puzzles")
    ours, theirs = (
        env.reset(options={"task": task}),
        sudoku.reset(options={"task": env.own(task)[1]}),
    )
    assert ours == theirs
    assert env.step(env.oracle()) == sudoku.step(sudoku.oracle())


def test_metrics_tell_members_apart(tmp_path):
    settings = {
        "env": {"id": "agentrl/Mixture-v0", "members": MEMBERS},
        "model": {"name": "tiny", "hidden_size": 16, "layers": 1},
        "limits": {"turn_tokens": 4},
        "rollout": {"tasks": 16, "attempts": 2},
        "train": {"steps": 1, "train_tasks": 16, "eval_tasks": 8},
        "out": str(tmp_path / "run"),
    }
    summary = run_training(build_run(settings))
    kinds = summary["after"]["kinds"]
    assert {name: kind["n"] for name, kind in kinds.items()} == {"puzzles": 6, "words": 2}
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "kind/words/success" in metrics
    assert "kind/puzzles/reward" in metrics


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"a": {"id": "agentrl/Sudoko-v0"}}, r"members.a: unknown environment .*Sudoku"),
        ({"a": {"size": 4}}, "members.a has no id"),
        ({"a": SUDOKU | {"weight": 0}}, "members.a.weight is 0"),
        ({"a": SUDOKU | {"weight": float("inf")}}, "members.a.weight is inf"),
        ({"a": SUDOKU | {"sizes": 4}}, r"members.a: .*sizes"),
    ],
)
def test_what_cannot_be_is_refused(members, told):
    with pytest.raises(ConfigError, match=told):
        build_run({"env": {"id": "agentrl/Mixture-v0", "members": members}})


@pytest.mark.parametrize("data", [{"number": 3}, {"member": "words"}, {"member": [], "task": {}}])
def test_a_task_of_no_member_is_refused(data):
    with pytest.raises(ConfigError, match=r"is of .*, members are puzzles, words: name it so"):
        mixture().reset(options={"task": data})
