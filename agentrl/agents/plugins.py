"""Tools that a program's roles may use: the environment, and functions of yours.

A plug-in is `module:function`: a function of one text, plain or async, whose docstring tells models
what it does. What it raises becomes its result, for roles to read.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agentrl.agents.program import imported
from agentrl.agents.scene import Role, Scene
from agentrl.errors import ConfigError

ENVIRONMENT = "environment"
SECONDS = 60.0
"""That a plug-in may take for one command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolPlugin:
    """A tool of a program."""

    name: str
    description: str
    run: Callable[[Scene, Role, str], Awaitable[str]]

    async def __call__(self, scene: Scene, role: Role, command: str) -> str:
        """Its result. Raises: EnvError, from the environment alone."""
        return await self.run(scene, role, command)

    def about(self, scene: Scene) -> str:
        """What models read of it; of the environment, its functions too."""
        listed = scene.tools if self.name == ENVIRONMENT else ()
        return "\n".join([f"{self.name}: {self.description}", *map(json.dumps, listed)])


async def act(scene: Scene, role: Role, command: str) -> str:
    """A step of the environment."""
    return await scene.act(command, role)


def load_tool(name: str) -> ToolPlugin:
    """The tool of that name. Raises: ConfigError."""
    if name == ENVIRONMENT:
        return ToolPlugin(name=name, description="acts in the environment of the task", run=act)
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ConfigError(
            f"the tool {name!r} is none: give {ENVIRONMENT} or module:function", "tools"
        )
    function = imported(name, "tool")
    if not callable(function):
        raise ConfigError(f"the tool {name!r} is no function of {module}", "tools")
    description = (inspect.getdoc(function) or "").partition("\n")[0]
    return ToolPlugin(name=attribute, description=description, run=running(function))


def running(function: Callable[[str], Any]) -> Callable[[Scene, Role, str], Awaitable[str]]:
    """A function of a text as a tool with a deadline, in a thread unless it is async."""

    async def run(scene: Scene, role: Role, command: str) -> str:
        plain = not inspect.iscoroutinefunction(function)
        doing = asyncio.to_thread(function, command) if plain else function(command)
        try:
            return str(await asyncio.wait_for(doing, SECONDS))
        except TimeoutError:
            return f"error: no answer within {SECONDS:g} s"
        except Exception as error:  # a plug-in may raise anything; roles read what it was
            return f"error: {type(error).__name__}: {error}"

    return run


def not_found(name: str) -> str:
    """The result of a tool that there is not."""
    return f"error: no tool named {name!r}"
