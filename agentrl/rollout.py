"""Play one episode, one group, one step's groups.

Concurrency is bounded, randomness follows from seeds, and failures are data.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace

from agentrl.errors import AgentRLError, ConfigError, EnvError, PolicyError, ToolError
from agentrl.protocols import Agent, Chat, Player, Policy, Stage, Strategy
from agentrl.stage import EnvPool
from agentrl.types import Completion, Episode, Group, Sampling, Span, Status, Task, Trajectory

Cast = Callable[[Stage, int], AbstractContextManager[Mapping[str, Player]]]
"""Who plays which role in an episode, given its stage and its seed."""


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends on every part and on nothing else."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class SeatedPolicy:
    """A policy in one episode: temperature settled, draws following from the episode's seed."""

    def __init__(self, policy: Policy, temperature: float, seed: int) -> None:
        self.policy = policy
        self.temperature = temperature
        self.seed = seed
        self.calls = 0

    @property
    def chat(self) -> Chat:
        """The policy's chat format."""
        return self.policy.chat

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """Sample the next completion of this episode."""
        seed = derive_seed(self.seed, self.policy.name, self.calls)
        self.calls += 1
        sampling = Sampling(temperature=self.temperature, max_tokens=max_tokens, seed=seed)
        return await self.policy.complete(context, sampling)


def seated(policies: Mapping[str, Policy], temperature: float) -> Cast:
    """Cast each policy in the role it is named for."""

    @contextmanager
    def cast(stage: Stage, seed: int) -> Iterator[Mapping[str, Player]]:
        with ExitStack() as seats:
            for policy in policies.values():
                seats.enter_context(policy.seat())
            yield {role: SeatedPolicy(p, temperature, seed) for role, p in policies.items()}

    return cast


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much a step plays, and how."""

    tasks: int = 16
    """Groups per step."""
    attempts: int = 8
    """Episodes per group."""
    temperature: float = 1.0
    concurrency: int = 256
    """Episodes in play at once."""
    deadline_seconds: float = 30.0
    """For one call of an environment; a later answer costs the episode."""
    refills: int = 3
    """Extra rounds of tasks when an algorithm's `keep` refuses groups."""

    def __post_init__(self) -> None:
        for name in ("tasks", "attempts", "concurrency"):
            if getattr(self, name) < 1:
                raise ConfigError(f"rollout.{name} is {getattr(self, name)}: give at least 1", name)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Everything that playing needs except tasks and players."""

    pool: EnvPool
    agent: Agent
    concurrency: int = 256
    """Episodes in play at once."""

    async def groups(
        self, tasks: Sequence[Task], attempts: int, cast: Cast, *, seed: object, strategy: Strategy
    ) -> list[Group]:
        """Play `attempts` episodes of every task. The same `seed` draws the same episodes."""
        gate = asyncio.Semaphore(self.concurrency)

        async def play(task: Task, attempt: int) -> Episode:
            async with gate:
                return await self.episode(
                    task, attempt, cast, seed=derive_seed(seed, task.id, attempt)
                )

        return list(await asyncio.gather(*(strategy(task, attempts, play) for task in tasks)))

    async def episode(self, task: Task, attempt: int, cast: Cast, *, seed: int) -> Episode:
        """Play once. What environments, tools and policies break becomes the episode's status."""
        try:
            async with self.pool.stage() as stage:
                with cast(stage, seed) as players:
                    episode = await self.agent(task, stage, players)
        except (EnvError, PolicyError) as error:
            failed = Trajectory(status=failure_status(error), error=str(error))
            episode = Episode(task=task, trajectories=(failed,))
        return replace(episode, attempt=attempt)


def failure_status(error: AgentRLError) -> Status:
    """The status that an error leaves behind."""
    if isinstance(error, ToolError):
        return Status.TOOL_FAILED
    return Status.ENV_FAILED if isinstance(error, EnvError) else Status.POLICY_FAILED
