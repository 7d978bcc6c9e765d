"""Checkpoints: a `save_pretrained` folder with optimiser and run state, written all or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from agentrl.ensemble import FOLDER
from agentrl.errors import DataError, boundary
from agentrl.session import Session

TENSORS = "learner.pt"
"""A learner's state, beside its model."""
KEEP = 2
"""Older checkpoints are deleted once a new one is complete; of the first, what training began with,
the model stays."""


def save_checkpoint(out: Path, step: int, session: Session, state: dict[str, Any]) -> Path:
    """Write `out/checkpoints/step-N` through a temporary folder: a kill leaves the old one whole.

    `state` holds `learner` (tensors), `learners` (of other policies, by name) and
    JSON-serialisable entries. Returns the folder.
    """
    root = out / "checkpoints"
    final, draft = root / f"step-{step:06d}", root / f".writing-{step:06d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    session.model.save_pretrained(draft)
    session.tokenizer.save_pretrained(draft)
    session.ensemble.save(draft)
    torch.save(state["learner"], draft / TENSORS)
    for name, learner in state["learners"].items():
        torch.save(learner, draft / FOLDER / name / TENSORS)
    rest = {key: value for key, value in state.items() if key not in ("learner", "learners")}
    (draft / "state.json").write_text(json.dumps({"step": step, **rest}))
    (draft / "run.yaml").write_text(yaml.safe_dump(session.run.resolved(), sort_keys=False))
    shutil.rmtree(final, ignore_errors=True)
    os.replace(draft, final)
    first = root / f"step-{0:06d}"
    for old in checkpoints(out)[:-KEEP]:
        if old == first:
            for tensors in old.rglob(TENSORS):
                tensors.unlink()
        else:
            shutil.rmtree(old)
    return final


def writable(out: Path) -> None:
    """See that a folder can become a run's, without touching it.

    Raises:
        DataError: a file is in the way, or a folder that holds something else.
    """
    nearest = next(path for path in (out, *out.parents) if path.exists())
    with boundary(DataError, f"cannot write to out={str(out)!r}, give another folder"):
        found = sorted(path.name for path in nearest.iterdir())
    if nearest == out and found and not {"run.yaml", "metrics.jsonl"} & set(found):
        raise DataError(
            f"out={str(out)!r} holds {found[0]!r} but no run: give a new or empty folder"
        )


def set_aside(out: Path) -> Path | None:
    """Move an earlier run out of the way: `runs/x` becomes `runs/x.1`, `runs/x.2`, ...

    Returns where to; None if there was none.
    """
    if not out.exists() or not any(out.iterdir()):
        return None
    number = 1
    while (free := out.with_name(f"{out.name}.{number}")).exists():
        number += 1
    return out.rename(free)


def checkpoints(out: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted((out / "checkpoints").glob("step-*"))


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state beside a checkpoint's weights. Raises: DataError, naming the broken file."""
    others = sorted((checkpoint / FOLDER).glob(f"*/{TENSORS}"))
    learners = {path.parent.name: _read(path, _tensors) for path in others}
    own = _read(checkpoint / TENSORS, _tensors)
    return load_entries(checkpoint) | {"learner": own, "learners": learners}


def load_entries(checkpoint: Path) -> dict[str, Any]:
    """The state without the tensors, which the first checkpoint loses. Raises: DataError."""
    return _read(checkpoint / "state.json", _entries)


def _entries(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    missing = {"step", "algorithm", "report", "version"} - set(found)
    if missing:
        raise ValueError(f"no {', '.join(sorted(missing))} in it")
    return dict(found)


def _tensors(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _read(path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read(path)
    except Exception as error:  # json, zip, pickle and torch raise what they like
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} cannot be read ({reason}): delete the folder {path.parent} to go on from the "
            "checkpoint before it"
        ) from error
