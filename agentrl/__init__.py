"""agentrl: reinforcement learning of language-model agents in multi-turn text environments.

The public names, loaded when they are first used, so that `import agentrl` costs milliseconds and
needs no torch. No name is that of a submodule: `agentrl.train` is always the module, and what it
does is `agentrl.run_training(agentrl.load_run("quickstart"))`.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrl.agents.scene import Scene
    from agentrl.algorithms import algorithm
    from agentrl.algorithms.base import Algorithm, Part, part
    from agentrl.config import Run, build_run, load_run
    from agentrl.env import Reply, TextEnv, make, register
    from agentrl.errors import (
        AgentRLError,
        ConfigError,
        DataError,
        EnvError,
        PolicyError,
        ToolError,
    )
    from agentrl.evaluate import Evaluation
    from agentrl.functions import tool
    from agentrl.protocols import Policy
    from agentrl.rollout import Rollout
    from agentrl.session import Session
    from agentrl.table import Table, View
    from agentrl.toolenv import ToolEnv
    from agentrl.train import run_training
    from agentrl.types import (
        Completion,
        Episode,
        Group,
        Message,
        Parse,
        Status,
        Task,
        ToolCall,
        Trajectory,
        Turn,
    )

    __version__: str

__all__ = [
    "AgentRLError",
    "Algorithm",
    "Completion",
    "ConfigError",
    "DataError",
    "EnvError",
    "Episode",
    "Evaluation",
    "Group",
    "Message",
    "Parse",
    "Part",
    "Policy",
    "PolicyError",
    "Reply",
    "Rollout",
    "Run",
    "Scene",
    "Session",
    "Status",
    "Table",
    "Task",
    "TextEnv",
    "ToolCall",
    "ToolEnv",
    "ToolError",
    "Trajectory",
    "Turn",
    "View",
    "algorithm",
    "build_run",
    "load_run",
    "make",
    "part",
    "register",
    "run_training",
    "tool",
]

_HOMES = {
    "agents.scene": "Scene",
    "algorithms": "algorithm",
    "algorithms.base": "Algorithm Part part",
    "config": "Run build_run load_run",
    "env": "Reply TextEnv make register",
    "errors": "AgentRLError ConfigError DataError EnvError PolicyError ToolError",
    "evaluate": "Evaluation",
    "functions": "tool",
    "protocols": "Policy",
    "rollout": "Rollout",
    "session": "Session",
    "table": "Table View",
    "toolenv": "ToolEnv",
    "train": "run_training",
    "types": "Completion Episode Group Message Parse Status Task ToolCall Trajectory Turn",
}
_HOME = {name: f"agentrl.{home}" for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """A public name, imported from its module and kept."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("agentrl")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'agentrl' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


if "gymnasium" in sys.modules:  # whoever imported it first may call gymnasium.make next
    importlib.import_module("agentrl.envs")
