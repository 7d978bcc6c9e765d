"""Checkpoints: a `save_pretrained` folder with optimiser and run state, written all or nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

from agentrl.errors import DataError
from agentrl.session import Session

KEEP = 2
"""Older checkpoints are deleted once a new one is complete."""


def save_checkpoint(out: Path, step: int, session: Session, state: dict[str, Any]) -> Path:
    """Write `out/checkpoints/step-N` through a temporary folder: a kill leaves the old one whole.

    `state` holds `learner` (tensors) and JSON-serialisable entries. Returns the folder.
    """
    root = out / "checkpoints"
    final, draft = root / f"step-{step:06d}", root / f".writing-{step:06d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    session.model.save_pretrained(draft)
    session.tokenizer.save_pretrained(draft)
    torch.save(state["learner"], draft / "learner.pt")
    rest = {key: value for key, value in state.items() if key != "learner"}
    (draft / "state.json").write_text(json.dumps({"step": step, **rest}))
    (draft / "run.yaml").write_text(yaml.safe_dump(session.run.resolved(), sort_keys=False))
    shutil.rmtree(final, ignore_errors=True)
    os.replace(draft, final)
    for old in checkpoints(out)[:-KEEP]:
        shutil.rmtree(old)
    return final


def set_aside(out: Path) -> None:
    """Move an earlier run's folder out of the way: `runs/x` becomes `runs/x.1`, `runs/x.2`, ..."""
    if not out.exists() or not any(out.iterdir()):
        return
    number = 1
    while out.with_name(f"{out.name}.{number}").exists():
        number += 1
    out.rename(out.with_name(f"{out.name}.{number}"))


def checkpoints(out: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted((out / "checkpoints").glob("step-*"))


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state beside a checkpoint's weights. Raises: DataError, naming what is broken."""
    try:
        state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())
        state["learner"] = torch.load(checkpoint / "learner.pt", weights_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the checkpoint {checkpoint} cannot be read ({error}): "
            "delete it to go on from the one before"
        ) from error
    return state
