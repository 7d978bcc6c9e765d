"""`agentrl eval CONFIG`: success with an interval, for a checkpoint, a served model or a script."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agentrl.config import Run, load_run
from agentrl.env import check_split
from agentrl.errors import ConfigError, DataError
from agentrl.protocols import Choice, Strategy
from agentrl.yamlfile import apply_override

if TYPE_CHECKING:
    from agentrl.evaluate import Evaluation
    from agentrl.remote import Remote
    from agentrl.rollout import Cast
    from agentrl.session import Session
    from agentrl.types import Group, Task

PLAYERS = ("policy", "oracle", "expert")
SERVED = "openai:"
"""What the address of a served model begins with."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the player."""

    split: str
    tasks: int
    attempts: int
    temperature: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a served model is asked."""

    endpoint: Sequence[str]
    """`key=value` of `backends.http.endpoint.Endpoint`."""
    key_variable: str


def evaluate(
    config: str,
    overrides: Sequence[str],
    question: Question,
    *,
    model: str,
    serving: Serving,
    player: str,
    records: str,
    json: bool,
) -> None:
    """Evaluate and print. Raises: AgentRLError, before anything is played where it can."""
    if player not in PLAYERS:
        raise ConfigError(f"unknown player {player!r}: choose {', '.join(PLAYERS)}")
    check_split(question.split)
    run = load_run(config, overrides)
    remote = _remote(run, model, serving, player)
    path = None if remote else _model(config, run, model, needed=player == "policy")
    if records:
        _write(records, "a", [])  # before hours are spent
    played: list[Group] = []
    with remote or _session(run, path, player) as session:
        result = _measure(session, question, player, played)
    used = remote.policy.address.text if remote else path or run.model_name
    answer = {
        "task": run.env_id,
        "split": question.split,
        "success": result.success,
        "interval": list(result.interval),
        "n": result.n,
        "seed": question.seed,
        "model": used if player == "policy" else player,
        "skipped": result.skipped,
    }
    if question.attempts > 1:
        answer["pass_at"] = {str(k): value for k, value in result.pass_at.items()}
    if remote:
        answer |= {"unplayed": remote.policy.account.refused, "reason": _reason(played)}
        answer["usage"] = remote.policy.account.as_dict()
    typer.echo(json_module.dumps(answer) if json else _line(answer))
    if records:
        _write(records, "w", _lines(played))


def _measure(
    session: Session | Remote, question: Question, player: str, played: list[Group]
) -> Evaluation:
    """Play the tasks; `played` keeps every group."""
    from agentrl.evaluate import evaluate as measure

    cast = _cast(session, player, question.temperature)

    def play(tasks: Sequence[Task], attempts: int) -> list[Group]:
        choices = [Choice(task, attempts) for task in tasks]
        seed = f"eval/{question.seed}"
        played.extend(session.play(choices, cast, seed, strategy=session.tested))
        return played

    tasks = session.env.tasks(question.split, question.tasks, question.seed)
    return measure(play, tasks, attempts=question.attempts)


def _session(run: Run, path: str | None, player: str) -> Session:
    """The run with weights of its own."""
    from agentrl.session import Session

    session = Session(run, path)
    if player == "policy" and path is not None:
        session.tested = _remembered(run, Path(path))
    return session


def _remote(run: Run, model: str, serving: Serving, player: str) -> Remote | None:
    """The run with a served model, None for any other. Raises: ConfigError."""
    if not model.startswith(SERVED):
        if serving.endpoint:
            raise ConfigError(
                "--endpoint tells how a served model is asked: give --model openai:URL"
            )
        return None
    if player != "policy":
        raise ConfigError(f"--model {model} plays as --player policy: leave out one of the two")
    from agentrl.algorithms.base import part
    from agentrl.backends.http.endpoint import Address, Endpoint
    from agentrl.backends.http.policy import HTTPPolicy
    from agentrl.remote import Remote

    settings: dict[str, Any] = {}
    for setting in serving.endpoint:
        apply_override(settings, {}, setting)
    endpoint = part(Endpoint, **settings)()
    key = serving.key_variable
    policy = HTTPPolicy(Address.of(model), endpoint, key_variable=key, chat=run.chat)
    return Remote(run, policy)


def _reason(played: Sequence[Group]) -> str:
    """Why the first attempt failed that did, empty if none did."""
    failed = (e.main.error for group in played for e in group.episodes if e.main.status.failed)
    return next(failed, "")


def _lines(played: Sequence[Group]) -> list[str]:
    """Every attempt as a line of JSON."""
    from agentrl.episodes import episode_record

    return [
        json_module.dumps(episode_record(0, episode, number)) + "\n"
        for number, group in enumerate(played)
        for episode in group.episodes
    ]


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
    more += [_skipped(answer)] if answer["skipped"] else []
    more += [_usage(answer["usage"])] if "usage" in answer else []
    return ", ".join([text, *more])


def _skipped(answer: Mapping[str, Any]) -> str:
    """How many attempts do not count, and why."""
    unplayed = answer.get("unplayed", 0)
    failed = answer["skipped"] - unplayed
    told = [f"{unplayed} for the cost limit"] if unplayed else []
    told += [f"{failed} failed" if unplayed else "failed"] if failed else []
    reason = f": {answer['reason']}" if answer.get("reason") and failed else ""
    return f"{answer['skipped']} attempts skipped ({', '.join(told)}{reason})"


def _usage(usage: Mapping[str, Any]) -> str:
    """What a served model took."""
    dollars = usage["dollars"]
    cost = "cost unknown (no prices given)" if dollars is None else f"${dollars:.4f}"
    tokens = f"{usage['prompt_tokens']} + {usage['completion_tokens']} tokens"
    return f"{usage['requests']} requests, {tokens}, {cost}"


def _cast(session: Session | Remote, player: str, temperature: float) -> Cast:
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
    path = last_checkpoint(config, run)
    if needed and path is None and run.model_name == "tiny":
        raise ConfigError(
            f"{config} has no trained model: give --model FOLDER, a run's folder as CONFIG, or "
            "train it first"
        )
    return path


def last_checkpoint(config: str, run: Run) -> str | None:
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
