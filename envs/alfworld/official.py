"""ALFWorld's own data: which games a folder has, and why the others are left out.

    FOLDER/json_2.1.1/{train,valid_seen,valid_unseen}/TYPE-OBJECT-.../trial_.../
        traj_data.json    task type, kinds of objects, people's words for the goal
        game.tw-pddl      rules, texts, the initial state, and whether it was found solvable

What counts as a game is what ALFWorld's own loader takes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentrl.envs.alfworld.game import TASKS, Game
from agentrl.envs.alfworld.pddl import read_game
from agentrl.errors import DataError

VARIABLE = "ALFWORLD_DATA"
RELEASE = "json_2.1.1"
SPLITS = ("train", "valid_seen", "valid_unseen")
REMEDY = (
    f"{VARIABLE} names the folder that `alfworld-download` (package alfworld) fills from the "
    "project's releases on GitHub (json_2.1.1_json.zip, json_2.1.3_tw-pddl.zip); "
    "source: generated needs no data"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A game of the data before it is parsed."""

    id: str
    """Its folder below the release: `valid_unseen/TYPE-OBJECT-.../trial_...`."""
    task: str
    annotations: tuple[str, ...]
    """The goal in people's words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """The games of a split, in the order of their ids."""

    trials: Mapping[str, Trial]
    skipped: Mapping[str, int]
    """Reason -> trial folders that are no games for it."""


def data_folder(folder: str | None) -> Path:
    """The release's folder: below `folder`, else below $ALFWORLD_DATA. Raises: DataError."""
    given = folder or os.environ.get(VARIABLE)
    if not given:
        raise DataError(f"source: official, but {VARIABLE} is not set: {REMEDY}")
    path = Path(given).expanduser()
    for candidate in (path / RELEASE, path):
        if any((candidate / split).is_dir() for split in SPLITS):
            return candidate
    raise DataError(f"{str(path)!r} has no {RELEASE}/{'|'.join(SPLITS)}: {REMEDY}")


@lru_cache(maxsize=16)
def collect(release: Path, split: str, tasks: tuple[str, ...] = TASKS) -> Collection:
    """The games of an official split; read once per process.

    Raises:
        DataError: the split is missing or holds no game at all, with what it does hold.
    """
    found: dict[str, Trial] = {}
    skipped: Counter[str] = Counter()
    for folder in _trial_folders(release / split):
        reason, trial = _judge(folder, folder.relative_to(release).as_posix(), tasks)
        if trial is None:
            skipped[reason] += 1
        else:
            found[trial.id] = trial
    if not found:
        told = ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "no trials"
        raise DataError(f"no game in {str(release / split)!r} ({told}): {REMEDY}")
    return Collection(trials=found, skipped=dict(sorted(skipped.items())))


def trial(release: Path, id: str, tasks: tuple[str, ...] = TASKS) -> Trial:
    """The record of a game by its id. Raises: DataError."""
    trials = collect(release, id.partition("/")[0], tasks).trials
    if id not in trials:
        raise DataError(f"{id!r} is no game of {str(release)!r} of the types {', '.join(tasks)}")
    return trials[id]


def _trial_folders(root: Path) -> Iterator[Path]:
    """Every folder with a trial's record, in the order of their paths."""
    return iter(sorted(path.parent for path in root.rglob("traj_data.json")))


def _judge(folder: Path, id: str, tasks: Sequence[str]) -> tuple[str, Trial | None]:
    """Why a trial is no game, or the game: the rules of ALFWorld's loader, in its order."""
    if "movable" in id:
        return "movable receptacle", None
    if "Sliced" in id:
        return "sliced object", None
    record = _json(folder / "traj_data.json")
    task = str(record.get("task_type"))
    if task not in tasks:
        return "other task type", None
    file = folder / "game.tw-pddl"
    if not file.is_file():
        return "without game.tw-pddl", None
    solvable = _json(file).get("solvable")
    if not solvable:
        return "not tried for solvability" if solvable is None else "unsolvable", None
    return "", Trial(id=id, task=task, annotations=_annotations(folder, record))


def _annotations(folder: Path, record: Mapping[str, Any]) -> tuple[str, ...]:
    """The goal as people wrote it, one line each. Raises: DataError."""
    try:
        people = record.get("turk_annotations", {}).get("anns", ())
        texts = [" ".join(str(person.get("task_desc", "")).split()) for person in people]
    except (AttributeError, TypeError) as error:  # other values than the release has
        found = record["turk_annotations"]
        told = f"turk_annotations is {found!r:.80}"
        raise DataError(f"{folder / 'traj_data.json'}: {told}; download it again") from error
    return tuple(text for text in texts if text)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # a broken download is the user's to mend
        raise DataError(f"{path}: cannot be read ({error}); download it again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no JSON object; download it again")
    return content


@lru_cache(maxsize=512)
def load(release: Path, id: str) -> Game:
    """A game by its id, parsed. Raises: DataError."""
    return read_game(release / id / "game.tw-pddl")
