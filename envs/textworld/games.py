"""Games on disk: made on demand, kept by content, so that a level and a seed is one game for ever.

The generator of cooking games iterates over sets: its games follow from PYTHONHASHSEED too. So a
game is only made in a process whose hash seed is 0.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.envs.textworld.levels import Level, level
from agentrl.errors import ConfigError, DataError, EnvError, MissingDependencyError, boundary

CACHE = "AGENTRL_TEXTWORLD_CACHE"
"""Environment variable that names the folder of made games."""
FORMAT = 1
"""Raised when the same level and seed should give other games than before."""
HASH_SEED = {"PYTHONHASHSEED": "0"}


class GameFile(NamedTuple):
    """A game that can be played."""

    path: Path
    """The `.z8`; its `.json` lies beside it."""
    key: str
    """16 hex digits of what it is: of what made it, or of its content."""


def cache_folder(given: str | None) -> Path:
    """Where made games are kept: the argument, else the environment variable, else the user's."""
    if named := given or os.environ.get(CACHE):
        return Path(named).expanduser().absolute()  # workers stay where they were started
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser().absolute() / "agentrl" / "textworld"


def place(name: str, seed: int, folder: Path) -> GameFile:
    """Where the game of a level and a seed is, or will be. Raises: ConfigError."""
    wanted = level(name)
    content = [FORMAT, version(), wanted.family, dict(wanted.settings), seed]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return GameFile(folder / key[:2] / f"{key}.z8", key)


def made(name: str, seed: int, folder: Path, seconds: float = 120.0) -> GameFile:
    """The game of a level and a seed, made now if it never was; safe among processes.

    Raises:
        ConfigError: an unknown level.
        EnvError: TextWorld cannot make it, or the folder cannot hold it.
    """
    game = place(name, seed, folder)
    if not game.path.exists():
        try:
            game.path.parent.mkdir(parents=True, exist_ok=True)
            if makes_here():
                _make(name, seed, game.path)
            else:
                _make_elsewhere(name, seed, folder, seconds)
        except OSError as error:  # read-only, full, or no folder at all: the user's to mend
            raise EnvError(
                f"cannot make {name} with seed {seed}: cannot write to {str(folder)!r} "
                f"({error.strerror}); name another folder by cache or ${CACHE}"
            ) from error
    return game


def made_again(name: str, seed: int, folder: Path, seconds: float) -> GameFile:
    """The same instead of a damaged one: cut by a full disk, or touched by somebody."""
    damaged = place(name, seed, folder).path
    with boundary(EnvError, f"{name} with seed {seed} is damaged, and cannot be replaced"):
        damaged.unlink(missing_ok=True)
    return made(name, seed, folder, seconds)


def makes_here() -> bool:
    """Whether this thread may make games: TextWorld's generator has one random state for all."""
    alone = threading.current_thread() is threading.main_thread()
    return alone and not sys.flags.hash_randomization


def version() -> str:
    """TextWorld's, without importing it. Raises: MissingDependencyError."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("textworld")
    except PackageNotFoundError as error:
        raise MissingDependencyError("textworld", "pip install 'agentrl[textworld]'") from error


def _make_elsewhere(name: str, seed: int, folder: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "agentrl.envs.textworld.games", name, str(seed), str(folder)]
    try:
        done = subprocess.run(
            command, env=os.environ | HASH_SEED, timeout=seconds, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired as error:
        raise EnvError(f"{name} with seed {seed} was not made within {seconds:g} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        doing = f"cannot make {name} with seed {seed}: "
        raise EnvError(doing + said[-1].removeprefix(doing))


def _make(name: str, seed: int, path: Path) -> None:
    """Generate and compile into a folder of its own, then move: half a game is never seen."""
    import textworld
    from textworld.generator import compile_game

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
        options = textworld.GameOptions()
        options.path = str(Path(folder) / path.name)
        try:
            options.seeds = seed
            textworld.g_rng.set_seed(seed)
            compile_game(_generated(level(name), seed, options), options)
        except Exception as error:  # a search that fails, a compiler that does: data for the asker
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise EnvError(f"cannot make {name} with seed {seed}: {why}") from error
        made = Path(options.path)
        os.replace(made.with_suffix(".json"), path.with_suffix(".json"))
        os.replace(made, path)  # last: who sees it sees the other one


def _generated(wanted: Level, seed: int, options: Any) -> Any:
    """TextWorld's own game object."""
    from textworld.challenges import CHALLENGES
    from textworld.generator import make_game

    settings = dict(wanted.settings)
    if wanted.family == "custom":
        options.nb_rooms, options.nb_objects = settings["rooms"], settings["objects"]
        options.quest_length = settings["quest"]
        return make_game(options)
    if wanted.family == "tw-cooking":
        settings["recipe_seed"] = seed if settings["take"] else 0  # without `take` it is refused
    return CHALLENGES[wanted.family][1](settings, options)


def checked(path: Path) -> GameFile:
    """A `.z8` file and its `.json`, by their content.

    Raises:
        DataError: one is not there, or is damaged: the engine itself would end its process.
    """
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            why = "" if file == path else f": a game made by tw-make has it beside {path.name}"
            raise DataError(f"there is no file {str(file)!r}{why}")
    story, logic = path.read_bytes(), beside.read_bytes()
    if not is_whole(story):
        raise DataError(f"{str(path)!r} is damaged or no .z8 game: make it again with tw-make")
    try:
        readable = isinstance(json.loads(logic), dict)
    except ValueError:  # named below, with the file
        readable = False
    if not readable:
        raise DataError(f"{str(beside)!r} is damaged: make the game again with tw-make")
    return GameFile(path, hashlib.sha256(story + logic).hexdigest()[:16])


def is_whole(story: bytes) -> bool:
    """Whether a Z-machine file has version 8, its length and its checksum as the header says."""
    if len(story) < 64 or story[0] != 8:
        return False
    length, total = (int.from_bytes(story[at : at + 2], "big") for at in (0x1A, 0x1C))
    return 64 < 8 * length <= len(story) and sum(story[64 : 8 * length]) % 65536 == total


def main() -> None:
    """Make one game: level, seed and folder are the arguments."""
    name, seed, folder = sys.argv[1:]
    try:
        made(name, int(seed), Path(folder))
    except (ConfigError, EnvError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
