"""Several environments in one run, by weights.

    env:
      id: agentrl/Mixture-v0
      members:
        puzzles: {id: agentrl/Sudoku-v0, weight: 2, size: 4}
        words: {id: agentrl/Echo-v0}

A task keeps the split that it has in its own environment, so what is held out there is held out
here. Metrics tell members apart (`TextEnv.kind`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agentrl.env import TextEnv, check_split, env_class, make
from agentrl.errors import ConfigError, EmptySplitError
from agentrl.signature import checked_arguments
from agentrl.types import Group, Task


class Mixture(TextEnv):
    """Plays each task in the member that it belongs to.

    Args:
        members: name -> the environment's `id`, its `weight` (1 by default) and its arguments.
            Of `count` tasks each member gives its share by weight, or all that it has.
        render_mode: as Gymnasium has it.

    Raises:
        ConfigError: no member, one without `id`, or what its own constructor refuses.
    """

    def __init__(
        self,
        *,
        members: Mapping[str, Mapping[str, Any]],
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        if not members:
            raise ConfigError("members is empty: name environments, each with its id", "members")
        self.members = {name: member(name, told) for name, told in members.items()}
        weights = np.array([weight(name, told) for name, told in members.items()])
        self.shares = weights / weights.sum()
        self.playing = next(iter(self.members.values()))
        every = self.members.values()
        self.max_turns = max(env.max_turns for env in every)
        self.observation_chars = max(env.observation_chars for env in every)
        self.reward_range = (
            min(env.reward_range[0] for env in every),
            max(env.reward_range[1] for env in every),
        )
        self.pickles = all(env.pickles for env in every)
        self.luck = any(env.luck for env in every)

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """A puzzle and a word game."""
        sudoku = {"id": "agentrl/Sudoku-v0", "size": 4, "blanks": 2}
        return {"": {"members": {"puzzles": sudoku, "words": {"id": "agentrl/Echo-v0"}}}}

    # ---- tasks ----

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A member's task."""
        name = str(rng.choice(list(self.members), p=self.shares))
        env = self.members[name]
        return self._task(name, Task(env=env.id, data=env.new_task(rng))).data

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """Every member's share of `count` tasks, shuffled. Raises: DataError."""
        check_split(split)
        found: list[Task] = []
        pairs = zip(self.members.items(), shared(count, self.shares), strict=True)
        for (name, env), share in pairs:
            if share:
                found += [self._task(name, task) for task in env.tasks(split, share, seed)]
        if not found:
            raise EmptySplitError(f"{self.id} has no task in the split {split!r}: ask for more")
        order = np.random.default_rng(seed).permutation(len(found))
        return [found[int(place)] for place in order]

    def _task(self, name: str, task: Task) -> Task:
        data = {"member": name, "split": task.split, "task": dict(task.data)}
        return Task(env=self.id, data=data, seed=task.seed)

    def own(self, task: Task) -> tuple[TextEnv, Task]:
        """The member that a task belongs to, and the task as it is there. Raises: ConfigError."""
        name, inner = task.data.get("member"), task.data.get("task")
        if name not in list(self.members) or not isinstance(inner, Mapping):
            known = ", ".join(self.members)
            raise ConfigError(f"task {task.id} is of {name!r}, members are {known}: name it so")
        env = self.members[name]
        return env, Task(env=env.id, data=inner, seed=task.seed)

    def kind(self, task: Task) -> str:
        """The member's name, and what it tells apart itself."""
        env, inner = self.own(task)
        return "/".join(filter(None, [task.data["member"], env.kind(inner)]))

    # ---- play: all of it is the member's ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start a task in its member."""
        super(TextEnv, self).reset(seed=seed)
        given = (options or {}).get("task")
        data = given.data if isinstance(given, Task) else given or self.new_task(self.np_random)
        self.data = data
        self.playing, inner = self.own(Task(env=self.id, data=data, seed=seed or 0))
        self.reward_weights = self.playing.reward_weights
        return self.playing.reset(seed=seed, options={**(options or {}), "task": inner})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one text."""
        return self.playing.step(action)

    def render(self) -> str:
        """The member's last observation."""
        return self.playing.render()

    def oracle(self) -> str:
        """The member's."""
        return self.playing.oracle()

    def expert(self, rng: np.random.Generator) -> str:
        """The member's."""
        return self.playing.expert(rng)

    def hints(self) -> Mapping[str, Sequence[str]]:
        """The member's."""
        return self.playing.hints()

    def secrets(self) -> Sequence[str]:
        """The member's."""
        return self.playing.secrets()

    def corpus(self) -> Iterable[str]:
        """Every member's."""
        return (text for env in self.members.values() for text in env.corpus())

    def scores(self, groups: Sequence[Group]) -> Mapping[str, Any]:
        """Every member's own, of its groups."""
        inner: dict[str, list[Group]] = {name: [] for name in self.members}
        for group in groups:
            inner[group.task.data["member"]].append(replace(group, task=self.own(group.task)[1]))
        told = {name: self.members[name].scores(played) for name, played in inner.items() if played}
        return {name: scores for name, scores in told.items() if scores}

    def close(self) -> None:
        """Close every member."""
        for env in self.members.values():
            env.close()


def member(name: str, told: Mapping[str, Any]) -> TextEnv:
    """The environment that a member names. Raises: ConfigError."""
    arguments = {key: value for key, value in told.items() if key not in ("id", "weight")}
    if not isinstance(told.get("id"), str):
        raise ConfigError(f"members.{name} has no id: name an environment", "members")
    try:
        return make(told["id"], **checked_arguments(env_class(told["id"]), arguments))
    except ConfigError as error:
        raise ConfigError(f"members.{name}: {error}", "members") from error


def weight(name: str, told: Mapping[str, Any]) -> float:
    """A member's weight. Raises: ConfigError."""
    value = told.get("weight", 1.0)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ConfigError(f"members.{name}.weight is {value!r}: give a number above 0", "members")
    return float(value)


def shared(count: int, shares: Sequence[float]) -> list[int]:
    """`count` in whole numbers by shares; what rounding leaves goes to the largest remainders."""
    exact = [count * share for share in shares]
    whole = [int(value) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda place: whole[place] - exact[place])
    for place in by_rest[: count - sum(whole)]:
        whole[place] += 1
    return whole
