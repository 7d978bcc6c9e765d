"""What a `Run` becomes: environments, model, policy and rollout, put together for all verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from agentrl.agents.chat import Limits
from agentrl.backends.scripted import expert
from agentrl.config import Run, Schedule
from agentrl.ensemble import Ensemble
from agentrl.errors import ConfigError
from agentrl.evaluate import Evaluation, evaluate
from agentrl.members import MAIN
from agentrl.protocols import Chat, Choice, Policy, Strategy, TrainedPolicy
from agentrl.rollout import Cast, Plan, Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Group, Task

EVAL_SEED = 2**31
"""Evaluations draw from seeds of their own, the same before and after training."""


class Session:
    """The live objects of one run. `model_path` overrides where the weights come from."""

    def __init__(self, run: Run, model_path: str | None = None) -> None:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        if run.threads:
            torch.set_num_threads(run.threads)
        self.run = run
        self.plan: Plan = run.rollout()
        self.schedule: Schedule = run.train()
        self.env = run.make_env()
        self.sources = run.sources(self.env)
        with torch.random.fork_rng():
            torch.manual_seed(run.seed)  # new adapters are drawn
            self.model, self.tokenizer = self._load(model_path)
        self.chat: Chat = run.chat(self.tokenizer, model_ends(self.model))
        self.policy: TrainedPolicy = run.engine(
            self.model, self.tokenizer, self.chat, self.plan.concurrency
        )
        with torch.random.fork_rng():
            torch.manual_seed(run.seed + 1)  # others' new adapters are others
            self.ensemble = Ensemble(
                {} if run.follows else run.policies,
                model=self.model,
                chat=self.chat,
                concurrency=self.plan.concurrency,
                from_nothing=self._from_nothing,
                checkpoint=model_path,
            )
        self.pool = EnvPool(run.make_env, self.plan.deadline_seconds)
        limits: Limits = run.limits()
        # a model's positions may end before the run's limit does
        fits = min(limits.context_tokens, self.policy.window)
        limits = replace(limits, context_tokens=fits)
        self.rollout = Rollout(
            pool=self.pool, agent=run.agent(limits), concurrency=self.plan.concurrency
        )
        self.tested: Strategy = independent
        """How evaluations play: methods that train a prompt are tested with it."""

    @property
    def policies(self) -> Mapping[str, Policy]:
        """Who may play, by name."""
        return {"main": self.policy, **self.ensemble.policies}

    def cast(self, temperature: float) -> Cast:
        """Everybody in the role they are named for, at a temperature or at their own.

        Raises:
            ConfigError: this is the run of a process that trains one of them and plays nothing.
        """
        if self.run.follows:
            raise ConfigError(
                f"this run trains {self.run.only!r} alone and plays nothing: take the folder "
                f"{MAIN!r} beside it, which has all policies",
                "only",
            )
        told = {name: member.temperature for name, member in self.run.policies.items()}
        own = {name: value for name, value in told.items() if value is not None}
        return seated(self.policies, temperature, own)

    @cached_property
    def train_tasks(self) -> list[Task]:
        """The pool of training tasks."""
        return self.sources["train"].tasks("train", self.schedule.train_tasks, self.run.seed)

    @cached_property
    def test_tasks(self) -> list[Task]:
        """Held-out tasks, the same for every seed."""
        return self.sources["test"].tasks("test", self.schedule.eval_tasks, 0)

    def _load(self, model_path: str | None) -> tuple[Any, Any]:
        from agentrl.backends import load

        if model_path is not None:
            options = self.run.model.arguments if self.run.model_name != "tiny" else {}
            return load.pretrained(model_path, **options)
        if self.run.model_name == "tiny":
            return self.run.model(self.env, self.run.seed)  # type: ignore[no-any-return]
        return self.run.model(self.run.model_name)  # type: ignore[no-any-return]

    def _from_nothing(self, **changes: Any) -> tuple[Any, Any]:
        return self.run.model.but(**changes)(self.env, self.run.seed)  # type: ignore[no-any-return]

    def play(
        self,
        choices: Sequence[Choice],
        cast: Cast,
        seed: object,
        *,
        strategy: Strategy = independent,
        step: int = 0,
    ) -> list[Group]:
        """Play and wait. The groups leave through a list: asyncio prints a coroutine's result."""
        groups: list[Group] = []

        async def collect() -> None:
            async with self.ensemble:
                played = self.rollout.groups(choices, cast, seed=seed, strategy=strategy, step=step)
                groups.extend(await played)

        asyncio.run(collect())
        return groups

    def sample(
        self, choices: Sequence[Choice], step: int, round: int = 0, strategy: Strategy = independent
    ) -> list[Group]:
        """One round of a step's groups with the policy at the training temperature."""
        cast = self.cast(self.plan.temperature)
        seed = f"{self.run.seed}/{step}/{round}"
        return self.play(choices, cast, seed, strategy=strategy, step=step)

    def demonstrations(self, episodes: int) -> list[Group]:
        """Expert episodes, one per training task, going round the pool as often as needed."""
        groups: list[Group] = []
        rounds = 0
        while len(groups) < episodes:
            tasks = self.train_tasks[: episodes - len(groups)]
            choices = [Choice(task, 1) for task in tasks]
            groups += self.play(choices, expert(self.chat), f"{self.run.seed}/expert/{rounds}")
            rounds += 1
        return groups

    def evaluate(
        self, tasks: Sequence[Task], *, temperature: float, attempts: int = 1
    ) -> Evaluation:
        """Success of the current policy on some tasks; temperature 0 is greedy."""
        cast = self.cast(temperature)

        def play(tasks: Sequence[Task], attempts: int) -> list[Group]:
            choices = [Choice(task, attempts) for task in tasks]
            seed = EVAL_SEED + self.run.seed
            return self.play(choices, cast, seed, strategy=self.tested)

        return evaluate(play, tasks, attempts=attempts, kind=self.env.kind)

    def token_text(self, token: int) -> str:
        """One token as text."""
        return str(self.tokenizer.decode([token], skip_special_tokens=False))

    def close(self) -> None:
        """End the environments' threads and the engine."""
        self.policy.close()
        self.ensemble.close()
        self.pool.close()
        for env in self.sources.values():
            env.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def model_ends(model: Any) -> list[int]:
    """The tokens that a model's own generation settings end a text with."""
    told = getattr(model.generation_config, "eos_token_id", None)
    return [] if told is None else [told] if isinstance(told, int) else list(told)
