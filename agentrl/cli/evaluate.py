"""`agentrl eval CONFIG`: success with an interval, for a checkpoint, a served model or a script."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentrl.cli.measure import Question, Serving, line, measured, records, remote, seated, served
from agentrl.config import Run, load_run
from agentrl.env import check_split
from agentrl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from agentrl.protocols import Strategy
    from agentrl.session import Session


def evaluate(
    config: str,
    overrides: Sequence[str],
    question: Question,
    *,
    model: str,
    serving: Serving,
    player: str,
    output: str,
    json: bool,
) -> None:
    """Evaluate and print. Raises: AgentRLError, before anything is played where it can."""
    model, player = seated(model, player)
    check_split(question.split)
    run = load_run(config, overrides)
    far = remote(run, model, serving, player)
    path = None if far else _model(config, run, model, needed=player == "policy")
    if output:
        _write(output, "a", [])  # before hours are spent
    with far or session(run, path, player) as live:
        answer, played = measured(live, question, player)
        answer |= live.env.scores(played)
    if far:
        answer = served(answer, far, played)
    elif player == "policy":
        answer["model"] = path or run.model_name
    typer.echo(json_module.dumps(answer) if json else line(answer))
    if output:
        _write(output, "w", records(played))


def session(run: Run, path: str | None, player: str) -> Session:
    """The run with weights of its own."""
    from agentrl.session import Session

    made = Session(run, path)
    if player == "policy" and path is not None:
        made.tested = _remembered(run, Path(path))
    return made


def _remembered(run: Run, checkpoint: Path) -> Strategy:
    """How the checkpoint's run is tested: with the prompt that it trained, if it trained one."""
    from agentrl.checkpoint import load_entries
    from agentrl.train import tested_as

    record = run.algorithm.started()
    if (checkpoint / "state.json").is_file():
        record.load_state_dict(
            {"strategy": load_entries(checkpoint)["algorithm"].get("strategy", {})}
        )
    return tested_as(record)


def _model(config: str, run: Run, model: str, *, needed: bool) -> str | None:
    """Where the weights are; None is the run's own model. Raises: ConfigError."""
    from agentrl.backends.load import check_path

    if model:
        check_path(model)
        return model
    path = last_checkpoint(config, run)
    if needed and path is None and run.model_name == "tiny":
        raise ConfigError(
            f"{config} has no trained model: give --model FOLDER, a run's folder as CONFIG, or "
            "train it first"
        )
    return path


def last_checkpoint(config: str, run: Run) -> str | None:
    """The newest checkpoint: of the folder given as CONFIG, or of the configuration's `out`."""
    folder = Path(config)
    if (folder / "state.json").is_file():
        return str(folder)
    saved = saved_checkpoints(config, run)
    return str(saved[-1]) if saved else None


def saved_checkpoints(config: str, run: Run) -> list[Path]:
    """All of them, oldest first: of the run's folder given as CONFIG, or of `out`."""
    from agentrl.checkpoint import checkpoints

    folder = Path(config)
    return checkpoints(folder if folder.is_dir() else run.folder)


def _write(path: str, mode: str, lines: Sequence[str]) -> None:
    try:
        with open(path, mode) as file:
            file.writelines(lines)
    except OSError as error:  # whatever the file system says
        raise DataError(
            f"cannot write --records {path!r} ({error.strerror}): give a file in a folder that "
            "exists"
        ) from error
