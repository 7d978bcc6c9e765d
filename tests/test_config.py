"""Configurations: what is wrong is found at once, named with its place and how to mend it."""

import subprocess
import sys

import pytest
import yaml
from runs import cli, one_line, small

import agentrl
from agentrl.advantages import group_advantage
from agentrl.cli.show import LISTS
from agentrl.config import build_run, load_run
from agentrl.env import TextEnv, register
from agentrl.errors import ConfigError

SHIPPED = [entry["name"] for entry in LISTS["configs"]()]
WRONG = {
    # name: (YAML, line, the message holds all of these)
    "top level": ("env: agentrl/Echo-v0\nleaner: {}\n", 2, ["'leaner'", "'learner'"]),
    "section": ("env: agentrl/Echo-v0\nlearner:\n  lrr: 1\n", 3, ["'lrr'", "'lr'"]),
    "rollout": ("env: agentrl/Echo-v0\nrollout:\n  task: 4\n", 3, ["'task'", "'tasks'"]),
    "train": ("env: agentrl/Echo-v0\ntrain: {step: 4}\n", 2, ["'step'", "'steps'"]),
    "env": ("env:\n  id: agentrl/Echo-v0\n  wrods: 3\n", 3, ["'wrods'", "'words'"]),
    "env name": ("env:\n  words: 3\n  id: agentrl/Ecko-v0\n", 3, ["'agentrl/Echo-v0'"]),
    "env missing": ("seed: 1\n", None, ["env is missing"]),
    "env module": ("env: nowhere:X-v0\n", 1, ["cannot import 'nowhere'"]),
    "env number": ("env: 3\n", 1, ["env is 3"]),
    "env range": ("env: {id: agentrl/Sudoku-v0, blanks: 99}\n", 1, ["blanks=99"]),
    "model": ("env: agentrl/Echo-v0\nmodel:\n  layer: 2\n", 3, ["'layer'", "'layers'"]),
    "model unused": ("env: agentrl/Echo-v0\nmodel: {name: a/b, layers: 2}\n", 2, ["'layers'"]),
    "model path": ("env: agentrl/Echo-v0\nmodel:\n  name: ./none\n", 3, ["'./none'", "tiny"]),
    "model null": ("env: agentrl/Echo-v0\nmodel: null\n", 2, ["model is None"]),
    "algorithm": ("env: agentrl/Echo-v0\nalgorithm:\n  name: grop\n", 3, ["'grop'", "'grpo'"]),
    "algorithm type": ("env: agentrl/Echo-v0\nalgorithm: {name: 3}\n", 2, ["algorithm.name is 3"]),
    "slot": ("env: agentrl/Echo-v0\nalgorithm:\n  los: clipped\n", 3, ["'los'", "'loss'"]),
    "slot name": ("env: agentrl/Echo-v0\nalgorithm: {loss: cliped}\n", 2, ["'clipped'"]),
    "slot key": ("env: agentrl/Echo-v0\nalgorithm: {loss: {clip_hi: 1}}\n", 2, ["'clip_high'"]),
    "slot type": ("env: agentrl/Echo-v0\nalgorithm: {loss: {name: 3}}\n", 2, ["loss.name is 3"]),
    "slot import": ("env: agentrl/Echo-v0\nalgorithm: {loss: 'no:f'}\n", 2, ["cannot import 'no'"]),
    "slot empty": ("env: agentrl/Echo-v0\nalgorithm: {shape: {cache: 9}}\n", 2, ["is empty"]),
    "slot null": ("env: agentrl/Echo-v0\nalgorithm: {loss: null}\n", 2, ["cannot be null"]),
    "type": ("env: agentrl/Echo-v0\nlearner:\n\n  lr: fast\n", 4, ["'fast'", "expected float"]),
    "choice": ("env: agentrl/Echo-v0\nlearner: {schedule: step}\n", 2, ["'step'", "cosine"]),
    "not a section": ("env: agentrl/Echo-v0\nlearner: 3\n", 2, ["learner is 3", "mapping"]),
    "key of a type": ("env: agentrl/Echo-v0\nlearner: {on: 3}\n", 2, ["True", "quotes"]),
    "seed": ("env: agentrl/Echo-v0\nseed: one\n", 2, ["seed is 'one'", "whole number"]),
    "seed below 0": ("env: agentrl/Echo-v0\nseed: -1\n", 2, ["seed is -1"]),
    "out": ("env: agentrl/Echo-v0\nout: ''\n", 2, ["out is ''", "path"]),
    "twice": ("seed: 1\nenv: agentrl/Echo-v0\nseed: 2\n", 3, ["'seed'", "twice", "line 1"]),
    "twice below": ("env:\n  words: 1\n  words: 2\n", 3, ["'env.words'", "twice"]),
    "not YAML": ("env: [agentrl\n", None, ["not YAML", "line 2"]),
    "empty": ("", None, ["is empty", "env:"]),
    "a list": ("- env\n", None, ["not a mapping"]),
}
IMPOSSIBLE = {
    # override: what the message says
    "rollout.attempts=1": "compares the attempts of a group",
    "rollout.attempts=0": "at least 1",
    "rollout.temperature=0": "temperature above 0",
    "rollout.deadline_seconds=0": "seconds above 0",
    "limits.turn_tokens=9000": "leave room for the prompt",
    "limits.turn_tokens=0": "at least 1",
    "model.hidden_size=30": "multiple",
    "model.heads=0": "at least 1",
    "learner.minibatches=0": "at least 1",
    "learner.lr=-1": "at least 0",
    "learner.lr=.nan": "at least 0",
    "train.steps=-1": "at least 0",
    "train.eval_tasks=0": "at least 1",
    "warm_start.episodes=0": "at least 1",
    "threads=-1": "at least 0",
}


@pytest.fixture
def written(tmp_path):
    """Write a configuration and return its path."""

    def write(text):
        path = tmp_path / "a.yaml"
        path.write_text(text)
        return path

    return write


def refusal(source, *overrides):
    """The message of the ConfigError that reading ends in."""
    with pytest.raises(ConfigError) as caught:
        load_run(source, overrides)
    return str(caught.value)


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_named_with_its_line(case, written):
    text, line, wanted = WRONG[case]
    path = written(text)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: " if line else str(path)), message
    assert all(word in message for word in wanted), message
    assert "\n" not in message


@pytest.mark.parametrize("override", IMPOSSIBLE)
def test_what_cannot_work_together_is_refused(override):
    message = refusal("echo", override)
    assert message.startswith(f"command line, {override!r}: {override.partition('=')[0]} is")
    assert IMPOSSIBLE[override] in message


def test_an_engine_is_known_and_has_what_it_is_told_of():
    assert "unknown engine 'vlm': did you mean 'vllm'?" in refusal("echo", "engine=vlm")
    assert "engine.urls is empty: name the servers" in refusal("echo", "engine=server")
    assert "'template' or 'append'" in refusal("echo", "chat.history=keep")


def test_adapters_apart_want_a_model_with_adapters(tiny):
    apart = ("engine.name=vllm", "engine.adapters=true")
    message = refusal("echo", f"model={tiny.folder}", "warm_start=null", *apart)
    assert "engine.adapters is true, but model.lora_rank is 0" in message


@pytest.mark.parametrize("room", ["limits.context_tokens", "model.context"])
def test_a_turn_leaves_room_for_the_prompt(room):
    message = refusal("echo", f"{room}=4")
    assert f"limits.turn_tokens is 4, but the whole context holds {room} = 4" in message


def test_a_loss_without_a_ratio_wants_one_step_per_batch():
    for key in ("epochs", "minibatches"):
        message = refusal("echo", "algorithm=reinforce", f"learner.{key}=2")
        assert message.startswith(f"command line, 'learner.{key}=2': ")
        assert "on policy" in message
    load_run("echo", ["algorithm=grpo", "learner.epochs=2", "learner.minibatches=2"])


def test_one_attempt_is_fine_where_nothing_compares():
    load_run("echo", ["rollout.attempts=1", "algorithm.advantage.singleton=raw"])
    load_run("echo", ["rollout.attempts=1", "algorithm=flow_grpo_release"])
    raw = ("algorithm=dapo", "algorithm.advantage.singleton=raw")
    assert "mixed_outcomes" in refusal("echo", *raw, "rollout.attempts=1")


def test_a_warm_start_needs_an_expert():
    register("Mute-v0", type("Mute", (TextEnv,), {"new_task": lambda self, rng: {}}))
    message = refusal("echo", "env=Mute-v0")
    assert "has none" in message
    assert "warm_start: null" in message
    load_run("echo", ["env=Mute-v0", "warm_start=null"])


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("learner.lrr=1", "'lr'"),
        ("sed=1", "'seed'"),
        ("env.wrods=1", "'words'"),
        ("algorithm.loss.clip_hi=1", "'clip_high'"),
        ("learner={lrr: 1}", "'lr'"),
        ("seed.of=1", "seed is"),
        ("env=agentrl/Ecko-v0", "'agentrl/Echo-v0'"),
        ("model=./none", "'./none'"),
        ("algorithm=grop", "'grpo'"),
        ("train.steps=many", "'many'"),
    ],
)
def test_an_override_is_named_as_written(override, wanted):
    message = refusal("echo", override)
    assert message.startswith(f"command line, {override!r}: ")
    assert wanted in message


@pytest.mark.parametrize("override", ["seed", "=1", "learner..lr=1", "learner.lr=[1"])
def test_an_unreadable_override_says_how_to_write_one(override):
    assert repr(override) in refusal("echo", override)


def test_a_name_stands_for_a_section(written):
    short = load_run(written("env: agentrl/Echo-v0\nmodel: tiny\nalgorithm: dapo\n"))
    long = load_run(
        written("env: {id: agentrl/Echo-v0}\nmodel: {name: tiny}\nalgorithm: {name: dapo}\n")
    )
    assert short.resolved() == long.resolved()


def test_an_override_opens_a_name(written):
    path = written("env: agentrl/Echo-v0\nalgorithm: {name: gspo, loss: sequence_clipped}\n")
    keys = ["env.words=3", "model.layers=1", "algorithm.loss.level=turn", "warm_start.steps=7"]
    found = load_run(path, keys).resolved()
    assert found["env"] | {"id": "agentrl/Echo-v0", "words": 3} == found["env"]
    assert (found["model"]["name"], found["model"]["layers"]) == ("tiny", 1)
    assert found["algorithm"]["loss"]["level"] == "turn"
    assert found["warm_start"]["steps"] == 7


def test_an_override_of_a_section_replaces_it(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    run = load_run("quickstart", [f"model={folder}", "env=agentrl/Echo-v0", "algorithm=rloo"])
    assert run.model_name == str(folder)
    assert run.env.arguments == {}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(load_run("echo").resolved()))
    again = load_run(tmp_path, ["algorithm=rloo"])
    assert again.algorithm.parts == agentrl.algorithm("rloo").parts


def test_slots_change_keep_and_empty():
    tree = {
        "env": "agentrl/Echo-v0",
        "algorithm": {"name": "dapo", "keep": None, "loss": "reinforce"},
    }
    record = build_run(tree).algorithm
    assert record.keep is None
    assert record.loss.name == "reinforce"
    assert record.shape == agentrl.algorithm("dapo").shape
    tree["algorithm"] = {"name": "dapo", "loss": {"clip_high": 0.4}}
    assert build_run(tree).algorithm.loss.settings == {"clip_low": 0.2, "clip_high": 0.4}


def plain_advantage(table, groups, *, ddof: int = 1):
    """A component from outside, which passes everything on."""
    return group_advantage(table, groups, ddof=ddof)


def test_a_component_from_anywhere_is_resolved_to_where_it_is():
    name = f"{__name__}:plain_advantage"
    tree = {"env": "agentrl/Echo-v0", "algorithm": {"advantage": {"name": name, "ddof": 0}}}
    resolved = build_run(tree).resolved()
    assert resolved["algorithm"]["advantage"] == {"name": name, "ddof": 0}
    assert build_run(resolved).resolved() == resolved


@pytest.mark.parametrize("config", SHIPPED)
def test_the_resolved_form_of_every_configuration_repeats_it(config, tmp_path):
    resolved = load_run(config).resolved()
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(resolved, sort_keys=False))
    assert load_run(tmp_path / "run.yaml").resolved() == resolved
    assert load_run(tmp_path).resolved() == {**resolved, "out": str(tmp_path)}


@pytest.mark.parametrize("name", ["dapo", "flow_grpo_release", "gspo"])
def test_the_resolved_form_of_an_algorithm_repeats_it(name, tmp_path):
    run = load_run("echo", [f"algorithm={name}", "algorithm.penalty={name: kl, coef: 0.1}"])
    assert run.algorithm.live_penalty is not None
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(run.resolved()))
    again = load_run(tmp_path / "a.yaml")
    assert again.algorithm_name == name
    assert again.resolved() == run.resolved()


def test_defaults_are_written_out():
    resolved = small("x").resolved()
    assert resolved["learner"]["betas"] == [0.9, 0.95]
    assert resolved["env"]["turns"] == 1
    slots = set(agentrl.algorithm("grpo").__slots__) - {"keeps_scale"}
    assert set(resolved["algorithm"]) == {"name", *slots}


def test_only_a_name_means_a_shipped_configuration(tmp_path):
    load_run("echo.yaml")
    load_run("configs/echo.yaml")
    for path in (tmp_path / "echo.yaml", "runs/echo", "eko"):
        message = refusal(path)
        assert message.startswith(f"no configuration {str(path)!r}")
        assert "echo" in message.partition("shipped name")[2]
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refusal(tmp_path / "a.yaml")


def test_an_error_comes_before_any_model_and_any_folder(tmp_path):
    code = (
        "import sys; from agentrl.cli import main; sys.argv[1:] = ['train', 'echo', 'seed=x']\n"
        "try: main()\n"
        "finally: print([m for m in sys.modules if m in ('agentrl.session', 'agentrl.backends.hf')"
        " or m.startswith('transformers.models')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=tmp_path, text=True
    )
    assert done.returncode == 2
    assert done.stdout == "[]\n"
    assert one_line(done.stderr).startswith("error: command line, 'seed=x': seed is 'x'")
    assert not list(tmp_path.iterdir())


def test_no_folder_is_made_for_a_run_that_cannot_be(tmp_path):
    code, _, message = cli("train", "echo", f"out={tmp_path / 'x'}", "model=./none")
    assert code == 2
    assert "'model=./none'" in one_line(message)
    assert not (tmp_path / "x").exists()


def test_held_out_tasks_may_come_from_other_arguments():
    env = {"id": "agentrl/Sudoku-v0", "size": 4, "blanks": 1}
    run = build_run({"env": env, "held_out": {"blanks": 3}})
    sources = run.sources(run.make_env())
    blanks = {split: sources[split].tasks(split, 1, 0)[0].data for split in ("train", "test")}
    assert [puzzle["puzzle"].count(".") for puzzle in blanks.values()] == [1, 3]
    assert build_run(run.resolved()).held_out == {"blanks": 3}
    with pytest.raises(ConfigError, match="did you mean 'blanks'"):
        build_run({"env": env, "held_out": {"blank": 3}})
