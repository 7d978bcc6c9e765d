"""Which games an environment's tasks are: levels with their seeds, or files."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.envs.textworld.games import GameFile, checked
from agentrl.envs.textworld.levels import level
from agentrl.errors import ConfigError, DataError

Data = Mapping[str, Any]
"""A task's data."""


LISTED = 1 << 20
"""Seeds that are shuffled as a whole."""
Named = str | Sequence[str] | Mapping[str, float]
"""A level, several, or several with weights."""


class Levels:
    """Generated games: levels by weight and seeds, for both splits, which share no seed."""

    def __init__(
        self,
        levels: Named,
        test_levels: Named | None,
        train_seeds: tuple[int, int],
        test_seeds: tuple[int, int],
    ) -> None:
        held_out = levels if test_levels is None else test_levels
        self.weights = {"train": _weights(levels), "test": _weights(held_out)}
        self.seeds = {"train": tuple(train_seeds), "test": tuple(test_seeds)}
        for split, (first, last) in self.seeds.items():
            if not 0 <= first <= last < 1 << 31:
                raise ConfigError(f"{split}_seeds={[first, last]}: give the first and the last one")
        if max(train_seeds[0], test_seeds[0]) <= min(train_seeds[1], test_seeds[1]):
            raise ConfigError(
                f"train_seeds={list(train_seeds)} and test_seeds={list(test_seeds)} overlap: "
                "held-out games would be trained on"
            )

    def draw(self, rng: np.random.Generator) -> Data:
        """A game, one in eight of them held out."""
        split = "test" if rng.random() < 1 / 8 else "train"
        first, last = self.seeds[split]
        name = _pick(self.weights[split], rng)
        return {"level": name, "seed": int(rng.integers(first, last + 1)), "split": split}

    def every(self, split: str, rng: np.random.Generator) -> Iterator[Data]:
        """All games of a split in random order, the levels mixed by weight while they last."""
        first, last = self.seeds[split]
        weights = {name: weight for name, weight in self.weights[split].items() if weight}
        left = {name: _shuffled(last + 1 - first, rng) for name in weights}
        while weights:
            name = _pick(weights, rng)
            drawn = next(left[name], None)
            if drawn is None:
                del weights[name]
            else:
                yield {"level": name, "seed": first + drawn, "split": split}

    def begun_with(self, data: Data) -> dict[str, Any]:
        """What tells a worker which game a task is. Raises: DataError."""
        if not isinstance(data.get("level"), str) or not isinstance(data.get("seed"), int):
            raise DataError(f"{dict(data)!r} is no game: give a level and a seed, or files=")
        return {"level": data["level"], "seed": data["seed"]}


def _weights(levels: Named) -> dict[str, float]:
    """Weights by level. Raises: ConfigError."""
    names = [levels] if isinstance(levels, str) else list(levels)
    for name in names:
        level(name)
    weights = [float(levels[name]) if isinstance(levels, Mapping) else 1.0 for name in names]
    if not names or min(weights) < 0 or not 0 < sum(weights) < math.inf:
        raise ConfigError(f"levels={levels!r}: give levels with weights above 0", "levels")
    return dict(zip(names, weights, strict=True))


def _shuffled(count: int, rng: np.random.Generator) -> Iterator[int]:
    """The numbers below `count` in random order; many of them are drawn as they are asked for."""
    return iter(rng.permutation(count).tolist()) if count <= LISTED else _drawn(count, rng)


def _drawn(count: int, rng: np.random.Generator) -> Iterator[int]:
    seen: set[int] = set()
    while len(seen) < count:
        number = int(rng.integers(count))
        if number not in seen:
            seen.add(number)
            yield number


def _pick(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    shares = np.asarray(list(weights.values()))
    return list(weights)[int(rng.choice(len(weights), p=shares / shares.sum()))]


class Files:
    """Games that somebody brought: known by their content, wherever they lie."""

    def __init__(self, files: str | Sequence[str], test_files: str | Sequence[str] | None) -> None:
        self.games: dict[str, GameFile] = {}
        self.splits: dict[str, str] = {}
        for split, patterns in (("train", files), ("test", test_files)):
            for path in _matching(patterns or ()):
                game = checked(path)
                self.games[game.key] = game
                if test_files is not None:
                    self.splits[game.key] = split
        if not self.games:
            raise ConfigError(f"files={files!r} names no game: give paths of .z8 files", "files")

    def draw(self, rng: np.random.Generator) -> Data:
        """A game of any split."""
        return self._data(str(rng.choice(sorted(self.games))))

    def every(self, split: str, rng: np.random.Generator) -> Iterator[Data]:
        """All games in random order; those of other splits too, where files are not told apart."""
        for key in rng.permutation(sorted(self.games)).tolist():
            if self.splits.get(key, split) == split:
                yield self._data(key)

    def begun_with(self, data: Data) -> dict[str, Any]:
        """What tells a worker which game a task is. Raises: DataError."""
        key = data.get("file")
        if key not in self.games:
            raise DataError(f"no game of files= has the content {key!r}: name its file there")
        return {"path": str(self.games[key].path)}

    def _data(self, key: str) -> Data:
        named = {"split": self.splits[key]} if self.splits else {}
        return {"file": key, **named}


def _matching(patterns: str | Sequence[str]) -> Iterator[Path]:
    """Paths and globs as files. Raises: DataError for one that matches nothing."""
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        spelt = str(Path(pattern).expanduser().absolute())  # workers stay where they were started
        found = sorted(glob.glob(spelt, recursive=True)) or [spelt]
        yield from (Path(path) for path in found if len(found) == 1 or path.endswith(".z8"))
