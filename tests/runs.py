"""Small runs, and the command line in this process or in one of its own."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from rich.console import Console

from agentrl.cli import main
from agentrl.config import build_run
from agentrl.protocols import Choice
from agentrl.rollout import Rollout
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.train import run_training

SMALL = {
    "env": {"id": "agentrl/Echo-v0", "words": 2},
    "model": {"name": "tiny", "hidden_size": 32, "layers": 1, "corpus_tasks": 8},
    "warm_start": {"episodes": 16, "steps": 2, "batch": 8},
    "limits": {"turn_tokens": 4},
    "rollout": {"tasks": 2, "attempts": 4},
    "train": {"steps": 2, "train_tasks": 32, "eval_tasks": 4},
}
"""Everything once, in two seconds."""


def small(out, **sections):
    """A run of SMALL; a mapping without a name changes keys of its section."""
    tree = {"out": str(out), **SMALL}
    for name, value in sections.items():
        whole = not isinstance(value, dict) or {"id", "name"} & value.keys()
        adds = not whole and isinstance(tree.get(name), dict)
        tree[name] = {**tree[name], **value} if adds else value
    return build_run(tree)


def trained(run, **options):
    """The summary of a run that printed nothing."""
    return run_training(run, console=Console(file=io.StringIO()), **options)


def played(cast, agent, make_env, *, tasks, attempts=2):
    """The groups of an agent's attempts at some tasks."""
    rollout = Rollout(pool=EnvPool(make_env, 5.0), agent=agent, concurrency=8)
    choices = [Choice(task, attempts) for task in tasks]
    groups = asyncio.run(rollout.groups(choices, cast, seed=0, strategy=independent))
    rollout.pool.close()
    return groups


def rows(path, phase=None):
    """The lines of a JSONL file, those of one phase if it is named."""
    found = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [row for row in found if phase in (None, row.get("phase"))]


def cli(*arguments, stdin=""):
    """Exit code, stdout and stderr of `agentrl ...` in this process."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, sys.stdin)
    sys.argv, sys.stdin = ["agentrl", *map(str, arguments)], io.StringIO(stdin)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv, sys.stdin = before
    return code, out.getvalue(), err.getvalue()


def shell(*arguments, **options):
    """The installed command in a process of its own; it writes into pipes."""
    command = [str(Path(sys.executable).with_name("agentrl")), *map(str, arguments)]
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {**os.environ, **quiet}
    # a shell that starts the tests in the background makes its children ignore Ctrl-C
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    settings = {"preexec_fn": listen, **pipes, **options}
    return subprocess.Popen(command, env=environment, text=True, **settings)


def one_line(text):
    """The one line that stderr holds."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]
