"""`agentrl lab EPISODES`: several algorithms on one recorded batch, in seconds."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

if TYPE_CHECKING:
    from agentrl.lab import Finding
    from agentrl.table import Table


def lab(
    episodes: str, names: Sequence[str], *, step: int | None, model: str, shown: int, json: bool
) -> None:
    """Examine a step of a run's folder (or of an `episodes.jsonl`) under each algorithm."""
    from agentrl.episodes import read_groups
    from agentrl.lab import cosines, examine
    from agentrl.table import build_table

    path = Path(episodes)
    groups = read_groups(path, step)
    policy, decode = _load(path, model)
    findings = examine(groups, names, policy, decode)
    table = build_table(groups)
    turns = turns_of(table, findings, shown)
    if json:
        typer.echo(json_module.dumps(as_data(findings, cosines(findings), turns)))
        return
    console = Console()
    count = f"{len(groups)} groups, {table.count('episode')} attempts, {len(table)} tokens"
    space = "parameters" if policy is not None else "the rows' log-probs"
    console.print(f"step {groups[0].step}: {count}; gradients of {space}", highlight=False)
    console.print(summary(findings, cosines(findings)))
    console.print(credit_grid(findings, turns))


def _load(path: Path, model: str) -> tuple[Any, Any]:
    """The model and its token texts; none if no folder is given."""
    if not model:
        return None, None
    from transformers.utils import logging as transformers_logging

    from agentrl.backends.load import check_path, pretrained

    check_path(model)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    policy, tokenizer = pretrained(model)
    return policy, lambda token: tokenizer.decode([token], skip_special_tokens=False)


def turns_of(table: Table, findings: Sequence[Finding], shown: int) -> list[dict[str, Any]]:
    """The first attempts' turns with their credit under each algorithm."""
    from agentrl.lab import turn_credit

    credit = [turn_credit(table, finding.credit) for finding in findings]
    episodes = table.owner["trajectory"][table.owner["turn"]].tolist()
    groups = table.owner["episode"].tolist()
    return [
        {
            "group": groups[episode],
            "attempt": episode,
            "reward": float(table.rewards[episode]),
            "turn": number,
            "credit": {f.name: float(c[number]) for f, c in zip(findings, credit, strict=True)},
        }
        for number, episode in enumerate(episodes)
        if episode < shown
    ]


def as_data(
    findings: Sequence[Finding], cosine: list[list[float]], turns: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything for programs."""
    rows = {
        f.name: {
            "silent_groups": f.silent,
            "effective_attempts": f.effective,
            "cosine": {other.name: row[i] for i, other in enumerate(findings)},
        }
        for f, row in zip(findings, cosine, strict=True)
    }
    return {"algorithms": rows, "turns": turns}


def summary(findings: Sequence[Finding], cosine: list[list[float]]) -> Grid:
    """One line per algorithm."""
    grid = Grid("algorithm", "silent groups", "effective attempts", box=SIMPLE_HEAD)
    for finding in findings:
        grid.add_column(f"cos {finding.name}", justify="right")
    for finding, row in zip(findings, cosine, strict=True):
        shown = [f"{finding.silent:.0%}", f"{finding.effective:.1f}"]
        grid.add_row(finding.name, *shown, *(f"{value:+.3f}" for value in row))
    return grid


def credit_grid(findings: Sequence[Finding], turns: Sequence[dict[str, Any]]) -> Grid:
    """One line per turn of the first attempts."""
    grid = Grid("group", "attempt", "reward", "turn", box=SIMPLE_HEAD)
    for finding in findings:
        grid.add_column(finding.name, justify="right")
    for turn in turns:
        place = [str(turn["group"]), str(turn["attempt"]), f"{turn['reward']:.2f}"]
        grid.add_row(*place, str(turn["turn"]), *(f"{c:+.3f}" for c in turn["credit"].values()))
    return grid
