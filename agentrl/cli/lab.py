"""`agentrl lab EPISODES`: several algorithms on one recorded batch, in seconds."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

if TYPE_CHECKING:
    from agentrl.lab import Finding
    from agentrl.types import Episode, Group


def lab(
    episodes: str, names: Sequence[str], *, step: int | None, model: str, shown: int, json: bool
) -> None:
    """Examine a step of a run's folder (or of an `episodes.jsonl`) under each algorithm."""
    from agentrl.journal.folder import read_groups
    from agentrl.lab import cosines, examine
    from agentrl.table import build_table

    path = Path(episodes)
    groups = read_groups(path, step)
    policy, decode = _load(path, model)
    findings = examine(groups, names, policy, decode)
    table = build_table(groups)
    turns = turns_of(groups, findings, shown)
    if json:
        typer.echo(json_module.dumps(as_data(findings, cosines(findings), turns)))
        return
    console = Console()
    count = f"{len(groups)} groups, {table.count('episode')} attempts, {len(table)} tokens"
    space = "parameters" if policy is not None else "the rows' log-probs"
    console.print(f"step {groups[0].step}: {count}; gradients of {space}", highlight=False)
    several = len(table.names["agent"]) > 1
    grids = [summary(findings, cosines(findings)), *[agents_grid(findings)] * several]
    for grid in (*grids, credit_grid(findings, turns)):
        whole(console, grid)


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


def turns_of(
    groups: Sequence[Group], findings: Sequence[Finding], shown: int
) -> list[dict[str, Any]]:
    """The first attempts' turns with their credit under each algorithm, None without rows.

    Turns count within their trajectory, `invocation` is its place in the attempt, `reward` its own.
    """
    credit = {f.name: {c[:4]: c.advantage for c in f.credits} for f in findings}
    attempts = [
        (g, e, episode)
        for g, group in enumerate(groups)
        for e, episode in enumerate(group.episodes)
        if not episode.main.status.failed
    ]
    return [
        {
            **{"group": g, "attempt": attempt, **line, "turn": i},
            "credit": {name: found.get((g, e, t, i)) for name, found in credit.items()},
        }
        for attempt, (g, e, episode) in enumerate(attempts[:shown])
        for t, line in invocations(episode)
        for i in range(len(episode.trajectories[t].turns))
    ]


def invocations(episode: Episode) -> Iterator[tuple[int, dict[str, Any]]]:
    """Places of the credited trajectories, and what the lines of all their turns say."""
    from agentrl.samples import credited

    counted = {id(trajectory) for trajectory in credited(episode)}
    for number, trajectory in enumerate(episode.trajectories):
        if id(trajectory) in counted:
            line = {"agent": trajectory.agent, "invocation": number}
            by = {"caller": caller(episode, number), "parent": trajectory.parent}
            yield number, {**line, **by, "reward": trajectory.reward}


def caller(episode: Episode, number: int) -> str:
    """Who called a trajectory: `main.2` in turn 2 of main, `main.2.1` by another call there.

    Where a sub-agent did, its own caller stands before it: `main.2/sub.0`. Empty if nobody did.
    """
    calls: list[str] = []
    cast = episode.trajectories
    while (parent := cast[number].parent) is not None and 0 <= parent.trajectory < number:
        number, turn, call = parent
        calls.insert(0, f"{cast[number].agent}.{turn}" + (f".{call}" if call else ""))
    return "/".join(calls)


def as_data(
    findings: Sequence[Finding], cosine: list[list[float]], turns: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything for programs."""
    rows = {
        f.name: {
            "silent_groups": f.silent,
            "effective_attempts": f.effective,
            "cosine": {other.name: row[i] for i, other in enumerate(findings)},
            "agents": {name: portion._asdict() for name, portion in f.agents.items()},
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


def agents_grid(findings: Sequence[Finding]) -> Grid:
    """One line per algorithm and agent."""
    grid = Grid("algorithm", "agent", box=SIMPLE_HEAD)
    for name in ("mean |credit|", "share", "invocations"):
        grid.add_column(name, justify="right")
    for finding in findings:
        for agent, (mean, share, calls) in finding.agents.items():
            grid.add_row(finding.name, agent, f"{mean:.3f}", f"{share:.0%}", str(calls))
    return grid


def credit_grid(findings: Sequence[Finding], turns: Sequence[dict[str, Any]]) -> Grid:
    """One line per turn of the first attempts; who spoke is shown where it tells turns apart."""
    told = [key for key in ("agent", "invocation") if len({turn[key] for turn in turns}) > 1]
    grid = Grid("group", "attempt", *told, "reward", "turn", box=SIMPLE_HEAD)
    for finding in findings:
        grid.add_column(finding.name, justify="right")
    for turn in turns:
        by = f" by {turn['caller']}" if turn["caller"] else ""
        place = {**turn, "invocation": f"{turn['invocation']}{by}"}
        credit = ["-" if c is None else f"{c:+.3f}" for c in turn["credit"].values()]
        shown = [str(place[key]) for key in ("group", "attempt", *told)]
        grid.add_row(*shown, f"{turn['reward']:.2f}", str(turn["turn"]), *credit)
    return grid


def whole(console: Console, grid: Grid) -> None:
    """Print a grid without cutting its numbers, in a narrow terminal or a pipe too."""
    endless = console.options.update(max_width=10_000)
    console.width = max(console.width, console.measure(grid, options=endless).maximum)
    console.print(grid)
