"""A run without weights: what evaluation needs of a `Session` where a server or a script plays."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from agentrl.agents.chat import Limits
from agentrl.backends.http.textchat import TextChat
from agentrl.direction import first_messages
from agentrl.errors import EnvError
from agentrl.protocols import Chat, Choice, Policy, Strategy
from agentrl.rollout import Cast, Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Group, Span, Task

if TYPE_CHECKING:
    from agentrl.backends.http.policy import HTTPPolicy
    from agentrl.config import Run

UNLIMITED = Limits(
    turn_tokens=2**40, trajectory_tokens=2**40, context_tokens=2**40, episode_seconds=math.inf
)


class Scripted:
    """The live objects of a run that scripts play: no model, no token limits."""

    def __init__(self, run: Run) -> None:
        plan = run.rollout()
        self.chat: Chat = TextChat()
        self.env = run.make_env()
        self.sources = run.sources(self.env)
        self.tested: Strategy = independent
        self.policies: Mapping[str, Policy] = {}
        self.pool = EnvPool(run.make_env, plan.deadline_seconds)
        agent = run.agent(UNLIMITED)
        self.rollout = Rollout(pool=self.pool, agent=agent, concurrency=plan.concurrency)

    def play(
        self,
        choices: Sequence[Choice],
        cast: Cast,
        seed: object,
        *,
        strategy: Strategy = independent,
    ) -> list[Group]:
        """Play and wait."""
        groups: list[Group] = []

        async def collect() -> None:
            groups.extend(await self._groups(choices, cast, seed, strategy))

        asyncio.run(collect())
        return groups

    async def _groups(
        self, choices: Sequence[Choice], cast: Cast, seed: object, strategy: Strategy
    ) -> list[Group]:
        return await self.rollout.groups(choices, cast, seed=seed, strategy=strategy)

    def cast(self, temperature: float) -> Cast:
        """Every policy in the role that it is named for."""
        return seated(self.policies, temperature)

    def close(self) -> None:
        """End the environments' threads."""
        self.pool.close()
        for env in self.sources.values():
            env.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


class Remote(Scripted):
    """The live objects of an evaluation over HTTP.

    `limits.episode_seconds` does not hold here: how long a server, its rate limit or its restart
    lets an episode wait says nothing of the model. Every request and call has a deadline still.
    """

    def __init__(self, run: Run, policy: HTTPPolicy) -> None:
        super().__init__(run)
        self.policy = policy
        # it speaks for every policy that the run has: the others' weights are not here
        self.policies = dict.fromkeys(("main", *run.policies), policy)
        self.chat = policy.chat
        limits = replace(run.limits(), episode_seconds=math.inf)
        self.rollout = Rollout(
            pool=self.pool, agent=run.agent(limits), concurrency=policy.endpoint.concurrency
        )

    async def _groups(
        self, choices: Sequence[Choice], cast: Cast, seed: object, strategy: Strategy
    ) -> list[Group]:
        """Ask the server once, then play.

        Raises:
            ConfigError: the server is not there, or refuses what every request will ask.
        """
        async with self.policy:
            await self.policy.check(await self._opening(choices[0].task))
            return await super()._groups(choices, cast, seed, strategy)

    async def _opening(self, task: Task) -> tuple[Span, ...]:
        """A context like those that will be asked about."""
        try:
            async with self.pool.stage() as stage:
                text, info = await stage.reset(task, self.chat.call_format)
        except EnvError:  # the episodes will tell
            text, info = "hello", {}
        return self.chat.opening(first_messages(text, info), info.get("tools", ())).spans
