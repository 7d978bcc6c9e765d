"""`agentrl train CONFIG key=value...`: check everything, train, and leave cleanly on Ctrl-C."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from agentrl.config import load_run


def train(config: str, overrides: Sequence[str], *, resume: bool) -> None:
    """Check everything, then train."""
    run = load_run(config, overrides)
    from agentrl.train import run_training

    try:
        run_training(run, resume=resume)
    except KeyboardInterrupt:
        _interrupted(config, overrides, run.folder)


def _interrupted(config: str, overrides: Sequence[str], out: Path) -> None:
    """Say what is safe, then leave without waiting for engine or environment threads."""
    from agentrl.checkpoint import checkpoints

    saved = checkpoints(out)
    command = shlex.join(["agentrl", "train", config, *overrides])
    safe = f"no checkpoint yet; start again with `{command}`"
    if saved:
        safe = f"checkpoint {saved[-1]} is complete; go on with `{command} --resume`"
    sys.stdout.flush()
    sys.stderr.write(f"interrupted: {safe}\n")
    sys.stderr.flush()
    os._exit(130)
