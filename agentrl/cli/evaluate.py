"""`agentrl eval CONFIG`: success with an interval, for a checkpoint, the oracle or the expert."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agentrl.config import Run, load_run
from agentrl.env import check_split
from agentrl.errors import ConfigError, DataError
from agentrl.protocols import Choice, Strategy

if TYPE_CHECKING:
    from agentrl.evaluate import Evaluation
    from agentrl.rollout import Cast
    from agentrl.session import Session
    from agentrl.types import Group, Task

PLAYERS = ("policy", "oracle", "expert")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the player."""

    split: str
    tasks: int
    attempts: int
    temperature: float
    seed: int


def evaluate(
    config: str,
    overrides: Sequence[str],
    question: Question,
    *,
    model: str,
    player: str,
    records: str,
    json: bool,
) -> None:
    """Evaluate and print. Raises: AgentRLError, before anything is played where it can."""
    if player not in PLAYERS:
        raise ConfigError(f"unknown player {player!r}: choose {', '.join(PLAYERS)}")
    check_split(question.split)
    run = load_run(config, overrides)
    path = _model(config, run, model, needed=player == "policy")
    if records:
        _write(records, "a", [])  # before hours are spent
    lines: list[str] = []
    result = _measure(run, path, question, player, lines)
    answer = {
        "task": run.env_id,
        "split": question.split,
        "success": result.success,
        "interval": list(result.interval),
        "n": result.n,
        "seed": question.seed,
        "model": player if player != "policy" else path or run.model_name,
        "skipped": result.skipped,
    }
    if question.attempts > 1:
        answer["pass_at"] = {str(k): value for k, value in result.pass_at.items()}
    typer.echo(json_module.dumps(answer) if json else _line(answer))
    if records:
        _write(records, "w", lines)


def _measure(
    run: Run, path: str | None, question: Question, player: str, lines: list[str]
) -> Evaluation:
    """Play the tasks; every attempt becomes a line of JSON."""
    from agentrl.episodes import episode_record
    from agentrl.evaluate import evaluate as measure
    from agentrl.session import Session

    with Session(run, path) as session:
        if player == "policy" and path is not None:
            session.tested = _remembered(run, Path(path))
        cast = _cast(session, player, question.temperature)

        def play(tasks: Sequence[Task], attempts: int) -> list[Group]:
            choices = [Choice(task, attempts) for task in tasks]
            seed = f"eval/{question.seed}"
            groups = session.play(choices, cast, seed, strategy=session.tested)
            for number, group in enumerate(groups):
                for episode in group.episodes:
                    lines.append(json_module.dumps(episode_record(0, episode, number)) + "\n")
            return groups

        tasks = session.env.tasks(question.split, question.tasks, question.seed)
        return measure(play, tasks, attempts=question.attempts)


def _remembered(run: Run, checkpoint: Path) -> Strategy:
    """How the checkpoint's run is tested: with the prompt that it trained, if it trained one."""
    from agentrl.checkpoint import load_state
    from agentrl.train import tested_as

    record = run.algorithm.started()
    if (checkpoint / "state.json").is_file():
        record.load_state_dict(
            {"strategy": load_state(checkpoint)["algorithm"].get("strategy", {})}
        )
    return tested_as(record)


def _line(answer: dict[str, Any]) -> str:
    low, high = answer["interval"]
    text = (
        f"{answer['task']} {answer['split']}: success {answer['success']:.3f} "
        f"[{low:.3f}, {high:.3f}], {answer['n']} tasks, seed {answer['seed']}, "
        f"model {answer['model']}"
    )
    more = [f"pass@{k} {value:.3f}" for k, value in answer.get("pass_at", {}).items()]
    more += [f"{answer['skipped']} attempts skipped (failed)"] if answer["skipped"] else []
    return ", ".join([text, *more])


def _cast(session: Session, player: str, temperature: float) -> Cast:
    from agentrl.backends.scripted import expert, oracle
    from agentrl.rollout import seated

    if player == "policy":
        return seated({"main": session.policy}, temperature)
    return {"oracle": oracle, "expert": expert}[player](session.chat)


def _model(config: str, run: Run, model: str, *, needed: bool) -> str | None:
    """Where the weights are; None is the run's own model. Raises: ConfigError."""
    from agentrl.backends.load import check_path

    if model:
        check_path(model)
        return model
    path = _last_checkpoint(config, run)
    if needed and path is None and run.model_name == "tiny":
        raise ConfigError(
            f"{config} has no trained model: give --model FOLDER, a run's folder as CONFIG, or "
            "train it first"
        )
    return path


def _last_checkpoint(config: str, run: Run) -> str | None:
    """The newest checkpoint: of the folder given as CONFIG, or of the configuration's `out`."""
    from agentrl.checkpoint import checkpoints

    folder = Path(config)
    if (folder / "state.json").is_file():
        return str(folder)
    saved = checkpoints(folder if folder.is_dir() else Path(run.out))
    return str(saved[-1]) if saved else None


def _write(records: str, mode: str, lines: Sequence[str]) -> None:
    try:
        with open(records, mode) as file:
            file.writelines(lines)
    except OSError as error:  # whatever the file system says
        raise DataError(
            f"cannot write --records {records!r} ({error.strerror}): give a file in a folder that "
            "exists"
        ) from error
