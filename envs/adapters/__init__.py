"""Environments of other libraries, in one line each: `adapters.gem("game:Mastermind-v0-easy")`.

    gymnasium       any Gymnasium environment that can be shown as text
    gem             GEM's games, puzzles and questions          agentrl[gem]
    textarena       TextArena's games for one player or two     agentrl[textarena]
    reasoning_gym   reasoning-gym's generated questions         agentrl[reasoning-gym]
    verifiers       tasksets of verifiers                       agentrl[verifiers]
    openenv         OpenEnv servers                             agentrl[openenv]
    mcp             the tools of an MCP server, with your tasks agentrl[mcp]

Arguments are those of the adapter; others go to what it wraps. In a run the same is written
`env: {id: agentrl/Gem-v0, game: "game:Mastermind-v0-easy"}`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from agentrl.env import TextEnv, env_class, make


def gymnasium(wraps: str, **options: Any) -> TextEnv:
    """A Gymnasium environment by its id, or by `module:Id-v0`. Raises: ConfigError."""
    return adapted("agentrl/Gymnasium-v0", options, wraps=wraps)


def gem(game: str, **options: Any) -> TextEnv:
    """An environment of GEM. Raises: ConfigError, DataError."""
    return adapted("agentrl/Gem-v0", options, game=game)


def textarena(game: str, **options: Any) -> TextEnv:
    """A game of TextArena. Raises: ConfigError, DataError."""
    return adapted("agentrl/TextArena-v0", options, game=game)


def reasoning_gym(dataset: str | Mapping[str, float], **options: Any) -> TextEnv:
    """Questions of reasoning-gym. Raises: ConfigError."""
    return adapted("agentrl/ReasoningGym-v0", options, "config", dataset=dataset)


def verifiers(taskset: str, **options: Any) -> TextEnv:
    """A taskset of verifiers by its id. Raises: ConfigError, DataError."""
    return adapted("agentrl/Verifiers-v0", options, "taskset_config", taskset=taskset)


def openenv(url: str, **options: Any) -> TextEnv:
    """The environment of an OpenEnv server. Raises: ConfigError, EnvError."""
    return adapted("agentrl/OpenEnv-v0", options, "reset", url=url)


def mcp(tasks: str, **options: Any) -> TextEnv:
    """Tasks of a JSONL file for the tools of an MCP server: `command` or `url`.

    Raises: ConfigError, DataError, ToolError.
    """
    return make("agentrl/Mcp-v0", tasks=tasks, **options)


def adapted(id: str, options: Mapping[str, Any], rest: str = "arguments", **what: Any) -> TextEnv:
    """An adapter; what is not its own argument is put into its argument `rest`."""
    own = own_arguments(env_class(id))
    given = {name: value for name, value in options.items() if name in own}
    foreign = {name: value for name, value in options.items() if name not in own}
    if foreign:
        given[rest] = {**given.get(rest, {}), **foreign}
    return make(id, **what, **given)


def own_arguments(kind: type[TextEnv]) -> set[str]:
    """The keyword arguments of an adapter's constructor, those of its bases included."""
    return {
        name
        for base in kind.__mro__
        if "__init__" in vars(base)
        for name in inspect.signature(base).parameters
    }
