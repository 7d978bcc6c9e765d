"""Agents as programs: several roles around one task, written as one async function.

    async def reviewed(scene: Scene) -> None:
        writer = scene.role("writer")
        while not scene.over:
            draft = await writer.says(scene.messages)
            critic = scene.role("critic", parent=writer)
            advice = await critic.says(f"Task: {scene.text} Draft: {draft}")
            await scene.act(await writer.says(advice), writer)

The function says who speaks when and what they hear. Everything else is the scene's (`scene.py`).
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agentrl.agents.chat import Ending, Limits, Outcome, outcome
from agentrl.agents.scene import RoleEnded, Scene
from agentrl.errors import ConfigError, ToolError, boundary
from agentrl.protocols import Player, Stage
from agentrl.signature import checked_arguments
from agentrl.types import Episode, Status, Task, Trajectory

Program = Callable[..., Awaitable[None]]
"""An async function of a scene that plays it to its end."""


class ProgramAgent:
    """Plays `program`, which a subclass writes; `limits` hold for every role by itself."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.name = type(self).__name__

    async def program(self, scene: Scene) -> None:
        """Play the scene to its end; return when there is nothing left to do."""
        raise NotImplementedError

    async def __call__(self, task: Task, stage: Stage, players: Mapping[str, Player]) -> Episode:
        """One episode, a trajectory per role that was opened; the first one's end is the episode's.

        What a program breaks itself is a failed tool: data, like everything that breaks in play.
        """
        scene = Scene(task, stage, players, self.limits)
        end = await outcome(self._played(scene))
        return episode(scene, end)

    async def _played(self, scene: Scene) -> tuple[Status, Ending]:
        await scene.begin()
        try:
            with boundary(ToolError, f"the program {self.name}"):
                await self.program(scene)
        except RoleEnded as ended:
            scene.roles[0].error = ended.role.error
            return ended.role.status, scene.ending
        return Status.TURN_LIMIT if scene.truncated else Status.COMPLETED, scene.ending


class FunctionAgent(ProgramAgent):
    """Plays a program of yours.

    Args:
        limits: of tokens and seconds, for every role by itself.
        function: `module:name` of an async function of a `Scene`; its keyword-only arguments are
            what `arguments` sets.
        arguments: by name.

    Raises:
        ConfigError: no such function, or arguments that it does not have.
    """

    def __init__(
        self, limits: Limits, *, function: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(limits)
        self.name = function
        self.function = program(function)
        self.arguments = checked_arguments(self.function, arguments or {})

    async def program(self, scene: Scene) -> None:
        """Your function."""
        await self.function(scene, **self.arguments)


def episode(scene: Scene, end: Outcome) -> Episode:
    """What a scene leaves behind: the main role's trajectory first."""
    if not scene.roles:
        error = end.error or "the program opened no role"
        failed = Trajectory(status=end.status if end.error else Status.TOOL_FAILED, error=error)
        return Episode(task=scene.task, trajectories=(failed,))
    main, *others = scene.roles
    main.status = end.status
    main.seconds = time.perf_counter() - scene.started
    main.error = end.error or main.error
    first = main.trajectory(success=end.success, answer=end.answer, env_seconds=scene.stage.seconds)
    return Episode(task=scene.task, trajectories=(first, *(o.trajectory() for o in others)))


def imported(name: str, what: str) -> Any:
    """What is behind `module:name`, None where the module has no such name. Raises: ConfigError."""
    module, _, attribute = name.partition(":")
    with boundary(ConfigError, f"cannot import {module!r} of the {what} {name!r}"):
        return getattr(importlib.import_module(module), attribute, None)


def program(name: str) -> Program:
    """The async function behind `module:name`. Raises: ConfigError."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigError(
            f"function is {name!r}: give module:name of an async function", "function"
        )
    found = imported(name, "program")
    if not inspect.iscoroutinefunction(found):
        raise ConfigError(
            f"{name!r} is {type(found).__name__}, no async function of a Scene", "function"
        )
    return found  # type: ignore[no-any-return]
