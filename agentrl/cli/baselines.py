"""`agentrl baselines CONFIG`: what a paper compares with, in one table.

Rows are an environment's ways to play (`TextEnv.baselines`) with the weights before training and
after it, or with another model, and the oracle.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import typer

from agentrl.algorithms.base import part
from agentrl.cli.evaluate import saved_checkpoints, session
from agentrl.cli.measure import Question, Serving, measured, remote, served
from agentrl.config import Run, load_run
from agentrl.env import env_class
from agentrl.errors import ConfigError
from agentrl.evaluate import mean_parts

COLUMNS = ("player", "way", "success", "interval", "turns")
Row = dict[str, Any]


def baselines(
    config: str,
    overrides: Sequence[str],
    question: Question,
    *,
    model: str,
    serving: Serving,
    json: bool,
) -> None:
    """Measure every row and print the table. Raises: AgentRLError."""
    run = load_run(config, overrides)
    players = {model: model} if model else _before_and_after(config, run)
    rows: list[Row] = []
    for way, arguments in env_class(run.env_id).baselines().items():
        changed = _played_so(run, arguments)
        rows += [
            _row(changed, question, name, way, path, serving) for name, path in players.items()
        ]
    rows.append(_row(run, question, "oracle", "oracle", "", serving))
    rows.sort(key=lambda row: [*players, "oracle"].index(row["player"]))
    typer.echo(json_module.dumps(rows) if json else "\n".join(_table(rows)))


def _before_and_after(config: str, run: Run) -> dict[str, str]:
    """The run's first and last weights. Raises: ConfigError if there are none."""
    saved = saved_checkpoints(config, run)
    if not saved:
        raise ConfigError(
            f"{config} has no trained model in {run.out!r}: train it first, or give --model"
        )
    return {"untrained": str(saved[0]), "trained": str(saved[-1])}


def _played_so(run: Run, arguments: Any) -> Run:
    """The run with changed arguments of its environment."""
    return replace(run, env=part(run.env.function, **{**run.env.arguments, **arguments}))


def _row(run: Run, question: Question, name: str, way: str, model: str, serving: Serving) -> Row:
    player = "policy" if model else "oracle"
    far = remote(run, model, serving, player)
    with far or session(run, model or None, player) as live:
        answer, played = measured(live, question, player)
    if far:
        answer = served(answer, far, played)
    main = [episode.main for group in played for episode in group.live]
    turns = sum(len(episode.turns) for episode in main) / max(1, len(main))
    kept = {key: answer[key] for key in ("success", "interval", "n", "skipped")}
    return {"player": name, "way": way, **kept, "turns": turns, "parts": mean_parts(main)}


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows as aligned text, one column per part of the reward."""
    parts = sorted({name for row in rows for name in row["parts"]})
    header = [*COLUMNS, *parts]
    lines = [
        header,
        *([*_cells(row), *(f"{row['parts'].get(p, 0):.3f}" for p in parts)] for row in rows),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()


def _cells(row: Row) -> list[str]:
    low, high = row["interval"]
    figures = [f"{row['success']:.3f}", f"[{low:.3f}, {high:.3f}]", f"{row['turns']:.2f}"]
    return [row["player"], row["way"], *figures]
