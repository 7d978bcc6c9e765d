"""`agentrl eval bfcl|qald|lcquad`: all tasks of a public benchmark, scores and result files."""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import typer

from agentrl.backends.http.endpoint import SCHEME
from agentrl.cli.measure import (
    Question,
    Serving,
    line,
    measured,
    reason,
    records,
    remote,
    seated,
    served,
)
from agentrl.config import Run, build_run
from agentrl.errors import ConfigError, DataError
from agentrl.yamlfile import apply_override

if TYPE_CHECKING:
    from agentrl.remote import Scripted
    from agentrl.session import Session

LIMITS = {
    "turn_tokens": 1024,
    "trajectory_tokens": 65536,
    "context_tokens": 32768,
    "episode_seconds": 3600,
}
"""Wider than in training: a benchmark measures the model, not the limits."""
UNUSED = {"name": "tiny", "context": LIMITS["context_tokens"]}
"""A run names a model; nothing is made of this one where a script or a server plays."""
DEADLINE_SECONDS = 600
"""For one call of an environment: endpoints are waited for."""


def benchmark(
    env: Mapping[str, Any],
    overrides: Sequence[str],
    question: Question,
    *,
    model: str,
    serving: Serving,
    out: str,
    json: bool,
) -> None:
    """Play, print the scores, write our files and the benchmark's own.

    Raises:
        AgentRLError: before anything is played where it can; or every attempt failed.
    """
    model, player = seated(model, "policy")
    if player == "policy" and not model:
        raise ConfigError(
            "--model is missing: give oracle, expert, null, a folder, or openai:URL#NAME"
        )
    run = benchmark_run(env, overrides, "" if model.startswith(SCHEME) else model)
    far = remote(run, model, serving, player)
    folder = _folder(out)
    with far or _local(run, player) as live:
        answer, played = measured(live, question, player)
        answer["model"] = model or player
        if far:
            answer = served(answer, far, played)
        if not answer["n"] and not answer.get("unplayed"):
            raise DataError(f"all {answer['skipped']} attempts failed: {reason(played)}")
        answer |= live.env.scores(played)
        name = re.sub(r"[^\w.-]+", "_", answer["model"]).strip("_.")
        answer["files"] = [str(path) for path in live.env.export(played, folder, name)]
    (folder / f"episodes-{name}.jsonl").write_text("".join(records(played)))
    (folder / f"scores-{name}.json").write_text(json_module.dumps(answer, indent=1) + "\n")
    typer.echo(json_module.dumps(answer) if json else "\n".join(report(answer)))


def benchmark_run(env: Mapping[str, Any], overrides: Sequence[str], model: str) -> Run:
    """The same run as a YAML with these sections would give. Raises: ConfigError."""
    tree: dict[str, Any] = {
        "env": dict(env),
        "limits": dict(LIMITS),
        "rollout": {"deadline_seconds": DEADLINE_SECONDS, "concurrency": 64},
        "model": {"name": model} if model else UNUSED,
    }
    places: dict[str, str] = {}
    for override in overrides:
        apply_override(tree, places, override)
    try:
        return build_run(tree)
    except ConfigError as error:  # an override is told where it stands, a setting of ours is not
        raise ConfigError(f"{places.get(error.key, 'agentrl eval')}: {error}", error.key) from None


def _local(run: Run, player: str) -> Session | Scripted:
    """The run with weights of its own, or without any for a script."""
    if player != "policy":
        from agentrl.remote import Scripted

        return Scripted(run)
    from agentrl.session import Session

    return Session(run)


def _folder(out: str) -> Path:
    """Where the files go, made before hours are spent. Raises: DataError."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):  # a folder that is there may still take no files
            pass
    except OSError as error:  # whatever the file system says
        raise DataError(
            f"cannot write to --out {out!r} ({error.strerror}): name a folder"
        ) from error
    return folder


def report(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer and its scores for people, one fact a line."""
    known = {"task", "split", "success", "interval", "n", "seed", "model", "skipped"}
    known |= {"pass_at", "unplayed", "reason", "usage"}
    yield line(answer)
    for key, value in answer.items():
        if key not in known:
            yield from _told(key, value)


def _told(key: str, value: Any) -> Iterator[str]:
    """A score, or a line for each that is in it."""
    if not isinstance(value, Mapping):
        yield f"{key}  {_figure(value)}"
    elif not any(isinstance(inner, Mapping) for inner in value.values()):
        yield f"{key}  {_flat(value)}"
    else:
        yield key
        for name, inner in value.items():
            yield f"  {name}  {_flat(inner) if isinstance(inner, Mapping) else _figure(inner)}"


def _flat(scores: Mapping[str, Any], prefix: str = "") -> str:
    """Scores on one line, inner ones with dotted names."""
    told = [
        _flat(value, f"{prefix}{name}.")
        if isinstance(value, Mapping)
        else f"{prefix}{name} {_figure(value)}"
        for name, value in scores.items()
    ]
    return ", ".join(filter(None, told)) or "none"


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
