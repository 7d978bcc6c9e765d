"""Our environments for TRL: `GRPOTrainer(environment_factory=...)` plays them by tool calls.

    from agentrl.export import trl
    GRPOTrainer(
        model,
        train_dataset=trl.dataset("agentrl/Sudoku-v0", count=256, size=4),
        environment_factory=trl.environment_factory("agentrl/Sudoku-v0", size=4),
    )

TRL goes on with a conversation only after tool calls. An environment without tools therefore gets
one, `say(text)`, whose result is the observation; one with tools offers these, and `say` for the
texts that are no calls. A final text without a call ends TRL's rollout unseen by the environment.
The rewards of all steps are summed in `get_reward`, so `reward_funcs` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentrl.env import TextEnv, env_class, make
from agentrl.errors import ConfigError, EnvError, MissingDependencyError
from agentrl.export.typed import method
from agentrl.functions import Tool
from agentrl.toolenv import ToolEnv
from agentrl.types import Task, ToolCall

OWN = ("reset", "get_reward", "say")
LOOKS = 64
"""Tasks whose tools are looked at."""


class Rollout:
    """One rollout's environment: a subclass made for an id adds its tools as typed methods."""

    _tools: Sequence[str] = ()

    def __init__(self, env: TextEnv, seed: int) -> None:
        self._env = env
        self._seed = seed
        self._reward = 0.0
        self._over = True

    def reset(self, **row: Any) -> str:
        """Begin the row's `task` (JSON, as `dataset` writes it), else the next one of the seed.

        Returns the first observation. Without a dataset the system prompt goes before it, and all
        rollouts of a batch play the same task.
        """
        task = row.get("task")
        record = json.loads(task) if isinstance(task, str) else task
        seed = int(row.get("seed") or 0) if record else self._seed
        self._seed += 0 if record else 1
        text, info = self._env.reset(seed=seed, options={"task": record} if record else None)
        self._reward, self._over = 0.0, False
        self._check_tools()
        return text if record else "\n\n".join(filter(None, [info.get("system"), text]))

    def get_reward(self) -> float:
        """The sum of the rewards since `reset`."""
        return self._reward

    def say(self, text: str) -> str:
        """Say a text to the environment and read what it answers.

        Args:
            text: The text to say, in the form that the task asks for.

        Returns:
            What the environment answers.
        """
        return self._play(text)

    def _play(self, text: str) -> str:
        if self._over:
            raise EnvError("the episode is over: answer without calling a tool")
        reply, reward, terminated, truncated, _ = self._env.step(text)
        self._reward += reward
        self._over = terminated or truncated
        return reply

    def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        env = self._env
        assert isinstance(env, ToolEnv)  # only its tools become methods
        return self._play(env.write([ToolCall(name, arguments)]))

    def _check_tools(self) -> None:
        """Refuse tools that were not there when the class was made: TRL reads them once."""
        names = [tool.name for tool in _offered(self._env)]
        if self._tools and (more := [name for name in names if name not in self._tools]):
            raise ConfigError(
                f"{self._env.id} offers {more[0]!r} in few tasks, and TRL reads the tools once: "
                "export it with native=False, which has them called in the text of say()"
            )


class Factory:
    """Makes rollouts of one class, whose tools are the environment's; can be pickled."""

    def __init__(self, id: str, seed: int, native: bool, arguments: Mapping[str, Any]) -> None:
        self.told = (id, seed, native, arguments)
        env = _made(id, native, arguments)
        offered: dict[str, Tool] = {}
        for number in range(LOOKS if native and isinstance(env, ToolEnv) else 0):
            env.reset(seed=seed + number)
            offered |= {tool.name: tool for tool in _offered(env)}
        if taken := [name for name in OWN if name in offered]:
            raise ConfigError(f"{id} has a tool {taken[0]!r}, which hides ours: set native=False")
        members: dict[str, Any] = {
            name: method(one, _caller(name)) for name, one in offered.items()
        }
        members |= {"_tools": tuple(members), "__doc__": f"{id} for TRL."}
        self.kind = type(type(env).__name__, (Rollout,), members)
        env.close()

    def __call__(self) -> Rollout:
        """One rollout's environment."""
        id, seed, native, arguments = self.told
        rollout: Rollout = self.kind(_made(id, native, arguments), seed)
        return rollout

    def __reduce__(self) -> tuple[Any, ...]:
        return Factory, self.told


def environment_factory(
    id: str, *, seed: int = 0, native: bool = True, **arguments: Any
) -> Factory:
    """What GRPOTrainer takes: a callable that makes one rollout's environment.

    Args:
        id: of a registered environment, such as `agentrl/Sudoku-v0`.
        seed: of the tasks that are played without a dataset.
        native: offer the environment's own tools as TRL's, those of its first 64 tasks together,
            because TRL shows the same in every prompt; otherwise they are told in the system prompt
            and called in the text of `say`.
        arguments: of the environment.

    Raises:
        ConfigError: an unknown id or argument, or a tool named like a method of ours.
    """
    return Factory(id, seed, native, arguments)


def dataset(
    id: str,
    *,
    count: int = 256,
    split: str = "train",
    seed: int = 0,
    native: bool = True,
    **arguments: Any,
) -> Any:
    """A `datasets.Dataset` of an environment's tasks: the rows of a group play the same task."""
    try:
        from datasets import Dataset
    except ImportError as error:  # told as the extra that brings it
        raise MissingDependencyError("datasets", 'pip install "agentrl[data]"') from error
    env = _made(id, native, arguments)
    rows = [_row(env, task) for task in env.tasks(split, count, seed)]
    env.close()
    return Dataset.from_list(rows)


def _row(env: TextEnv, task: Task) -> dict[str, Any]:
    """A row: the observation is left to `reset`, which TRL appends to the last user message."""
    _, info = env.reset(seed=task.seed, options={"task": task})
    system = info.get("system")
    prompt = [{"role": "system", "content": system}] if system else []
    prompt.append({"role": "user", "content": ""})
    return {"prompt": prompt, "task": json.dumps(dict(task.data)), "seed": task.seed}


def _made(id: str, native: bool, arguments: Mapping[str, Any]) -> TextEnv:
    listing = {"listing": "template" if native else "prompt"}
    told = listing if issubclass(env_class(id), ToolEnv) else {}
    return make(id, **{**told, **arguments})


def _offered(env: TextEnv) -> Sequence[Tool]:
    return env.offered() if isinstance(env, ToolEnv) else ()


def _caller(name: str) -> Callable[..., str]:
    return lambda rollout, arguments: rollout._call(name, arguments)
