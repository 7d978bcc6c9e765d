"""The environment contract: a Gymnasium environment that speaks natural text.

Three methods make an environment:

    class Reverse(TextEnv):
        def new_task(self, rng):      # a random task's data, JSON-serialisable
            return {"word": "".join(rng.choice(list("abcd"), size=3))}
        def begin(self, data):        # the first observation
            return f"Reverse the word {data['word']}."
        def act(self, text):          # what one assistant text does
            return Reply(done=True, success=text == self.data["word"][::-1])

`oracle` (the best next text) and `expert` (a well-formed but ignorant one) are optional; warm
starts, demonstrations and the conformance suite use them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import registry

from agentrl.errors import ConfigError, DataError, EmptySplitError, EnvError, suggestion
from agentrl.signature import making
from agentrl.spaces import MAX_CHARS, NaturalText
from agentrl.types import Group, Message, Parse, Task

SPLITS = ("train", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What an environment answers to one text."""

    text: str = ""
    """The observation; part of the next context."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Named reward parts earned by this turn; `success` adds `solved` unless it is given."""
    done: bool = False
    """Whether the episode is over."""
    success: bool = False
    """Whether the task is solved."""
    parse: Parse = Parse.OK
    """What the environment's parser made of the text."""
    answer: str | None = None
    """The final answer in a canonical form, so that equal answers are equal strings."""
    messages: Sequence[Message] = ()
    """The observation as messages of other roles, for example tool results; else `text` is the
    user's."""


class TextEnv(gymnasium.Env[str, str]):
    """Base of all environments: subclasses say `new_task`, `begin` and `act`, the rest is here."""

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi"],
        "render_fps": 1,  # Gymnasium's checker warns without it
    }
    system_prompt: str = ""
    """Told to the policy before the first observation."""
    max_turns: int = 8
    """Turn at which the environment truncates."""
    reward_weights: Mapping[str, float] | None = None
    """Weight of each named part in the reward, 0 for those not listed; None sums all parts."""
    reward_range: tuple[float, float] = (-math.inf, math.inf)
    """Least and greatest sum of one episode's rewards; the oracle earns the greatest."""
    observation_chars: int = MAX_CHARS
    """Length of the longest observation, in characters."""
    pickles: bool = True
    """Whether a copy made by pickle in the middle of an episode goes on like the original."""
    luck: bool = False
    """Whether a player without a clue may win now and then, as in games of few moves."""
    mends: ClassVar[bool] = False
    """Whether it wraps another library's environment and repairs it, unless `mend=False`."""

    def __init__(self, *, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = NaturalText()
        self.action_space = NaturalText()
        self.data: Mapping[str, Any] = {}
        self.turn = 0
        self._screen = ""
        self._over = True

    # ---- what a subclass says ----

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A random task's data."""
        raise NotImplementedError

    def begin(self, data: Mapping[str, Any]) -> str:
        """Start on `data` (also kept as `self.data`) and return the first observation."""
        raise NotImplementedError

    def act(self, text: str) -> Reply:
        """Take one assistant text."""
        raise NotImplementedError

    def oracle(self) -> str:
        """The next text of a perfect player, from the current state."""
        raise NotImplementedError(f"{type(self).__name__} has no oracle: define oracle()")

    def expert(self, rng: np.random.Generator) -> str:
        """The next text of a player that knows the format, not the policy: a warm start's model."""
        raise NotImplementedError(
            f"{type(self).__name__} has no expert: define expert(rng), or set warm_start: null"
        )

    def hints(self) -> Mapping[str, Sequence[str]]:
        """Help with the task just begun: tiers from weakest to strongest, each a list to add up.

        Told to the policy by strategies that help failing tasks; here the oracle's first text.
        """
        return {"solution": [self.oracle()]}

    def kind(self, task: Task) -> str:
        """What metrics tell apart, for example a level; empty where all tasks are alike."""
        return ""

    def corpus(self) -> Iterable[str]:
        """Texts whose words a tokenizer made for this environment should know, beyond its play."""
        return ()

    # ---- what the conformance suite asks ----

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Small instances to check: name -> arguments; one that cannot be made here says why."""
        return {"": {}}

    def secrets(self) -> Sequence[str]:
        """Texts of the task just begun that no observation may hold before success."""
        return ()

    # ---- what benchmarks add ----

    def scores(self, groups: Sequence[Group]) -> Mapping[str, Any]:
        """What `agentrl eval` reports of played tasks beyond success; JSON-serialisable."""
        return {}

    def export(self, groups: Sequence[Group], folder: Path, player: str) -> list[Path]:
        """Write played tasks as the result files of the benchmark's own tools; which were made."""
        return []

    @classmethod
    def baselines(cls) -> Mapping[str, Mapping[str, Any]]:
        """Ways to play that a paper compares with: name -> changed arguments of the environment."""
        return {"as configured": {}}

    # ---- tasks ----

    @property
    def id(self) -> str:
        """The registered id, or the class name of an environment that was never registered."""
        return self.spec.id if self.spec is not None else type(self).__name__

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` distinct tasks of a split, drawn by `seed`.

        Raises:
            DataError: an unknown split; or 1,000 draws in a row brought not one task of it.
        """
        check_split(split)
        rng = np.random.default_rng(seed)
        found: dict[str, Task] = {}
        misses = 0
        while len(found) < count and misses < 1000:
            task = Task(env=self.id, data=self.new_task(rng))
            misses = 0 if task.split == split and task.id not in found else misses + 1
            if task.split == split:
                found.setdefault(task.id, task)
        if not found:
            raise EmptySplitError(
                f"{self.id} has no task in the split {split!r}: new_task drew 1,000 of the other; "
                "let it draw from more tasks"
            )
        return list(found.values())

    # ---- Gymnasium's contract ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode of `options["task"]` (a Task or its data), else of one drawn here.

        `options["calls"]` names the format in which the agent writes tool calls.
        """
        super().reset(seed=seed)
        task = (options or {}).get("task")
        self.data = task.data if isinstance(task, Task) else task or self.new_task(self.np_random)
        self.turn = 0
        self._screen = self.begin(self.data)
        self._over = False
        return self._screen, {"system": self.system_prompt}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one text; the info holds `parts`, `success` and `parse`. Raises: EnvError."""
        if not isinstance(action, str):
            raise EnvError(f"{self.id}.step takes a text, not {action!r}")
        if self._over:
            raise EnvError(f"{self.id}.step({action!r:.40}): no episode is being played; reset it")
        self.turn += 1
        reply = self.act(action)
        parts = dict(reply.parts)
        if reply.success:
            parts.setdefault("solved", 1.0)
        truncated = not reply.done and self.turn >= self.max_turns
        self._over = reply.done or truncated
        self._screen = reply.text
        info = {"parts": parts, "success": reply.success, "parse": reply.parse}
        if reply.answer is not None:
            info["answer"] = reply.answer
        if reply.messages:
            info["messages"] = reply.messages
        return reply.text, self._weigh(parts), reply.done, truncated, info

    def _weigh(self, parts: Mapping[str, float]) -> float:
        weights = self.reward_weights
        if weights is None:
            return float(sum(parts.values()))
        return float(sum(weights.get(name, 0.0) * value for name, value in parts.items()))

    def render(self) -> str:
        """The last observation."""
        return self._screen

    def close(self) -> None:
        """End the episode; closing again changes nothing, and `reset` begins another."""
        self._over = True


def check_split(split: str) -> None:
    """Refuse a split that does not exist. Raises: DataError."""
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}: {suggestion(split, list(SPLITS))}")


def register(id: str, env: type[TextEnv] | str, **arguments: Any) -> None:
    """Name an environment (a class or `module:Class`) for configurations and the command line."""
    entry: Any = (
        env  # a class is callable with keywords, which gymnasium's annotation wants spelt out
    )
    gymnasium.register(
        id, entry_point=entry, kwargs=arguments, disable_env_checker=True, order_enforce=False
    )


def env_class(id: str) -> type[TextEnv]:
    """The class behind a registered id; `module:id` imports the module that registers it first.

    Raises:
        ConfigError: unknown id, with the closest known one, or a module that cannot be imported.
    """
    name = load_registration(id)
    if name not in registry:
        ours = [known for known in registry if known.startswith("agentrl/")]
        raise ConfigError(f"unknown environment {id!r}: {suggestion(name, ours)}")
    entry = registry[name].entry_point
    if isinstance(entry, str):
        module, _, attribute = entry.partition(":")
        entry = getattr(importlib.import_module(module), attribute)
    if not isinstance(entry, type):
        raise ConfigError(f"environment {id!r} is not registered with a class: {entry!r}")
    return entry


def load_registration(id: str) -> str:
    """Import what `module:id` names and return the plain id."""
    module, _, name = id.rpartition(":")
    importlib.import_module("agentrl.envs")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"environment {id!r}: cannot import {module!r} ({error}); is it on PYTHONPATH?"
            ) from error
    return name


def make(id: str, **arguments: Any) -> TextEnv:
    """An environment by its registered id.

    Raises:
        ConfigError: with the closest known id or argument.
    """
    with making(env_class(id), arguments):
        made = gymnasium.make(load_registration(id), **arguments).unwrapped
    if not isinstance(made, TextEnv):
        raise ConfigError(
            f"environment {id!r} is not a TextEnv; wrap it with agentrl.envs.adapters"
        )
    return made
