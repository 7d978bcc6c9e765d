"""Play one episode, one group, one step's groups.

Concurrency is bounded, randomness follows from seeds, and failures are data.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentrl.direction import PLAIN, DirectedPlayer, DirectedStage, Direction, trained_plainly
from agentrl.errors import AgentRLError, ConfigError, EnvError, PolicyError, ToolError
from agentrl.protocols import Agent, Chat, Choice, Player, Policy, Stage, Strategy
from agentrl.stage import EnvPool
from agentrl.types import (
    Completion,
    Cost,
    Episode,
    Group,
    Message,
    Sampling,
    Source,
    Span,
    Status,
    Task,
    Trajectory,
    Turn,
)

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

    def again(self, place: int) -> SeatedPolicy:
        """The same policy in another role: its draws do not depend on how the roles take turns."""
        return SeatedPolicy(self.policy, self.temperature, derive_seed(self.seed, place))

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """Sample the next completion of this episode."""
        seed = derive_seed(self.seed, self.policy.name, self.calls)
        self.calls += 1
        sampling = Sampling(temperature=self.temperature, max_tokens=max_tokens, seed=seed)
        return await self.policy.complete(context, sampling)


def seated(
    policies: Mapping[str, Policy], temperature: float, own: Mapping[str, float] | None = None
) -> Cast:
    """Cast each policy in the role it is named for; some sample at a temperature of their `own`."""
    told = dict.fromkeys(policies, temperature) | dict(own or {})

    @contextmanager
    def cast(stage: Stage, seed: int) -> Iterator[Mapping[str, Player]]:
        with ExitStack() as seats:
            for policy in policies.values():
                seats.enter_context(policy.seat())
            yield {role: SeatedPolicy(p, told[role], seed) for role, p in policies.items()}

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
    deadline_seconds: float = 120.0
    """For one call of an environment, its retries included; a later answer costs the episode."""
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
        self,
        choices: Sequence[Choice],
        cast: Cast,
        *,
        seed: object,
        strategy: Strategy,
        step: int = 0,
    ) -> list[Group]:
        """Play every choice as `strategy` says. The same `seed` draws the same episodes."""
        gate = asyncio.Semaphore(self.concurrency)

        async def group(choice: Choice) -> Group:
            play = Playing(self, choice.task, cast, gate, seed, step)
            made = await strategy(choice.task, choice.attempts, play)
            notes = {**choice.notes, **made.notes}
            return replace(made, step=step, notes=notes, cost=play.cost)

        return list(await asyncio.gather(*(group(choice) for choice in choices)))

    async def episode(
        self, task: Task, attempt: int, cast: Cast, *, seed: int, direction: Direction = PLAIN
    ) -> Episode:
        """Play once. What environments, tools and policies break becomes the episode's status."""
        try:
            async with self.pool.stage() as stage:
                with cast(stage, seed) as players:
                    episode = await self._directed(task, stage, players, direction)
        except (EnvError, PolicyError) as error:
            failed = Trajectory(status=failure_status(error), error=str(error))
            episode = Episode(task=task, trajectories=(failed,))
        return replace(
            episode,
            attempt=attempt,
            hint=direction.level,
            off_policy=episode.off_policy or direction.plain_training,
        )

    async def _directed(
        self, task: Task, stage: Stage, players: Mapping[str, Player], direction: Direction
    ) -> Episode:
        if direction is PLAIN:
            return await self.agent(task, stage, players)
        directed = DirectedStage(stage, direction)
        player = DirectedPlayer(players["main"], direction, stage)
        episode = await self.agent(task, directed, {**players, "main": player})
        if direction.plain_training and directed.plain:
            return trained_plainly(
                episode, directed.plain, direction.hint, player.chat, directed.tools
            )
        return episode


class Playing:
    """What a strategy can do with one task in one step: `protocols.Play`."""

    def __init__(
        self,
        rollout: Rollout,
        task: Task,
        cast: Cast,
        gate: asyncio.Semaphore,
        seed: object,
        step: int,
    ) -> None:
        self.rollout = rollout
        self.cast = cast
        self.gate = gate
        self.seed = seed
        self.step = step
        self.cost = Cost()
        self.rng = np.random.default_rng(derive_seed(seed, task.id, "strategy"))

    async def __call__(self, task: Task, attempt: int, direction: Direction = PLAIN) -> Episode:
        """Play one attempt; each attempt number draws anew, and the same one draws the same."""
        seed = derive_seed(self.seed, task.id, attempt)
        async with self.gate:
            episode = await self.rollout.episode(
                task, attempt, self.cast, seed=seed, direction=direction
            )
        repeated = sum(len(turn.completion.ids) for turn in direction.replay)
        said = 0 if direction.script else episode.num_tokens
        sampled = max(0, said - repeated)  # a replay may have broken off
        self._count(1, sampled, episode.main.seconds)
        return episode

    async def ask(self, task: Task, method: str) -> Any:
        """What a method of the environment answers at the task's beginning. Raises: EnvError."""
        async with self.gate, self.rollout.pool.stage() as stage:
            with self.cast(stage, 0) as players:
                await stage.reset(task, players["main"].chat.call_format)
            return await stage.ask(method)

    async def write(self, messages: Sequence[Message], attempt: int, max_tokens: int) -> Turn:
        """One completion of the policy outside of any environment. Raises: PolicyError."""
        seed = derive_seed(self.seed, "write", attempt, messages[-1].content)
        async with self.gate, self.rollout.pool.stage() as stage:
            with self.cast(stage, seed) as players:
                spans = players["main"].chat.opening(messages).spans
                completion = await players["main"].complete(spans, max_tokens)
        self._count(0, len(completion.ids), 0.0)
        return Turn(spans=spans, completion=completion)

    async def render(self, text: str) -> tuple[Span, ...]:
        """A text as the policy's tokens, without an end: what a head goes on with."""
        async with self.gate, self.rollout.pool.stage() as stage:
            with self.cast(stage, 0) as players:
                ids = players["main"].chat.encode(text)[:-1]
        return (Span(ids=ids, source=Source.TEMPLATE),) if len(ids) else ()

    def _count(self, *more: float) -> None:
        self.cost = Cost(*(had + new for had, new in zip(self.cost, more, strict=True)))  # type: ignore[arg-type]


def failure_status(error: AgentRLError) -> Status:
    """The status that an error leaves behind."""
    if isinstance(error, ToolError):
        return Status.TOOL_FAILED
    return Status.ENV_FAILED if isinstance(error, EnvError) else Status.POLICY_FAILED
