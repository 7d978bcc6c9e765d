"""The examples run, are as short as they say, and the one without the library agrees with it."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from runs import rows, trained

from agentrl.config import build_run
from agentrl.journal.folder import read_groups
from agentrl.types import Parent

EXAMPLES = Path(__file__).parents[1] / "examples"
LOOP_AS_A_RUN = {
    "env": {"id": "agentrl/Echo-v0", "words": 4, "turns": 2},
    "rollout": {"tasks": 4, "attempts": 4},
    "limits": {"turn_tokens": 4},
    "learner": {"lr": 5e-3},
    "train": {"steps": 3, "train_tasks": 256, "eval_tasks": 8},
}


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Import an example as a module, where what it writes is thrown away."""
    monkeypatch.chdir(tmp_path)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_no_example_is_without_a_test():
    tested = {"own_functions", "rl_loop_in_one_file", "write_an_algorithm", "write_an_env"}
    tested.add("three_roles")
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


@pytest.mark.parametrize("name", ["own_functions", "write_an_env"])
def test_an_environment_is_fifteen_lines(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    (kind,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    lines = text.splitlines()[kind.lineno - 1 : kind.end_lineno]
    assert len([line for line in lines if line.strip()]) <= 15


def test_a_program_of_three_roles_is_trained_and_journalled(example):
    module = example("three_roles")
    text = (EXAMPLES / "three_roles.py").read_text()
    (function,) = [n for n in ast.parse(text).body if isinstance(n, ast.AsyncFunctionDef)]
    assert function.end_lineno - function.lineno < 25
    module.SETTINGS["train"] |= {"steps": 1, "eval_tasks": 4, "eval_every": 0}
    module.SETTINGS["warm_start"] |= {"episodes": 16, "steps": 2}
    module.main()
    episode = read_groups(Path("runs/whisper"))[0].episodes[0]
    told = [(t.agent, t.parent, len(t.turns)) for t in episode.trajectories]
    assert told == [
        ("speaker", None, 1),
        ("reader", Parent(0, 0, 0), 1),
        ("runner", Parent(0, 0, 1), 1),
    ]


def test_own_functions_are_called_and_trained(example):
    module = example("own_functions")
    env = module.Tram(calls="llama_pythonic")
    _, info = env.reset(options={"task": {"word": "long", "ride": {"start": 2, "end": 5}}})
    assert [tool["function"]["name"] for tool in info["tools"]] == ["price", "minutes", "stops"]
    assert env.step("[price(start=2, end=5), minutes(start=2, end=5)]")[0] == "2\n6"
    assert env.step("6")[-1]["success"]
    module.SETTINGS["train"] |= {"steps": 1, "eval_tasks": 4}
    module.SETTINGS["warm_start"] |= {"episodes": 16, "steps": 2}
    assert module.main()["task"] == "Tram-v0"


def test_the_environment_of_the_example_is_learned(example):
    module = example("write_an_env")
    module.SETTINGS["train"] |= {"steps": 25, "eval_tasks": 48}
    summary = module.main()
    assert summary["after"]["success"] > summary["before"]["success"] + 0.2


def test_the_algorithm_of_the_example_runs_beside_grpo(example):
    module = example("write_an_algorithm")
    module.SETTINGS["train"] |= {"steps": 1, "eval_tasks": 8}
    assert set(module.main()) == {"grpo", "positive_only"}
    (row,) = rows(Path("runs/write_an_algorithm/positive_only/metrics.jsonl"), "train")
    assert 0 < row["learner/positive_share"] < 1


def test_the_loop_in_one_file_gives_the_same_numbers(example, tmp_path):
    module = example("rl_loop_in_one_file")
    model, tokenizer = module.warm_start()
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    expected = module.main(model, tokenizer)
    settings = {"model": str(tmp_path / "model"), "out": str(tmp_path / "run")}
    trained(build_run({**LOOP_AS_A_RUN, **settings}))
    found = rows(tmp_path / "run" / "metrics.jsonl", "train")
    assert all(step["reward"] > 0.05 and step["grad_norm"] > 0.1 for step in expected)
    for mine, library in zip(expected, found, strict=True):
        assert library["train/reward"] == pytest.approx(mine["reward"], abs=1e-9)
        assert library["learner/grad_norm"] == pytest.approx(mine["grad_norm"], rel=1e-4)
        assert library["learner/loss"] == pytest.approx(mine["loss"], abs=1e-6)


def test_the_loop_in_one_file_is_short():
    assert len((EXAMPLES / "rl_loop_in_one_file.py").read_text().splitlines()) <= 200
