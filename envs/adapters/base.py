"""What all adapters share: a task is (what, seed), and a foreign environment plays it.

    new_task   {"game": what the library calls it, "seed": drawn}
    begin      the foreign environment is reset with the seed
    act        the foreign environment steps; its reward is a named part, mostly `reward`
    success    the episode's rewards sum to a threshold when it ends

`mend` repairs what the library does wrong: its global random state is its own (`isolation.py`), an
episode that it both terminates and truncates is terminated, and what it repeats of a player's text
can be tokenised. With `mend=False` all of it shows.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from agentrl.env import Reply, TextEnv
from agentrl.envs.adapters.isolation import GlobalRandom
from agentrl.envs.adapters.library import made, reason
from agentrl.errors import AgentRLError, ConfigError, DataError, EnvError
from agentrl.types import Parse

SURROGATES = re.compile("[\ud800-\udfff]")
DEFAULT_TURNS = 64
"""Turns of an episode where neither the user nor the library says how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What a foreign environment did with one text."""

    text: Any = ""
    """Its observation; anything but a string is refused."""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)
    """Further named numbers."""
    parse: Parse = Parse.OK
    answer: str | None = None


class Adapter(TextEnv):
    """A foreign environment; a subclass says `start` and `move`.

    Args:
        max_turns: turns until truncation; None is the library's own limit, else 64.
        success: the least sum of rewards that counts as solved when the episode ends.
        reward_weights: weight of each part in the reward; None is the library's reward alone.
        mend: whether what the library does wrong is repaired.
        render_mode: `ansi` or None.

    Raises:
        ConfigError: a value that cannot run.
    """

    mends: ClassVar[bool] = True
    part: ClassVar[str] = "reward"
    """Name of the library's reward among the parts."""
    what: str
    """What the library calls the environment."""

    def __init__(
        self,
        *,
        max_turns: int | None = None,
        success: float = 1.0,
        reward_weights: Mapping[str, float] | None = None,
        mend: bool = True,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        if max_turns is not None and max_turns < 1:
            raise ConfigError(f"max_turns={max_turns}: give at least 1, or null", "max_turns")
        self.success = success
        self.mend = mend
        self.reward_weights = dict({self.part: 1.0} if reward_weights is None else reward_weights)
        self.earned = 0.0
        self._fixed_turns = max_turns
        self.max_turns = max_turns or DEFAULT_TURNS
        self._random: GlobalRandom | None = GlobalRandom(0) if mend else None
        self._ends = (False, False)

    # ---- what an adapter says ----

    @abstractmethod
    def start(self, data: Mapping[str, Any]) -> Any:
        """Reset the foreign environment and return its first observation."""

    @abstractmethod
    def move(self, text: str) -> Moved:
        """Step the foreign environment."""

    def own_turns(self) -> int | None:
        """The library's own limit for the episode just begun, if it says one."""
        return None

    # ---- tasks and episodes ----

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A seed for the foreign environment."""
        return {"game": self.what, "seed": int(rng.integers(2**31))}

    def begin(self, data: Mapping[str, Any]) -> str:
        """Reset the foreign environment as the task says. Raises: DataError, EnvError."""
        game, seed = data.get("game"), data.get("seed")
        if not self.plays(game) or not isinstance(seed, int) or seed < 0:
            raise DataError(
                f"the task {dict(data)!r:.120} is not one of {self.what}: give its game and a seed"
            )
        self.earned, self._ends = 0.0, (False, False)
        self._random = GlobalRandom(seed) if self.mend else None
        with self.foreign("reset"):
            text = self.start(data)
        self.max_turns = self._fixed_turns or self.own_turns() or DEFAULT_TURNS
        return self._checked(text)

    def plays(self, game: Any) -> bool:
        """Whether a task of this game can be played here."""
        return bool(game == self.what)

    def act(self, text: str) -> Reply:
        """Step the foreign environment. Raises: EnvError."""
        with self.foreign(f"step({text!r:.40})"):
            moved = self.move(text)
            reward = float(moved.reward)
        self.earned += reward
        self._ends = (bool(moved.terminated), bool(moved.truncated))
        success = any(self._ends) and self.earned >= self.success - 1e-6
        done = self._ends[0] or success
        if self._ends[1] and not done:
            self.max_turns = self.turn  # the base truncates at its limit, which is here then
        return Reply(
            text=self._checked(moved.text),
            parts={self.part: reward, **moved.parts},
            done=done,
            success=success,
            parse=moved.parse,
            answer=moved.answer,
        )

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """As every environment; unmended, the library's own two flags."""
        text, reward, terminated, truncated, info = super().step(action)
        if not self.mend and all(self._ends):
            truncated = True
        return text, reward, terminated, truncated, info

    # ---- foreign code ----

    @contextmanager
    def foreign(self, doing: str, random: GlobalRandom | None = None) -> Iterator[None]:
        """Around foreign code: with a global random state of its own; its errors are one line.

        Raises:
            EnvError: whatever the library raised.
        """
        with ExitStack() as stack:
            if self._random is not None:
                state = random or self._random
                stack.enter_context(state.swapped(f"{self.what}: {doing}"))
            try:
                yield
            except AgentRLError:
                raise
            except Exception as error:  # a library may raise anything: one line, and it is data
                raise EnvError(f"{self.what}: {doing} raised {reason(error)}") from error

    def built(self, make: Callable[[], Any]) -> Any:
        """A foreign environment, made without touching the global random state.

        Raises:
            ConfigError, DataError: it cannot be made.
        """
        with self.foreign("make"):
            return made(self.what, make)

    def _checked(self, text: Any) -> str:
        if isinstance(text, str):
            return SURROGATES.sub("\ufffd", text) if self.mend else str(text)
        raise EnvError(
            f"{self.what} observes {text!r:.60}, no text: wrap it so that it says a string"
        )
