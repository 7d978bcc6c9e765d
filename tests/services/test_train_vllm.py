"""Whole runs with vLLM through the command line: they learn steps, or stop at the first publish."""

import json

import pytest
from runs import cli, one_line, rows
from servers import needs_vllm
from test_configs import SHRUNK

from agentrl.backends.tiny import tiny_model, word_tokenizer

pytestmark = [needs_vllm, pytest.mark.service, pytest.mark.filterwarnings("default")]
SMALL = [setting for setting in SHRUNK if setting != "engine=hf"] + ["engine.cache_gib=0.1"]


def policy_class():
    from agentrl.backends.vllm.inprocess import VLLMPolicy

    return VLLMPolicy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model that vLLM runs on a CPU, with its tokenizer."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = word_tokenizer(["say the word back: red green blue"] * 3)
    tokenizer.save_pretrained(path)
    tiny_model(len(tokenizer), heads=2, hidden_size=64).save_pretrained(path)
    return path


def test_the_shipped_configuration_trains_and_resumes(tmp_path):
    out = tmp_path / "run"
    common = [*SMALL, "warm_start.steps=40", "warm_start.episodes=64", "rollout.tasks=8"]
    code, _, message = cli("train", "sparql-vllm", *common, "train.steps=2", f"out={out}")
    assert (code, message.splitlines()[:0]) == (0, [])
    assert json.loads((out / "summary.json").read_text())["after"]["skipped"] == 0
    settings = [*common, "train.steps=4", f"out={out}"]
    code, _, _ = cli("train", "sparql-vllm", *settings, "--resume")
    assert code == 0
    steps = rows(out / "metrics.jsonl", "train")
    assert len(steps) == 4
    published = [row for row in steps if "sync/probe_gap" in row]
    assert all(row["sync/probe_gap"] < 1e-3 for row in published)
    assert all(row["learner/gap"] < 1e-3 for row in published)


def skipped(real, self, version):
    """Nothing is delivered."""


def stale(real, self, version):
    """One tensor stays as it was before the learner's steps."""
    sending(real, self, version, lambda tensor: tensor + 1e-4)


def narrow(real, self, version):
    """One tensor arrives in another precision."""
    sending(real, self, version, lambda tensor: tensor.bfloat16())


def sending(real, self, version, change):
    weights, name = self.weights, "model.norm.weight"
    self.weights = lambda: ((n, change(t) if n == name else t) for n, t in weights())
    try:
        real(self, version)
    finally:
        del self.weights


def plant(patch, name, fault):
    """From version 1 on, `fault` runs in place of a policy's method."""
    real = getattr(policy_class(), name)

    def method(self, *arguments):
        return fault(real, self, *arguments) if arguments[-1] else real(self, *arguments)

    patch.setattr(policy_class(), name, method)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (skipped, "version 1 of the weights was published, but the engine has 0"),
        (stale, "model.norm.weight has other values"),
        (narrow, "model.norm.weight is bfloat16, not float32"),
    ],
)
def test_a_broken_sync_stops_the_run_at_the_first_publish(fault, told, tmp_path, monkeypatch):
    plant(monkeypatch, "deliver", fault)
    code, _, message = cli("train", "sparql-vllm", *SMALL, f"out={tmp_path}/run")
    assert code == 2
    assert told in one_line("\n".join(line for line in message.splitlines() if "error:" in line))


def test_adapters_that_stay_behind_stop_the_run_at_the_first_publish(folder, tmp_path, monkeypatch):
    plant(monkeypatch, "_exchange_adapters", lambda real, self, llm, version: None)
    model = [f"model={folder}", "model.lora_rank=4", "model.dtype=float32"]
    engine = ["engine.name=vllm", "engine.adapters=true", "engine.cache_gib=0.1"]
    small = [s for s in SMALL if not s.startswith(("model", "engine"))]
    code, _, message = cli("train", "echo", *model, *engine, *small, f"out={tmp_path}/run")
    assert code == 2
    assert "lora_" in message
    assert "has other values" in message
