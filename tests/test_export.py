"""Exported folders are what transformers loads, with the numbers of the run."""

import json
import shutil

import pytest
import torch
from runs import cli, one_line
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.backends.load import pretrained
from agentrl.checkpoint import checkpoints

IDS = torch.tensor([[1, 5, 9, 30, 41, 7]])


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    """Folders as runs leave them: a whole model, and adapters that have moved."""
    root = tmp_path_factory.mktemp("runs")
    folders = {name: root / name / "checkpoints" / "step-000003" for name in ("whole", "adapted")}
    shutil.copytree(tiny.folder, folders["whole"])
    model, tokenizer = pretrained(tiny.folder, lora_rank=2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folders["adapted"])
    tokenizer.save_pretrained(folders["adapted"])
    return {name: root / name for name in folders}


@torch.no_grad()
def logits(model):
    return model.eval()(IDS).logits


@pytest.mark.parametrize("name", ["whole", "adapted"])
def test_a_merged_model_is_the_runs_model(runs, name, tmp_path):
    code, printed, message = cli("export", runs[name], tmp_path / "out")
    assert (code, message) == (0, "")
    assert str(tmp_path / "out") in printed
    expected, _ = pretrained(str(checkpoints(runs[name])[-1]))
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits(found), logits(expected), atol=1e-5, rtol=0)
    assert not hasattr(found, "peft_config")
    assert type(found).__name__ in found.config.architectures


def test_the_tokenizer_and_the_end_tokens_come_along(runs, tiny, tmp_path):
    cli("export", checkpoints(runs["adapted"])[-1], tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == tiny.tokenizer.chat_template
    assert tokenizer.encode("say red") == tiny.tokenizer.encode("say red")
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    ends = settings["eos_token_id"]
    assert set(ends if isinstance(ends, list) else [ends]) == set(tiny.chat.end_ids)


def test_adapters_alone_fit_on_their_model(runs, tmp_path):
    from peft import PeftModel

    cli("export", runs["adapted"], tmp_path / "out", "--adapter")
    checkpoint = checkpoints(runs["adapted"])[-1]
    assert not (tmp_path / "out" / "model.safetensors").exists()
    base = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(base["base_model_name_or_path"])
    before = logits(model).clone()
    found = logits(PeftModel.from_pretrained(model, tmp_path / "out"))
    expected, _ = pretrained(str(checkpoint))
    torch.testing.assert_close(found, logits(expected), atol=1e-6, rtol=0)
    assert float((found - before).abs().max()) > 1e-3


def test_a_dtype_may_be_chosen(runs, tmp_path):
    cli("export", runs["adapted"], tmp_path / "out", "--dtype", "bfloat16")
    found, _ = pretrained(str(tmp_path / "out"))
    assert found.dtype == torch.bfloat16


def test_what_cannot_be_exported_is_refused(runs, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").write_text("x")
    cases = {
        (runs["whole"], full): "holds 'thesis.tex'",
        (runs["whole"], tmp_path / "a", "--adapter"): "holds a whole model and no adapters",
        (tmp_path / "none", tmp_path / "b"): "there is no folder",
        (full, tmp_path / "c"): "has no config.json",
        (runs["whole"], tmp_path / "d", "--dtype", "int3"): "unknown dtype 'int3'",
    }
    for arguments, says in cases.items():
        code, _, message = cli("export", *arguments)
        assert code == 2
        assert says in one_line(message)
