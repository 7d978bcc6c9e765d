"""`agentrl data fetch NAME`: public question files from their own repositories, when asked for.

Nothing else of agentrl downloads data. Where a machine has no network, fetch on one that has and
copy the folder, or give `--source` a clone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from agentrl.cli.export import empty
from agentrl.errors import ConfigError, DataError, MissingDependencyError, boundary, suggestion

WAYS = ("git", "datasets")
CLONE_SECONDS = 1800


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a benchmark's files are, and on what terms."""

    repository: str
    """Address of the git repository."""
    files: tuple[str, ...]
    """Patterns of the question files in it."""
    licence: str
    hub: str = ""
    """Name for the package `datasets`, empty where it has none."""
    revision: str = ""
    """Of the hub's repository: where the package reads it without running code of its own."""


SOURCES = {
    "lcquad2": Source(
        repository="https://github.com/AskNowQA/LC-QuAD2.0",
        files=("dataset/*.json",),
        licence="CC BY 3.0, as its card on the hub says",
        hub="mohnish/lc_quad",
        revision="refs/convert/parquet",
    ),
    "qald9plus": Source(
        repository="https://github.com/KGQA/QALD_9_plus",
        files=("data/qald_9_plus_*.json",),
        licence="CC BY 4.0",
    ),
    "qald10": Source(
        repository="https://github.com/KGQA/QALD-10",
        files=("data/qald_10/*.json",),
        licence="MIT",
    ),
}


def fetch(name: str, *, out: str, source: str, via: str) -> None:
    """Download one benchmark's question files and say where they are from.

    Raises:
        ConfigError: no benchmark or way of that name.
        DataError: no network, no such repository, no files in it; or the folder holds something.
    """
    if name not in SOURCES:
        raise ConfigError(f"unknown benchmark {name!r}: {suggestion(name, list(SOURCES))}")
    if via not in WAYS:
        raise ConfigError(f"unknown --via {via!r}: choose {', '.join(WAYS)}")
    known, folder = SOURCES[name], empty(out)
    address = source or (known.repository if via == "git" else known.hub)
    if not address:
        raise ConfigError(f"{name} is not on the hub: leave out --via {via}")
    typer.echo(f"{name}: from {address}, licence {known.licence}")
    revision = "" if source else known.revision
    found = (
        cloned(name, address, folder) if via == "git" else loaded(name, address, revision, folder)
    )
    for path in found:
        typer.echo(f"{path}: {path.stat().st_size} bytes")


# ---- git ----------------------------------------------------------------------------------------


def cloned(name: str, address: str, folder: Path) -> list[Path]:
    """The files of a fresh clone, its licence included. Raises: DataError."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        _git(name, "clone", "--quiet", "--depth", "1", "--", address, str(clone))
        commit = _git(name, "-C", str(clone), "rev-parse", "HEAD")
        patterns = SOURCES[name].files
        files = sorted(path for pattern in patterns for path in clone.glob(pattern))
        if not files:
            raise DataError(
                f"{address} holds no {' or '.join(patterns)}: is it {name}'s repository?"
            )
        typer.echo(f"commit {commit}")
        with boundary(DataError, f"cannot write to {str(folder)!r}"):
            return [_copied(path, folder) for path in [*files, *_licences(clone)]]


def _licences(clone: Path) -> list[Path]:
    """The files that say on what terms the data are given."""
    named = ("LICENSE", "LICENCE", "COPYING")
    return [path for path in sorted(clone.iterdir()) if path.name.upper().startswith(named)]


def _copied(path: Path, folder: Path) -> Path:
    return Path(shutil.copyfile(path, folder / path.name, follow_symlinks=False))


def _git(name: str, *command: str) -> str:
    """What git prints. Raises: DataError with its last line."""
    settings = ("-c", "core.symlinks=false", "-c", "core.autocrlf=false")
    asks_nothing = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file"}
    with boundary(DataError, f"cannot fetch {name}: is git installed?"):
        done = subprocess.run(
            ["git", *settings, *command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLONE_SECONDS,
            env={**os.environ, **asks_nothing},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode:
        reason = next(
            reversed(done.stderr.strip().splitlines()), f"git ended with {done.returncode}"
        )
        raise DataError(
            f"cannot fetch {name} ({reason}): it needs a network; else clone it elsewhere and give "
            "--source FOLDER"
        )
    return done.stdout.strip()


# ---- datasets -----------------------------------------------------------------------------------


def loaded(name: str, address: str, revision: str, folder: Path) -> list[Path]:
    """Every split of a dataset of the hub, or of a folder, as a list in JSON.

    Raises:
        DataError: it cannot be loaded.
        MissingDependencyError: `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise MissingDependencyError("datasets", 'pip install "agentrl[data]"') from None
    with tempfile.TemporaryDirectory() as scratch:
        with boundary(DataError, f"cannot fetch {name} from {address}: it needs a network"):
            splits: Any = datasets.load_dataset(
                address, revision=revision or None, cache_dir=scratch
            )
        with boundary(DataError, f"cannot write to {str(folder)!r}"):
            return [_written(folder / f"{split}.json", rows) for split, rows in splits.items()]


def _written(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(list(rows), ensure_ascii=False, indent=1), encoding="utf-8")
    return path
