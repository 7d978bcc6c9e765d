"""Where games live: in worker processes, or in threads of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentrl.envs.textworld.games import made, place
from agentrl.envs.textworld.processes import Crew, Game, crew
from agentrl.envs.textworld.threads import ThreadGame
from agentrl.envs.textworld.vocabulary import vocabulary


@dataclass(frozen=True, kw_only=True)
class Backing:
    """How an environment's games are run."""

    workers: Literal["processes", "threads"]
    num_workers: int | None
    step_seconds: float
    make_seconds: float
    cache: Path

    @property
    def crew(self) -> Crew:
        """The processes, shared by all environments that want as many."""
        return crew(self.num_workers)

    def game(self, request: Mapping[str, Any]) -> Game | ThreadGame:
        """A game that is not begun yet."""
        begin = {**request, "cache": str(self.cache)}
        if self.workers == "threads":
            return ThreadGame(begin, self.step_seconds, self.make_seconds)
        return Game(self.crew, begin, self.step_seconds, self.make_seconds)

    def make(self, games: Sequence[Mapping[str, Any]]) -> None:
        """Make the games of levels and seeds that were never made, with all workers at once.

        Raises:
            EnvError: one cannot be made.
        """
        size = 1 if self.workers == "threads" else self.crew.size
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(self._make, games))

    def _make(self, game: Mapping[str, Any]) -> None:
        level, seed = str(game["level"]), int(game["seed"])
        if place(level, seed, self.cache).path.exists():
            return
        if self.workers == "threads":
            made(level, seed, self.cache, self.make_seconds)
            return
        request = {"do": "make", "level": level, "seed": seed, "cache": str(self.cache)}
        self.crew.ask({**request, "seconds": self.make_seconds}, self.make_seconds)

    def words(self, show: Sequence[str]) -> Sequence[str]:
        """The texts that games are written with, as far as they are shown."""
        if self.workers == "threads":
            return vocabulary(show)
        request = {"do": "words", "show": list(show)}
        words: Sequence[str] = self.crew.ask(request, self.make_seconds)["words"]
        return words
