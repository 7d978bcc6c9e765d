"""A model behind an address in a run's environment: what evaluation needs of a `Session`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentrl.agents.chat import ChatAgent
from agentrl.direction import first_messages
from agentrl.errors import EnvError
from agentrl.protocols import Choice, Strategy
from agentrl.rollout import Cast, Rollout
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Group, Span, Task

if TYPE_CHECKING:
    from agentrl.backends.http.policy import HTTPPolicy
    from agentrl.config import Run


class Remote:
    """The live objects of an evaluation over HTTP; loads no weights.

    `limits.episode_seconds` does not hold here: how long a server, its rate limit or its restart
    lets an episode wait says nothing of the model. Every request and call has a deadline still.
    """

    def __init__(self, run: Run, policy: HTTPPolicy) -> None:
        self.policy = policy
        self.chat = policy.chat
        self.env = run.make_env()
        self.tested: Strategy = independent
        self.pool = EnvPool(run.make_env, run.rollout().deadline_seconds)
        limits = replace(run.limits(), episode_seconds=math.inf)
        self.rollout = Rollout(
            pool=self.pool, agent=ChatAgent(limits), concurrency=policy.endpoint.concurrency
        )

    def play(
        self,
        choices: Sequence[Choice],
        cast: Cast,
        seed: object,
        *,
        strategy: Strategy = independent,
    ) -> list[Group]:
        """Ask the server once, then play and wait.

        Raises:
            ConfigError: the server is not there, or refuses what every request will ask.
        """
        groups: list[Group] = []

        async def collect() -> None:
            async with self.policy:
                await self.policy.check(await self._opening(choices[0].task))
                groups.extend(
                    await self.rollout.groups(choices, cast, seed=seed, strategy=strategy)
                )

        asyncio.run(collect())
        return groups

    async def _opening(self, task: Task) -> tuple[Span, ...]:
        """A context like those that will be asked about."""
        try:
            async with self.pool.stage() as stage:
                text, info = await stage.reset(task, self.chat.call_format)
        except EnvError:  # the episodes will tell
            text, info = "hello", {}
        return self.chat.opening(first_messages(text, info), info.get("tools", ())).spans

    def close(self) -> None:
        """End the environments' threads."""
        self.pool.close()
        self.env.close()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
