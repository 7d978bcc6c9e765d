"""Every shipped configuration runs from end to end, and leaves behind what it promises."""

import json

import pytest
import torch
import yaml
from runs import cli, rows
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.cli.show import LISTS
from agentrl.config import load_run

SHIPPED = [entry["name"] for entry in LISTS["configs"]()]
SHRUNK = [
    *("warm_start.steps=2", "warm_start.episodes=16", "rollout.tasks=2", "rollout.attempts=2"),
    *("train.steps=1", "train.train_tasks=32", "train.eval_tasks=4", "train.eval_every=1"),
    *("model.corpus_tasks=8", "engine=hf"),  # vLLM has an environment of its own
]
FEW_GAMES = ["env.train_seeds=[1, 4]", "env.test_seeds=[5, 8]", "train.train_tasks=4"]
"""TextWorld takes a second to make a game, and shares what it made with the other files."""
LEFT = [
    *("checkpoints", "choices.jsonl", "episodes.jsonl", "journal.sqlite"),
    *("learning_curve.png", "metrics.jsonl", "run.yaml", "summary.json", "tensorboard"),
]


@pytest.fixture(scope="module", params=SHIPPED)
def run(request, tmp_path_factory):
    """The name of a configuration and the folder that `agentrl train` left."""
    out = tmp_path_factory.mktemp(request.param)
    few = FEW_GAMES if request.param.startswith("textworld") else []
    code, printed, message = cli("train", request.param, *SHRUNK, *few, f"out={out}", "seed=7")
    assert (code, message) == (0, "")
    assert str(out / "summary.json") in printed
    table = printed[printed.index(" mode ") : printed.index(" s in all")].splitlines()[:-1]
    assert max(map(len, table)) <= 80  # it fits a terminal
    return request.param, out


def test_it_leaves_what_it_promises(run):
    _, out = run
    assert sorted(path.name for path in out.iterdir()) == LEFT
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((out / "tensorboard").glob("events.out.tfevents.*"))
    assert yaml.safe_load((out / "run.yaml").read_text()) == load_run(out).resolved()


def test_the_summary_says_before_and_after(run):
    name, out = run
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["task"], summary["seed"]) == (load_run(name).env_id, 7)
    for when in ("before", "after"):
        low, high = summary[when]["interval"]
        assert 0 <= low <= summary[when]["success"] <= high <= 1
        assert summary[when]["n"] == 4
    assert {"warm_start", "evaluation", "generation", "training"} == set(summary["seconds"])
    assert all(seconds >= 0 for seconds in summary["seconds"].values())
    assert len(summary["table"]) == 8  # before and after, sampled and greedy, seen and held out


def test_every_step_is_in_the_metrics(run):
    _, out = run
    assert [row["step"] for row in rows(out / "metrics.jsonl", "warm start")] == [0, 1]
    (row,) = rows(out / "metrics.jsonl", "train")
    shown = {"success", "reward", "entropy", "turns", "tokens", "truncated"}
    assert {f"train/{name}" for name in shown} <= set(row)
    assert {"speed/generation", "speed/environment", "eval/success"} <= set(row)


def test_every_episode_is_written_with_its_tokens(run):
    _, out = run
    played = rows(out / "episodes.jsonl")
    assert len(played) == 4
    for episode in played:
        assert episode["status"] in ("completed", "turn_limit")
        assert all(turn["ids"] for turn in episode["turns"])


def test_the_checkpoint_is_an_ordinary_model(run):
    _, out = run
    checkpoint = json.loads((out / "summary.json").read_text())["checkpoint"]
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))


def test_the_run_can_be_evaluated_by_its_folder(run):
    name, out = run
    code, printed, _ = cli("eval", out, "--tasks", 4, "--json")
    assert code == 0
    answer = json.loads(printed)
    assert (answer["task"], answer["n"]) == (load_run(name).env_id, 4)
    assert answer["model"] == str(out / "checkpoints" / "step-000001")
