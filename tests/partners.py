"""Decoupled trainers for tests, each a process that may be killed at any time."""

import io
import json
import multiprocessing
import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from runs import small

from agentrl.checkpoint import checkpoints
from agentrl.decoupled import Follower
from agentrl.train import run_training

TEAM = {
    "agent": {
        "name": "agentflow",
        "roles": {"executor": "sub"},
        "trained": ["planner", "executor"],
        "plan": "bare",
        "prompts": {"planner": "{task}", "executor": "say {context}"},
    },
    "policies": {"sub": {"source": "start", "train": True}},
    "learner": {"lr": 0.01},
    "warm_start": {"steps": 60},
    "exchange": {"poll_seconds": 0.02, "deadline_seconds": 60.0},
}
"""A planner and an executor, each a policy of its own; every attempt has tokens of both."""
BOTH = ("main", "sub")


def team(out, only, **sections):
    """The run of one of the two trainers."""
    exchange = {**TEAM["exchange"], **sections.pop("exchange", {})}
    return small(out, **{**TEAM, **sections, "exchange": exchange, "only": only})


def go_on(out, only, sections, learning_seconds=0.0):
    """Begin with one of them, or go on from its last checkpoint; learning takes so much longer."""
    run, learn = team(out, only, **sections), Follower.learn

    def slowly(*given):
        time.sleep(learning_seconds)
        return learn(*given)

    Follower.learn = slowly
    lives(run.folder, "x")
    run_training(run, resume=bool(checkpoints(run.folder)), console=Console(file=io.StringIO()))


def lives(folder, more=""):
    """How often a trainer has begun; `more` counts one more."""
    told = Path(f"{folder}.lives")
    told.parent.mkdir(parents=True, exist_ok=True)
    with told.open("a+") as file:
        file.write(more)
        file.seek(0)
        return len(file.read())


@contextmanager
def processes():
    """What starts processes at once: a server forks them that has imported everything.

    A Python process has one such server, so it knows whatever any test begins.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["partners", "traders"])
    here = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        for folder in (here, here / "journal"):
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield context


def together(context, out, learning_seconds=0.0, **sections):
    """Both trainers to their end; their summaries, `main`'s first."""
    started = [
        context.Process(target=go_on, args=(out, only, sections, learning_seconds)) for only in BOTH
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    return [json.loads((out / only / "summary.json").read_text()) for only in BOTH]
