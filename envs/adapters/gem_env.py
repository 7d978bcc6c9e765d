"""The environment `agentrl/Gem-v0`: the games, puzzles and questions of GEM (package gem-llm).

What `mend` repairs, all of it visible with `mend=False`:
- `reset(seed)` seeds `random` and `numpy.random`, and games draw from them while they are played.
- A game that ends at its last turn is both terminated and truncated.
- `rg:` questions depend on how many were asked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentrl.envs.adapters.base import Adapter, Moved
from agentrl.envs.adapters.isolation import GlobalRandom
from agentrl.envs.adapters.library import known, load
from agentrl.parsing import boxes

BOXED = "\\boxed{%s}"


class Gem(Adapter):
    r"""An environment of GEM; answers stand in `\boxed{...}`.

    The reward is GEM's, whose games pay 1 in all for a solved one; its hints for the next turn
    (`info["suffix"]`) are part of the observation.

    Args:
        game: an id with its level, such as `game:Mastermind-v0-easy` or `rg:leg_counting`.
        arguments: keyword arguments of GEM's environment beyond those of the id.

    Raises:
        ConfigError: an unknown id, or arguments that it does not take.
        DataError: it needs data that cannot be downloaded here.
        MissingDependencyError: GEM is not installed.
    """

    def __init__(
        self,
        *,
        game: str = "game:GuessTheNumber-v0-easy",
        arguments: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.what = game
        with self.foreign("import"):
            gem = load("gem", "gem-llm", "gem")
            registry = load("gem.envs.registration", "gem-llm", "gem").ENV_REGISTRY
        known("GEM environment", game, registry, "game")
        self.wrapped = self.built(lambda: gem.make(game, **dict(arguments or {})))
        self._examples: Sequence[str] = ()

    def own_turns(self) -> int | None:
        """The game's limit; questions have one turn."""
        return getattr(self.wrapped, "max_turns", None) if self.what.startswith("game:") else 1

    def start(self, data: Mapping[str, Any]) -> Any:
        """The rules, or the question."""
        if self.mend and hasattr(self.wrapped, "ds_iter"):
            self.wrapped.idx = 0  # it counts its questions, and changes them with the count
        seen, info = self.wrapped.reset(seed=data["seed"])
        text = shown(seen, info)
        self._examples = [box for box in boxes(text) if box] if isinstance(text, str) else ()
        return text

    def move(self, text: str) -> Moved:
        """Hand the text over as it is: GEM finds the box in it."""
        seen, reward, terminated, truncated, info = self.wrapped.step(text)
        over = terminated or truncated
        return Moved(
            text=seen if over else shown(seen, info),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
        )

    def expert(self, rng: np.random.Generator) -> str:
        """GEM's own random action where it has one, else an example from the rules."""
        own = GlobalRandom(int(rng.integers(2**31)))
        with self.foreign("sample_random_action", own):
            try:
                said = str(self.wrapped.sample_random_action())
            except NotImplementedError:  # GEM's way to say that a game has none
                said = str(rng.choice(self._examples) if self._examples else "0")
        return said if boxes(said) else BOXED % said  # FifteenPuzzle forgets its box

    def close(self) -> None:
        """End the process that checks answers, which some environments keep."""
        super().close()
        if (pool := getattr(self.wrapped, "mp_pool", None)) is not None:
            pool.terminate()

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Games that need no data.

        `GuessTheNumber` is none of them: it takes the number that its own rules give as an example.
        """
        games = ("Minesweeper", "Mastermind", "Sudoku", "FifteenPuzzle")
        return {game: {"game": f"game:{game}-v0-easy"} for game in games}


def shown(seen: Any, info: Mapping[str, Any]) -> Any:
    """An observation with the hint that follows it."""
    suffix = info.get("suffix")
    return f"{seen}\n{suffix}" if isinstance(seen, str) and suffix else seen
