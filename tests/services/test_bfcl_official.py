"""All of BFCL, and the official command line's opinion of our result files.

`make env-bfcl` installs that command line in an environment of its own.
"""

import csv
import json
import os
import subprocess
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from bfcl_players import FILE, MODEL, everything, expert, headers, mixed, null, oracle, played

from agentrl.env import make

OFFICIAL = Path(os.environ.get("AGENTRL_BFCL", Path(__file__).parents[2] / ".venv-bfcl")) / "bin"
needs_package = pytest.mark.skipif(
    find_spec("bfcl_eval") is None, reason="NOT CHECKED HERE: bfcl-eval is not installed"
)
needs_official = pytest.mark.skipif(
    not (OFFICIAL / "bfcl").is_file(),
    reason="NOT CHECKED HERE: the official command line is installed by `make env-bfcl`",
)
pytestmark = [pytest.mark.service, needs_package]


@cache
def groups(speak, style="tools"):
    """Every task of every category, played."""
    env = make("agentrl/Bfcl-v0", style=style)
    return tuple(played(env, task, speak) for task in everything(env))


def accuracies(speak, style="tools"):
    told = make("agentrl/Bfcl-v0", style=style).scores(groups(speak, style))
    return {name: one["accuracy"] for name, one in told["categories"].items()}


@pytest.mark.parametrize("style", ["tools", "prompt"])
def test_the_oracle_is_right_in_every_category(style):
    found = accuracies(oracle, style)
    assert len(found) == 15
    assert set(found.values()) == {1.0}


def test_silence_is_right_where_declining_is():
    right = {name for name, accuracy in accuracies(null).items() if accuracy}
    assert right == {"irrelevance", "live_irrelevance"}
    assert {accuracies(null)[name] for name in right} == {1.0}


def official(folder, category="python,multi_turn", scores="official"):
    """Run the official `evaluate` on the results in a folder, whole categories only."""
    command = [OFFICIAL / "bfcl", "evaluate", "--model", MODEL, "--test-category", category]
    command += ["--score-dir", scores]
    environment = {**os.environ, "BFCL_PROJECT_ROOT": str(folder), "OPENAI_API_KEY": "none"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return headers(folder / scores)


@needs_official
@pytest.mark.parametrize("speak", [oracle, null, expert, mixed])
def test_the_official_evaluation_agrees(speak, tmp_path):
    env = make("agentrl/Bfcl-v0")
    env.export(groups(speak), tmp_path, MODEL)
    told = env.scores(groups(speak))["categories"]
    found = official(tmp_path)
    assert found == headers(tmp_path / "score")
    assert {name: one["correct_count"] for name, one in found.items()} == {
        name: one["right"] for name, one in told.items()
    }
    assert not list(tmp_path.rglob(f"*{FILE}*"))


@needs_official
def test_the_official_leaderboard_reads_our_score_files(tmp_path):
    env = make("agentrl/Bfcl-v0")
    env.export(groups(mixed), tmp_path, MODEL)
    official(tmp_path, category="memory_kv", scores="score")  # evaluates nothing
    told = env.scores(groups(mixed))["means"]
    assert table(tmp_path, "live")["Live Overall Acc"] == f"{told['live']['official']:.2%}"
    found = table(tmp_path, "multi_turn")["Multi Turn Overall Acc"]
    assert found == f"{told['multi_turn']['accuracy']:.2%}"


def table(folder, name):
    """The one row of an official table."""
    with open(folder / "score" / f"data_{name}.csv") as file:
        return next(csv.DictReader(file))


@needs_official
def test_the_score_files_say_the_same_of_wrong_answers(tmp_path):
    make("agentrl/Bfcl-v0").export(groups(mixed), tmp_path, MODEL)
    official(tmp_path)
    for ours in (tmp_path / "score").rglob("*_score.json"):
        theirs = tmp_path / "official" / ours.relative_to(tmp_path / "score")
        differing = Counter(
            key
            for one, two in zip(lines(ours), lines(theirs), strict=True)
            for key in one.keys() | two.keys()
            if one.get(key, "") != two.get(key, "")
        )
        assert not differing, ours.name


def lines(file):
    """The objects of a score file, without what a conversation's state looks like."""
    found = [json.loads(line) for line in file.read_text().splitlines()]
    for one in found:
        if "multi_turn" in one.get("test_category", ""):
            one["error"] = one["error"]["error_type"]
            for key in ("prompt", "model_result_decoded", "inference_log"):
                one.pop(key, None)
    return found
