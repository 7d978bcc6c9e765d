"""The environment `agentrl/Gymnasium-v0`: any Gymnasium environment that can be shown as text.

    show   how its observations become text          read   how a text becomes an action
    text   they are strings                          text   it is the action
    ansi   its `ansi` rendering                      name   the last named action in the text
    value  numbers, written out                      numbers  as many whole numbers as it takes

`auto` takes the first that its spaces allow; a function of your own is `module:function`.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import registry

from agentrl.envs.adapters.base import Adapter, Moved
from agentrl.envs.adapters.library import known
from agentrl.envs.adapters.shown import ansi, value
from agentrl.errors import ConfigError
from agentrl.types import Parse

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "FrozenLake": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "Taxi": ("south", "north", "east", "west", "pickup", "dropoff"),
    "Blackjack": ("stick", "hit"),
}
"""What Gymnasium's documentation calls the actions of its toy texts, by their number."""
SMALL = 64
"""Numbers in the largest observation that is written out."""

Show = Callable[[Any], Any]
Read = Callable[[str], Any]


class Gymnasium(Adapter):
    """Any Gymnasium environment with text, or with small spaces that can be written as text.

    Rewards are its own; `success` None is the threshold that it registers, else 1.

    Args:
        wraps: a registered id, `module:Id-v0` to import what registers it first.
        arguments: keyword arguments of the wrapped environment.
        show: `auto`, `text`, `ansi`, `value`, or `module:function` from observation to text.
        read: `auto`, `text`, `name`, `numbers`, or `module:function` from text to an action, or to
            None where there is none; that costs a turn and changes nothing.
        actions: names of a discrete space's actions in order; None is those of Gymnasium's toy
            texts, else their numbers.
        instruction: said before the first observation; None names the actions.
        parts: keys of the wrapped environment's info whose numbers become parts.

    Raises:
        ConfigError: an unknown id, spaces that cannot be text, or a value that cannot run.
    """

    def __init__(
        self,
        *,
        wraps: str = "FrozenLake-v1",
        arguments: Mapping[str, Any] | None = None,
        show: str = "auto",
        read: str = "auto",
        actions: Sequence[str] | None = None,
        instruction: str | None = None,
        parts: Sequence[str] = (),
        success: float | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(success=1.0 if success is None else success, **rest)
        self.what = wraps
        spec = registered(wraps)
        if success is None and spec.reward_threshold is not None:
            self.success = float(spec.reward_threshold)
        options = dict(arguments or {})
        if show == "ansi" or (show == "auto" and not is_text(spec, options)):
            options.setdefault("render_mode", "ansi")
        self.wrapped: gymnasium.Env[Any, Any] = self.built(
            lambda: gymnasium.make(wraps, disable_env_checker=True, **options)
        )
        self.names = named(spec.name, self.wrapped.action_space, actions)
        self._show = self._shower(show)
        self._read = self._reader(read)
        self.instruction = self._told() if instruction is None else instruction
        self._parts = tuple(parts)
        self._turns: int | None = spec.max_episode_steps

    def _shower(self, show: str) -> Show:
        space = self.wrapped.observation_space
        if show == "auto":
            show = "text" if isinstance(space, spaces.Text) else self.wrapped.render_mode or "value"
        ways: dict[str, Show] = {
            "text": as_it_is,
            "ansi": self._rendered,
            "value": value,
        }
        if show == "value" and spaces.flatdim(space) > SMALL and not is_number(space):
            raise ConfigError(
                f"{self.what} observes {space}, no text: say how to show it (show: "
                "module:function)",
                "show",
            )
        return ways[show] if show in ways else function("show", show, tuple(ways))

    def _rendered(self, _: Any) -> Any:
        return ansi(self.wrapped.render())

    def _reader(self, read: str) -> Read:
        space = self.wrapped.action_space
        ways: dict[str, tuple[Any, Read]] = {
            "text": (spaces.Text, as_it_is),
            "name": (spaces.Discrete, self._by_name),
            "numbers": ((spaces.MultiDiscrete, spaces.MultiBinary), self._by_numbers),
        }
        if read == "auto":
            read = next((way for way, (kind, _) in ways.items() if isinstance(space, kind)), "")
        if read in ways and isinstance(space, ways[read][0]):
            return ways[read][1]
        if read in ("", *ways):
            raise ConfigError(
                f"{self.what} acts in {space}: say how to read an action (read: module:function)",
                "read",
            )
        return function("read", read, tuple(ways))

    def _by_name(self, text: str) -> Any:
        """The last action named in the text."""
        found = self._pattern.findall(text)
        start = getattr(self.wrapped.action_space, "start", 0)
        lowered = [name.lower() for name in self.names]
        return lowered.index(found[-1].lower()) + start if found else None

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self.names, key=len, reverse=True)
        return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)

    def _by_numbers(self, text: str) -> Any:
        """The text's whole numbers, where they are an action."""
        space = self.wrapped.action_space
        numbers = [int(number) for number in re.findall(r"-?\d{1,9}", text)[: SMALL + 1]]
        if len(numbers) != int(np.prod(space.shape or ())):
            return None
        action = np.array(numbers, space.dtype).reshape(space.shape or ())
        return action if space.contains(action) else None

    def _told(self) -> str:
        if self.names:
            return f"Say one of: {', '.join(self.names)}."
        space = self.wrapped.action_space
        return "" if isinstance(space, spaces.Text) else f"Say numbers: an action of {space}."

    # ---- the game ----

    def own_turns(self) -> int | None:
        """The registered limit."""
        return self._turns

    def start(self, data: Mapping[str, Any]) -> Any:
        """The instruction and the first observation."""
        seen, _ = self.wrapped.reset(seed=data["seed"])
        text = self._show(seen)
        return f"{self.instruction}\n{text}" if self.instruction and isinstance(text, str) else text

    def move(self, text: str) -> Moved:
        """Read an action and step; what is no action changes nothing."""
        action = self._read(text)
        if action is None:
            hint = self._told() or "Say an action."
            return Moved(text=f"No action found. {hint}", parse=Parse.MALFORMED)
        seen, reward, terminated, truncated, info = self.wrapped.step(action)
        return Moved(
            text=self._show(seen),
            reward=float(reward),
            terminated=terminated,
            truncated=truncated,
            parts={key: float(info[key]) for key in self._parts if key in info},
        )

    def expert(self, rng: np.random.Generator) -> str:
        """What the wrapped environment's own `expert(rng)` says, else any action."""
        own = getattr(self.wrapped.unwrapped, "expert", None)
        if own is not None:
            return str(own(rng))
        if self.names:
            return str(rng.choice(self.names))
        self.wrapped.action_space.seed(int(rng.integers(2**31)))
        drawn = self.wrapped.action_space.sample()
        return drawn if isinstance(drawn, str) else value(drawn)

    def close(self) -> None:
        """Close the wrapped environment too."""
        super().close()
        self.wrapped.close()

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Two of Gymnasium's toy texts, cut short."""
        return {
            "FrozenLake": {"wraps": "FrozenLake-v1", "max_turns": 6},
            "Blackjack": {"wraps": "Blackjack-v1", "max_turns": 4},
        }


def as_it_is(told: Any) -> Any:
    """The same text."""
    return told


def registered(wraps: str) -> Any:
    """What Gymnasium knows of an id, its module imported. Raises: ConfigError."""
    module, _, name = wraps.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"wraps: cannot import {module!r} ({error}); is it on PYTHONPATH?", "wraps"
            ) from error
    known("environment", name, (id for id in registry if not id.startswith("agentrl/")), "wraps")
    return registry[name]


def is_text(spec: Any, options: Mapping[str, Any]) -> bool:
    """Whether an environment has no `ansi` rendering to show, or is told how to render."""
    entry = spec.entry_point
    if isinstance(entry, str):
        module, _, attribute = entry.partition(":")
        entry = getattr(importlib.import_module(module), attribute)
    modes = getattr(entry, "metadata", {}).get("render_modes", [])
    return "ansi" not in modes or "render_mode" in options


def named(name: str, space: spaces.Space[Any], actions: Sequence[str] | None) -> tuple[str, ...]:
    """The names of a discrete space's actions. Raises: ConfigError."""
    if not isinstance(space, spaces.Discrete):
        if actions is not None:
            raise ConfigError(f"actions name those of a discrete space, not of {space}", "actions")
        return ()
    count, start = int(space.n), int(space.start)
    usual = ACTIONS.get(name, ())
    numbers = tuple(str(start + index) for index in range(count))
    given = tuple(actions) if actions is not None else usual if len(usual) == count else numbers
    if len({name.lower() for name in given}) != count or not all(given):
        raise ConfigError(f"actions={list(given)}: give {count} different names", "actions")
    return given


def is_number(space: spaces.Space[Any]) -> bool:
    """Whether an observation is a single number, of however many."""
    return isinstance(space, spaces.Discrete)


def function(key: str, path: str, ways: tuple[str, ...]) -> Callable[[Any], Any]:
    """A user's function by `module:name`. Raises: ConfigError."""
    module, colon, name = path.partition(":")
    if not colon:
        raise ConfigError(f"{key}={path!r}: give {', '.join(ways)} or module:function", key)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}={path!r} cannot be imported: {error}", key) from error
    if not callable(found):
        raise ConfigError(f"{key}={path!r} is no function", key)
    return found  # type: ignore[no-any-return]
