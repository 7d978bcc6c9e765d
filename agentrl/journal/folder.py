"""A run's folder and its journal: which run of it that is, and `episodes.jsonl`, its export."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agentrl.episodes import choose, episode_record, read_file
from agentrl.errors import DataError, boundary
from agentrl.journal.database import Journal
from agentrl.journal.place import FILE, Place
from agentrl.journal.writing import Writer
from agentrl.types import Group


class Started(NamedTuple):
    """A life that has begun."""

    writer: Writer
    notice: str
    """What the user should know of it; mostly nothing."""


def start(
    place: Place, out: Path, config: Mapping[str, Any], state: Mapping[str, Any] | None
) -> Started:
    """The next life of the run whose checkpoint's state this is; without one, of a new run.

    A run that the journal does not hold goes on as a new one that begins with that step.

    Raises:
        DataError: the journal cannot be opened or written.
    """
    url = place.of(out)
    journal = Journal.open(url)
    if state is None:
        return Started(journal.begin(config), "")
    run = state.get("journal", {}).get("run")
    if run is not None and journal.lives(run):
        return Started(journal.begin(config, run, state["step"]), "")
    writer = journal.begin(config, from_step=state["step"])
    return Started(
        writer,
        f"the journal {journal.name} does not hold this run: it goes on there as the new run "
        f"{writer.run}, from step {state['step']}",
    )


def reachable(place: Place) -> None:
    """See that a journal outside of the run's folder can be written. Raises: DataError."""
    if place.url:
        Journal.open(place.url).close()


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Journal, str] | None]:
    """The journal of a run's folder and the run's id in it; None where a run has none.

    Raises:
        DataError: the journal cannot be read, or the folder's notes about it.
    """
    place = Place(**settings_of(folder).get("journal", {}))
    if not place.url and not (folder / FILE).exists():
        yield None
        return
    with Journal.open(place.of(folder), create=False) as journal:
        run = run_of(folder)
        if run is None and not place.url:  # killed before its first checkpoint
            run = next((row.id for row in reversed(journal.runs())), None)
        yield None if run is None else (journal, run)


def read_groups(path: Path, step: int | None = None) -> list[Group]:
    """The groups of one recorded step of a run, the last one by default.

    A run's folder is read from its journal, or where it has none from its `episodes.jsonl`, which
    may be given itself.

    Raises:
        DataError: nothing that can be read, or a step that was not recorded.
    """
    if not path.is_dir():
        return read_file(path, step)
    with opened(path) as found:
        if found is not None:
            journal, run = found
            if steps := journal.steps(run):
                return journal.groups(run, choose(journal.name, steps, step))
    return read_file(path / "episodes.jsonl", step)


def settings_of(folder: Path) -> dict[str, Any]:
    """What `run.yaml` says, nothing where there is none. Raises: DataError: it cannot be read."""
    path = folder / "run.yaml"
    if not path.exists():
        return {}
    with boundary(DataError, f"cannot read {path}"):
        return dict(yaml.safe_load(path.read_text()))


def run_of(folder: Path) -> str | None:
    """A run's id, as its last checkpoint has it. Raises: DataError."""
    states = sorted(folder.glob("checkpoints/step-*/state.json"))
    if not states:
        return None
    with boundary(DataError, f"cannot read {states[-1]}"):
        found = json.loads(states[-1].read_text())
        return None if "journal" not in found else str(found["journal"]["run"])


def export(journal: Journal, run: str, path: Path) -> int:
    """Write a run's surviving episodes as JSON lines, all or nothing; how many there are.

    What the file holds of steps before the run's first life stays: there the run had no journal.
    """
    first = min((life.from_step for life in journal.lives(run)), default=0)
    draft, count = path.with_suffix(".draft"), 0
    with draft.open("w") as file:
        for line in chain(earlier(path, first), lines(journal, run)):
            file.write(line)
            count += 1
    os.replace(draft, path)
    return count


def lines(journal: Journal, run: str) -> Iterator[str]:
    """The surviving episodes of a run, one line each, in the order they were played."""
    for step in journal.steps(run):
        for number, group in enumerate(journal.groups(run, step)):
            for episode in group.episodes:
                yield json.dumps(episode_record(step, episode, number)) + "\n"


def earlier(path: Path, step: int) -> Iterator[str]:
    """The whole lines of a file that are of steps before this one."""
    if not step or not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n") and json.loads(line)["step"] < step:
                yield line
