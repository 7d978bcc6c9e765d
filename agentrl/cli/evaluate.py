"""`agentrl eval CONFIG`: success with an interval, for a checkpoint, the oracle or the expert."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from agentrl.config import Run, load_run
from agentrl.errors import ConfigError, DataError


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
    """Evaluate and print."""
    run = load_run(config, overrides)
    path = model or _last_checkpoint(config, run)
    if player == "policy" and path is None and run.model_name == "tiny":
        raise ConfigError(
            f"{config} has no trained model: give --model FOLDER, a run folder as CONFIG, or train it first"
        )
    from agentrl.evaluate import evaluate as measure
    from agentrl.session import Session

    with Session(run, path) as session:
        cast = _cast(session, player, question.temperature)
        tasks = session.env.tasks(question.split, question.tasks, question.seed)
        kept: list[Any] = []

        def play(chosen: Any, attempts: int) -> Any:
            kept.extend(session.play(chosen, attempts, cast, f"eval/{question.seed}"))
            return kept

        result = measure(play, tasks, attempts=question.attempts)
        if records:
            _write_records(Path(records), kept)
    answer = {
        "task": run.env_id,
        "split": question.split,
        "success": result.success,
        "interval": list(result.interval),
        "n": result.n,
        "seed": question.seed,
        "model": player if player != "policy" else path or run.model_name,
        "skipped": result.skipped,
        "pass_at": {str(k): value for k, value in result.pass_at.items()},
    }
    typer.echo(json_module.dumps(answer) if json else _line(answer))


def _line(answer: dict[str, Any]) -> str:
    low, high = answer["interval"]
    text = (
        f"{answer['task']} {answer['split']}: success {answer['success']:.3f} [{low:.3f}, {high:.3f}], "
        f"{answer['n']} tasks, seed {answer['seed']}, model {answer['model']}"
    )
    more = [f"pass@{k} {value:.3f}" for k, value in answer["pass_at"].items() if k != "1"]
    more += [f"{answer['skipped']} attempts skipped (failed)"] if answer["skipped"] else []
    return ", ".join([text, *more])


def _cast(session: Any, player: str, temperature: float) -> Any:
    from agentrl.backends.scripted import expert, oracle
    from agentrl.rollout import seated

    casts = {
        "policy": lambda: seated({"main": session.policy}, temperature),
        "oracle": lambda: oracle(session.chat),
        "expert": lambda: expert(session.chat),
    }
    if player not in casts:
        raise ConfigError(f"unknown player {player!r}: choose {', '.join(casts)}")
    return casts[player]()


def _last_checkpoint(config: str, run: Run) -> str | None:
    """The newest checkpoint of the run: of the folder given as CONFIG, or of the configuration's `out`."""
    from agentrl.checkpoint import checkpoints

    folder = Path(config)
    if (folder / "state.json").is_file():
        return str(folder)
    saved = checkpoints(folder if folder.is_dir() else Path(run.out))
    return str(saved[-1]) if saved else None


def _write_records(path: Path, groups: Sequence[Any]) -> None:
    from agentrl.record import episode_record

    try:
        with path.open("w") as file:
            for group in groups:
                for episode in group.episodes:
                    file.write(json_module.dumps(episode_record(0, episode)) + "\n")
    except OSError as error:
        raise DataError(f"cannot write --records {str(path)!r}: {error.strerror}") from error
