"""`agentrl journal RUN`: what the journal holds of a run, or of all runs behind a URL."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from agentrl.errors import DataError

if TYPE_CHECKING:
    from agentrl.journal import Journal


def journal(source: str, *, run: str, export: str, json: bool) -> None:
    """Show runs, or write one run's surviving episodes as JSON lines."""
    with _opened(source) as (journal, own):
        known = [row.id for row in journal.runs()]
        chosen = [_named(run, known, source)] if run else known if own is None else [own]
        if export:
            if len(chosen) != 1:
                raise DataError(f"{source!r} holds {len(chosen)} runs: name one with --run")
            from agentrl.journal.folder import export as write

            count = write(journal, chosen[0], Path(export))
            typer.echo(f"{count} episodes in {export}", err=json)
        found = [journal.overview(id) for id in chosen]
    if json:
        typer.echo(json_module.dumps(found))
    elif not export:
        console = Console()
        for overview in found:
            show(overview, console)
        for line in exchange_lines(found):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _opened(source: str) -> Iterator[tuple[Journal, str | None]]:
    """A journal, and the run that is meant where a run's folder is given."""
    from agentrl.journal import Journal
    from agentrl.journal.folder import opened

    path = Path(source)
    if path.is_dir():
        with opened(path) as found:
            if found is None:
                raise DataError(f"{source!r} holds no journal: give a run's folder, or a URL")
            yield found
    else:
        url = f"sqlite:///{path}" if path.is_file() else source
        if "://" not in url:
            raise DataError(f"there is no {source!r}: give a run's folder, a journal or its URL")
        with Journal.open(url, create=False) as journal:
            yield journal, None


def _named(run: str, known: list[str], source: str) -> str:
    """The one run whose id begins so."""
    found = [id for id in known if id.startswith(run)]
    if len(found) != 1:
        raise DataError(f"{len(found)} runs of {source!r} begin with {run!r}: {', '.join(known)}")
    return found[0]


def show(overview: dict[str, Any], console: Console) -> None:
    """One run for the terminal."""
    steps, ended = overview["steps"], overview["episodes"]
    span = f"{len(steps)} steps, {steps[0]} to {steps[-1]}" if steps else "no step"
    lines = [
        f"run {overview['run']}: {span}, {overview['groups']} groups, "
        f"{overview['turns']} turns, {overview['tokens']} tokens"
    ]
    for life in overview["lives"]:
        began = datetime.fromtimestamp(life["created"]).isoformat(" ", "seconds")
        lines.append(f"  life {life['life']} from step {life['from_step']}, begun {began}")
    counts = ", ".join(f"{number} {status}" for status, number in ended.items())
    lines.append(f"  episodes: {counts or 'none'}")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if overview["agents"]:
        console.print(agents_grid(overview["agents"]))


def agents_grid(agents: dict[str, dict[str, Any]]) -> Grid:
    """One line per agent."""
    grid = Grid("agent", box=SIMPLE_HEAD)
    for name in ("trajectories", "reward", "turns", "tokens", "credited", "mean |advantage|"):
        grid.add_column(name, justify="right")
    for name, agent in agents.items():
        counts = [str(agent[key]) for key in ("turns", "tokens", "credited_turns")]
        means = [_number(agent[key]) for key in ("reward", "advantage")]
        grid.add_row(name, str(agent["trajectories"]), means[0], *counts, means[1])
    return grid


def exchange_lines(overviews: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What the runs' trainers handed over: every channel once, its topics and its policies."""
    channels = {found["channel"]: found for told in overviews for found in told["exchanges"]}
    for channel, found in sorted(channels.items()):
        yield f"exchange {channel!r}" if channel else "exchange"
        yield from map(topic_line, found["topics"])
        for policy in found["policies"]:
            made = f"version {policy['version']} of run {policy['run']}, step {policy['step']}"
            yield f"  policy {policy['name']}: {made}, at {policy['location']}"


def topic_line(topic: dict[str, Any]) -> str:
    """A topic's ledger."""
    names = ("offered", "trained", "refused", "waiting", "leased")
    counts = {name: topic[name] for name in names}
    counts |= {name: len(topic[name]) for name in ("twice", "never")}
    told = [f"{count} {name}" for name, count in counts.items()]
    exact = "exact" if topic["exact"] else "not exact"
    return f"  {topic['topic']}: {', '.join(told)}, {topic['taken_back']} taken back; {exact}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
