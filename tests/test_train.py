"""The loop: what it writes, what it may see, and that it goes on wherever it was stopped."""

import json
import shutil
import signal
import time

import pytest
import yaml
from builders import group, turn_credit
from runs import cli, one_line, rows, shell, small, trained

from agentrl.checkpoint import checkpoints, load_state
from agentrl.env import Reply, TextEnv, env_class, register
from agentrl.errors import DataError
from agentrl.journal.folder import opened
from agentrl.session import Session
from agentrl.table import build_table
from agentrl.train import Trainer
from agentrl.types import Status, Task, Trajectory
from agentrl.warmstart import living

READY = {"episodes": 64, "steps": 40, "batch": 16, "lr": 1e-2, "warmup_steps": 5}
RESUMED = {
    "warm_start": READY,
    "algorithm": {"name": "flow_grpo", "penalty": {"coef": 0.1}},  # a reference to be restored
    "learner": {"lr": 5e-3},
}
COEF = "algorithm.penalty.coef="
SAME = ("train/success", "train/reward", "train/entropy", "learner/loss", "learner/grad_norm")


def run_of(out, steps):
    return small(out, **RESUMED, train={"steps": steps})


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Folders and summaries of a run of four steps, and of one that stopped after two."""
    straight, parts = (tmp_path_factory.mktemp(name) for name in ("straight", "parts"))
    whole = trained(run_of(straight, 4))
    half = trained(run_of(parts, 2))
    return straight, whole, parts, half, trained(run_of(parts, 4), resume=True)


@pytest.fixture
def finished(resumed, tmp_path):
    """A copy of the resumed run, to be broken."""
    return shutil.copytree(resumed[2], tmp_path / "run")


# ---- going on ---------------------------------------------------------------------------------


def test_the_reference_is_what_the_warm_start_made(tmp_path):
    run = small(tmp_path / "run", algorithm="flow_grpo", warm_start={"steps": 60})
    trained(run)
    first = rows(run.folder / "metrics.jsonl", "train")[0]
    assert first["learner/kl"] < 1e-6


def test_a_resumed_run_repeats_the_straight_one(resumed):
    straight, _, parts, *_ = resumed
    expected, found = (rows(out / "metrics.jsonl", "train") for out in (straight, parts))
    assert [row["step"] for row in found] == [0, 1, 2, 3]
    assert any(row.get("learner/grad_norm", 0) > 0 for row in expected[2:]), "nothing to compare"
    for a, b in zip(expected, found, strict=True):
        assert a.keys() == b.keys()
        assert {n: a[n] for n in SAME if n in a} == pytest.approx(
            {n: b[n] for n in SAME if n in b}, abs=1e-5
        )


def test_a_resumed_run_samples_the_same_tokens(resumed):
    straight, _, parts, *_ = resumed
    episodes = [rows(out / "episodes.jsonl") for out in (straight, parts)]
    said = [[[t["ids"] for t in e["turns"]] for e in of] for of in episodes]
    assert len(said[0]) == 4 * 8
    assert said[0] == said[1]


def test_a_resumed_run_reports_on_the_whole(resumed):
    _, whole, parts, half, summary = resumed
    for key in ("success", "interval", "n"):
        assert summary["before"][key] == half["before"][key] == whole["before"][key]
        assert summary["after"][key] == whole["after"][key]
    assert summary["seconds"]["warm_start"] == half["seconds"]["warm_start"]
    assert len(load_state(checkpoints(parts)[-1])["report"]["curve"]) == 4


def test_resuming_drops_what_was_written_after_the_checkpoint(finished, resumed):
    shutil.rmtree(checkpoints(finished)[-1])
    with (finished / "metrics.jsonl").open("a") as file:
        file.write('{"phase": "train", "step": 4, "tr')
    summary = trained(run_of(finished, 4), resume=True)
    assert [row["step"] for row in rows(finished / "metrics.jsonl", "train")] == [0, 1, 2, 3]
    assert len(rows(finished / "metrics.jsonl", "warm start")) == READY["steps"]
    assert len(rows(finished / "episodes.jsonl")) == 4 * 8
    assert summary["after"]["success"] == resumed[-1]["after"]["success"]


def adapted(out, base, steps):
    """Adapters on a model that knows the format, kept near it."""
    near = {"name": "grpo", "penalty": {"coef": 0.1}}
    sections = {"warm_start": None, "algorithm": near, "learner": {"lr": 1e-2}}
    model = {"name": base, "lora_rank": 2}
    return small(out, model=model, train={"steps": steps}, **sections)


def test_adapters_are_resumed_and_not_stacked(resumed, tmp_path):
    base = str(checkpoints(resumed[0])[-1])
    trained(adapted(tmp_path / "a", base, 2))
    trained(adapted(tmp_path / "b", base, 1))
    trained(adapted(tmp_path / "b", base, 2), resume=True)
    expected, found = (rows(tmp_path / name / "metrics.jsonl") for name in "ab")
    assert [row["learner/grad_norm"] for row in found] == pytest.approx(
        [row["learner/grad_norm"] for row in expected], rel=1e-4
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", b'{"step": 4, "samp'),
        ("state.json", b"{}"),
        ("state.json", b"\xff"),
        ("learner.pt", b""),
        ("learner.pt", b"not a tensor"),
        ("learner.pt", b"PK\x03\x04 cut short"),
    ],
)
def test_a_broken_checkpoint_is_named(finished, name, content):
    last = checkpoints(finished)[-1]
    (last / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        trained(run_of(finished, 4), resume=True)
    message = str(caught.value)
    assert message.startswith(f"{last / name} cannot be read (")
    assert f"delete the folder {last}" in message
    assert "\n" not in message


def test_broken_weights_are_one_line_too(finished):
    last = checkpoints(finished)[-1]
    (last / "model.safetensors").write_bytes(b"no weights")
    code, _, message = cli("train", finished, "--resume")
    assert code == 2
    assert str(last) in one_line(message)


def test_a_checkpoint_of_other_settings_is_refused(finished):
    code, _, message = cli("train", finished, "--resume", "train.steps=5", COEF + "0")
    assert code == 0, message  # the reference is not needed any more
    code, _, message = cli("train", finished, "--resume", "train.steps=6", COEF + "0.1")
    assert code == 2
    assert "step-000005 was made with other settings" in one_line(message)


def test_a_folder_is_resumed_wherever_it_is_now(finished, resumed):
    moved = finished.rename(finished.with_name("moved"))
    code, _, message = cli("train", moved, "--resume", "train.steps=5")
    assert code == 0, message
    assert checkpoints(moved)[-1].name == "step-000005"
    assert checkpoints(resumed[2])[-1].name == "step-000004"


def test_nothing_to_resume_says_so(tmp_path):
    code, _, message = cli("train", "echo", f"out={tmp_path}", "--resume")
    assert (code, one_line(message)) == (
        2,
        f"error: out={str(tmp_path)!r} holds no complete checkpoint: start without --resume",
    )


def test_a_new_run_moves_the_earlier_one_aside(tmp_path):
    out = tmp_path / "run"
    untrained = {"warm_start": None, "train": {"steps": 0}}
    for seed in (0, 1, 2):
        trained(small(out, seed=seed, **untrained))
    places = (out, tmp_path / "run.2", tmp_path / "run.1")
    seeds = [json.loads((place / "summary.json").read_text())["seed"] for place in places]
    assert seeds == [2, 1, 0]


def test_only_a_run_is_ever_moved_aside(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"'thesis.tex' but no run: give a new or empty folder"):
        trained(small(tmp_path))
    with pytest.raises(DataError, match=r"cannot write to out=.*NotADirectoryError"):
        trained(small(tmp_path / "thesis.tex"))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


# ---- interrupted ------------------------------------------------------------------------------


def wait_for_step(out, step, process):
    """Until the training step `step` is in the metrics; the next one is then under way."""
    until = time.monotonic() + 120
    path = out / "metrics.jsonl"
    while f'"phase": "train", "step": {step}' not in (path.read_text() if path.exists() else ""):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "too slow"
        time.sleep(0.02)
    time.sleep(0.05)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A real run, interrupted in its fourth step: its folder, exit code and stderr."""
    out = tmp_path_factory.mktemp("interrupted") / "run"
    out.parent.joinpath("a.yaml").write_text(yaml.safe_dump(long_run(out).resolved()))
    process = shell("train", out.parent / "a.yaml", "seed=3")
    wait_for_step(out, 2, process)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    return out, process.returncode, message


def long_run(out):
    """Steps long enough to be interrupted, a checkpoint after every second one, and no end."""
    plan = {"tasks": 32, "attempts": 8}
    endless = {"steps": 10**6, "checkpoint_every": 2}
    return small(out, warm_start=READY, rollout=plan, train=endless)


def test_an_interrupt_leaves_one_line_that_says_how_to_go_on(interrupted):
    out, code, message = interrupted
    assert code == 130
    line = one_line(message)
    assert line.startswith(f"interrupted: checkpoint {checkpoints(out)[-1]} is complete; go on")
    assert line.endswith(f"`agentrl train {out.parent / 'a.yaml'} seed=3 --resume`")


def test_an_interrupt_leaves_checkpoints_whole(interrupted):
    out = interrupted[0]
    done = len(rows(out / "metrics.jsonl", "train"))
    first, *whole = checkpoints(out)
    steps = [0, *(load_state(path)["step"] for path in whole)]
    assert [path.name for path in (first, *whole)] == [f"step-{step:06d}" for step in steps]
    assert (first / "model.safetensors").is_file()
    assert steps[-1] <= done <= steps[-1] + 2
    assert done >= 3


def test_a_killed_run_goes_on_from_its_last_checkpoint(interrupted):
    out = interrupted[0]
    process = shell("train", out, "--resume", stderr=None)
    wait_for_step(out, 4, process)
    process.kill()
    process.communicate()
    last, killed = load_state(checkpoints(out)[-1])["step"], lineage(out)
    summary = trained(small(out, train={"steps": last + 1}), resume=True)
    steps = [row["step"] for row in rows(out / "metrics.jsonl", "train")]
    assert steps == list(range(last + 1))
    assert last >= 4
    assert summary["checkpoint"] == str(checkpoints(out)[-1])
    check_lineage(out, last, killed)


def lineage(out):
    """Where a run's lives begin, and the sampled ids of each surviving step."""
    with opened(out) as (journal, run):
        steps = {step: journal.groups(run, step) for step in journal.steps(run)}
        return [life.from_step for life in journal.lives(run)], {
            step: [t.completion.ids.tolist() for g in groups for e in g.episodes for t in turns(e)]
            for step, groups in steps.items()
        }


def turns(episode):
    return [turn for trajectory in episode.trajectories for turn in trajectory.turns]


def check_lineage(out, last, killed):
    """A killed run's journal was whole and went on; the export is what survives."""
    (before, old), (after, new) = killed, lineage(out)
    assert list(old) == list(range(len(old)))
    assert len(old) > last
    assert len(before) == 2
    assert after == [*before, last]
    assert list(new) == list(range(last + 1))
    assert all(new[step] == old[step] for step in range(last))
    exported = rows(out / "episodes.jsonl")
    ids = [turn["ids"] for row in exported for turn in row["turns"]]
    assert ids == [said for step in new.values() for said in step]
    assert len(exported) == 32 * 8 * last + 2 * 4  # the last step is of a smaller plan


# ---- the journal ------------------------------------------------------------------------------


def test_the_journal_holds_the_credit_that_was_trained(resumed):
    out = resumed[0]
    with opened(out) as (journal, run):
        for step in range(4):
            groups = journal.groups(run, step)
            table = run_of(out, 4).algorithm.started().credit(build_table(groups), groups)
            found = journal.credits(run, step)
            assert [credit.rows for credit in found] == table.sizes("turn").tolist()
            expected = turn_credit(table, table.advantage).tolist()
            assert [credit.advantage for credit in found] == pytest.approx(expected, abs=1e-6)
            silent = expected == [0] * len(expected)
            total = sum(credit.weight for credit in found)
            assert silent or total > 0


def test_a_resumed_runs_journal_is_the_straight_ones(resumed):
    straight, parts = lineage(resumed[0]), lineage(resumed[2])
    assert (straight[0], parts[0]) == ([0], [0, 2])
    assert straight[1] == parts[1]


def test_refused_and_refilled_groups_are_credited_as_they_were_played(tmp_path):
    plan = {"tasks": 4, "attempts": 4, "refills": 3}
    barely = {**READY, "steps": 20}
    trained(small(tmp_path, warm_start=barely, algorithm="dapo", rollout=plan, train={"steps": 2}))
    seen = 0
    with opened(tmp_path) as (journal, run):
        for step in range(2):
            groups = journal.groups(run, step)
            for credit in journal.credits(run, step):
                rewards = [episode.main.reward for episode in groups[credit.group].episodes]
                over = rewards[credit.place] - sum(rewards) / len(rewards)
                assert credit.advantage * over > 0
                seen += len(groups) > 4
    assert seen, "nothing was refilled"
    row = rows(tmp_path / "metrics.jsonl", "train")[0]
    assert row["credit/main/turns"] > 0


def test_a_journal_that_is_gone_is_said(finished, resumed):
    (finished / "journal.sqlite").unlink()
    code, printed, _ = cli("train", finished, "--resume", "train.steps=5", COEF + "0")
    assert code == 0
    assert "does not hold this run: it goes on there as the new run" in printed
    assert [row["step"] for row in rows(finished / "episodes.jsonl")] == sorted(list(range(5)) * 8)
    state = load_state(checkpoints(finished)[-1])
    assert lineage(finished)[0] == [4]
    assert state["journal"]["run"] in printed


# ---- what is held out -------------------------------------------------------------------------

PLAYED = []
"""Tasks that watched environments were reset to, in order."""


class Watch:
    """Notes every task."""

    def reset(self, *, seed=None, options=None):
        if options and isinstance(options.get("task"), Task):
            PLAYED.append(options["task"])
        return super().reset(seed=seed, options=options)


WATCHED = {
    "Sparql": {"triples": 400, "hops": [1], "prompt": "short"},
    "Sudoku": {"blanks": 3, "prompt": "short"},
    "Echo": {"turns": 3},
}


def watched(name):
    """A run whose environment notes every task, with few held-out ones to stumble upon."""
    if (kind := f"Watched{name}-v0") not in {task.env for task in PLAYED}:
        register(kind, type(f"Watched{name}", (Watch, env_class(f"agentrl/{name}-v0")), {}))
    PLAYED.clear()
    env = {"id": kind, **WATCHED[name]}
    return small("unused", env=env, train={"train_tasks": 300, "eval_tasks": 50})


@pytest.mark.parametrize("name", WATCHED)
def test_no_held_out_task_is_seen_before_it_is_asked(name):
    with Session(watched(name)) as session:
        corpus = len(PLAYED)  # the tokenizer's
        session.demonstrations(400)
        trainer = Trainer(session, Quiet(), Quiet())
        for trainer.step in range(3):
            trainer.collect()
        held_out = {task.id for task in session.test_tasks}
        assert 0 < corpus < len(PLAYED) - 400
        assert len(held_out) == len(session.test_tasks) > 5
        assert not held_out & {task.id for task in PLAYED}
        assert {task.split for task in PLAYED} == {"train"}


class Quiet:
    """A record and a report that keep nothing."""

    def __getattr__(self, name):
        return lambda *given, **named: None


def test_the_episodes_on_disk_hold_no_held_out_task(resumed):
    with Session(run_of("unused", 4)) as session:
        held_out = {task.id for task in session.test_tasks}
        known = {task.id for task in session.train_tasks}
    played = {row["task"] for row in rows(resumed[0] / "episodes.jsonl")}
    assert played <= known
    assert not played & held_out


# ---- the loop's own edges ---------------------------------------------------------------------


def test_refused_groups_count_in_the_metrics(tmp_path):
    unable = {"warm_start": None, "algorithm": "dapo", "rollout": {"refills": 2}}
    trained(small(tmp_path, **unable, train={"steps": 1}))
    (row,) = rows(tmp_path / "metrics.jsonl", "train")
    assert row["train/groups_refused"] == 6  # nobody solves anything: no group has mixed outcomes
    assert row["train/turns"] == 1
    assert "learner/loss" not in row
    assert len(rows(tmp_path / "episodes.jsonl")) == 6 * 4


def test_a_warm_start_without_a_demonstration_says_why():
    failed = Trajectory(status=Status.ENV_FAILED, error="out of paper")
    with pytest.raises(DataError, match=r"all 2 expert .*env_failed: out of paper.*warm_start: n"):
        living([group(failed, number=0), group(failed, number=1)])


class Whole(TextEnv):
    """Solved by anything."""

    def new_task(self, rng):
        return {"number": int(rng.integers(1000))}

    def begin(self, data):
        return "hello"

    def act(self, text):
        return Reply(done=True, success=True)

    def expert(self, rng):
        return "hello"


def test_a_run_without_signal_goes_on(tmp_path):
    register("Whole-v0", Whole)
    summary = trained(small(tmp_path, env="Whole-v0"))
    assert summary["after"]["success"] == 1
    for row in rows(tmp_path / "metrics.jsonl", "train"):
        assert row["train/live_groups"] == 0
        assert "learner/loss" not in row
