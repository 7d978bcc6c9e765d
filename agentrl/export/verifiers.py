"""Our environments for verifiers: a taskset of their tasks, and an Env that plays them.

    from agentrl.export import verifiers
    env = verifiers.environment("agentrl/Sudoku-v0", count=64, size=4)
    async with env.serving():
        for task in env.taskset:
            episode = await env.run_episode(task, context)        # its trace holds the rewards

or by verifiers' own commands, to which our taskset is then known:

    python -m agentrl.export.verifiers vf-eval agentrl_text --env.taskset.environment ID ...

The environment is the agent's user: each of its observations is a user turn, each reply one text.
Named parts become weighted rewards. Environments with tools tell of them in their system prompt.
Importing this module makes the plugin id `agentrl_text` known in this process.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from agentrl.env import TextEnv, env_class, make
from agentrl.errors import MissingDependencyError
from agentrl.toolenv import ToolEnv
from agentrl.types import Task

try:
    import httpx
    import verifiers.v1 as vf
    from verifiers.v1.dialects.chat import message_to_wire
except ImportError as error:  # whoever imports this module wants to export there
    raise MissingDependencyError("verifiers", 'pip install "agentrl[verifiers]"') from error

__all__ = ["Speak", "TextEnvironment", "TextTaskset"]

PLUGIN = "agentrl_text"
"""The id under which verifiers finds this module's taskset, Env and harness."""


class TextConfig(vf.TasksetConfig):  # type: ignore[misc]
    """Which tasks of which environment."""

    environment: str = "agentrl/Echo-v0"
    """A registered id."""
    arguments: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Of the environment."""
    split: str = "train"
    count: int = 64
    seed: int = 0

    def made(self) -> TextEnv:
        """The environment. Raises: ConfigError."""
        told = {"listing": "prompt"} if issubclass(env_class(self.environment), ToolEnv) else {}
        return make(self.environment, **{**told, **self.arguments})


class TextData(vf.TaskData):  # type: ignore[misc]
    """A task: its first observation is the prompt."""

    record: dict[str, Any]
    """The environment's own data."""
    seed: int = 0


class TextTask(vf.Task[TextData, vf.State, vf.TaskConfig]):  # type: ignore[misc]
    """A task whose rewards the environment gives."""


class TextTaskset(vf.Taskset[TextTask, TextConfig]):  # type: ignore[misc]
    """The tasks of a split."""

    def load(self) -> Iterator[TextTask]:
        """Begin each task once, for its prompt."""
        env = self.config.made()
        for task in env.tasks(self.config.split, self.config.count, self.config.seed):
            text, info = env.reset(seed=task.seed, options={"task": task})
            data = TextData(
                name=task.id,
                prompt=text,
                system_prompt=info.get("system") or None,
                record=dict(task.data),
                seed=task.seed,
            )
            yield TextTask(data, self.config.task)
        env.close()


class TextEnvironmentConfig(vf.EnvConfig):  # type: ignore[misc]
    """The one agent; its program is a plain conversation and needs no box."""

    player: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())


class TextEnvironment(vf.Env[TextEnvironmentConfig]):  # type: ignore[misc]
    """Plays an environment of ours as the user of verifiers' agent."""

    async def run(self, task: Any, agents: Any) -> None:
        """One episode: every reply of the agent is a step."""
        env = await asyncio.to_thread(self.taskset.config.made)
        ours = Task(env=env.id, data=task.data.record, seed=task.data.seed)
        parts: Counter[str] = Counter()
        info: Mapping[str, Any] = {}
        await asyncio.to_thread(env.reset, seed=ours.seed, options={"task": ours})
        try:
            async with agents.player.interaction(task) as interaction:
                segment, over = await interaction.turn(), False
                while not (segment.terminated or over):
                    said = reply(segment)
                    text, _, ended, cut, info = await asyncio.to_thread(env.step, said)
                    parts.update(info["parts"])
                    over = ended or cut
                    if not over:
                        segment = await interaction.turn(text)
            record(interaction.trace, env, parts, bool(info.get("success")))
        finally:
            env.close()


class SpeakConfig(vf.HarnessConfig):  # type: ignore[misc]
    """Nothing to set."""


class Speak(vf.Harness[SpeakConfig]):  # type: ignore[misc]
    """One completion for each turn, asked for from this process: no tools, no program."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: Any,
        trace: Any,
        runtime: Any,
        endpoint: str,
        secret: str,
        mcp_urls: Mapping[str, str],
        data: Any,
    ) -> Any:
        """Send the conversation so far; verifiers records the answer on its way."""
        system, prompt = self.resolve_prompt(data)
        said = [{"role": "system", "content": system}] if system else []
        if isinstance(prompt, str):
            said.append({"role": "user", "content": prompt})
        else:
            said += [message_to_wire(message) for message in prompt or []]
        async with httpx.AsyncClient(timeout=None, verify=trusted()) as client:
            answer = await client.post(
                f"{endpoint}/chat/completions",
                json={"model": ctx.model, "messages": said},
                headers={"Authorization": f"Bearer {secret}"},
            )
        failed = not answer.is_success
        return vf.ProgramResult(int(failed), "", answer.text if failed else "")


@cache
def trusted() -> ssl.SSLContext:
    """Whom clients trust: read once, which takes longer than a turn."""
    return ssl.create_default_context()


def environment(
    id: str,
    *,
    split: str = "train",
    count: int = 64,
    seed: int = 0,
    agent: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """A verifiers Env that plays an environment of ours.

    Args:
        id: of a registered environment.
        split: train or test.
        count: tasks at most.
        seed: of drawing them.
        agent: its settings, verifiers' `AgentConfig` by name; it runs on this machine.
        arguments: of the environment.

    Raises:
        ConfigError: an unknown id or argument.
    """
    taskset = {
        "id": PLUGIN,
        "environment": id,
        "arguments": arguments,
        "split": split,
        "count": count,
        "seed": seed,
    }
    TextConfig(**taskset).made().close()  # what cannot be made is said here
    settings = {"runtime": {"type": "subprocess"}, **(agent or {})}
    return vf.load_environment(vf.resolve_env_config({"taskset": taskset, "player": settings}))


def reply(segment: Any) -> str:
    """What the agent said last, unchanged; verifiers' own `last_reply` is stripped."""
    texts = [message.content for message in segment.messages if message.role == "assistant"]
    return (texts[-1] if texts else None) or ""


def record(trace: Any, env: TextEnv, parts: Mapping[str, float], success: bool) -> None:
    """Write an episode's named parts into a trace, weighted as the environment weighs them."""
    weights = env.reward_weights
    for name, value in parts.items():
        trace.record_reward(name, value, 1.0 if weights is None else weights.get(name, 0.0))
    trace.record_metric("success", float(success))
    trace.record_metric("turns", float(env.turn))


sys.modules.setdefault(PLUGIN, sys.modules[__name__])


def main() -> None:
    """Run one of verifiers' commands with our plugin known to it."""
    from importlib.metadata import entry_points

    commands = {one.name: one for one in entry_points(group="console_scripts") if "vf-" in one.name}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m agentrl.export.verifiers {{{','.join(sorted(commands))}}} ...")
    sys.argv = sys.argv[1:]
    commands[sys.argv[0]].load()()


if __name__ == "__main__":
    main()
