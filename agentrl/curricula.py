"""Curricula: samplers that change which tasks there are to choose from, by grade or by proposal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import pstdev
from typing import Any, ClassVar

from agentrl.env import TextEnv, make
from agentrl.errors import DataError
from agentrl.protocols import Choice, Score
from agentrl.samplers import Shuffled
from agentrl.trackers import own, tally
from agentrl.types import Group, Task


def difficulty(task: Task, key: str, symbol: str | None = None) -> float:
    """A task's number under `key` of its data, or the length of what is there.

    With `symbol`: how often it comes in it, for example the blanks of a puzzle's text.
    Raises: DataError.
    """
    if key not in task.data:
        raise DataError(f"the task has no {key!r}: it holds {', '.join(map(str, task.data))}")
    found = task.data[key]
    if symbol is not None:
        return float(found.count(symbol))
    return float(found) if isinstance(found, (int, float)) else float(len(found))


class DifficultyCurriculum(Shuffled):
    """The easiest share of the pool; it grows while the policy succeeds there.

    Formula: the easiest {start} by {key}, {grow} more after every round with success >= {target}
    """

    notes = ("difficulty",)

    def __init__(
        self,
        pool: Sequence[Task],
        seed: int,
        *,
        key: str = "difficulty",
        symbol: str | None = None,
        start: float = 0.25,
        grow: float = 0.05,
        target: float = 0.6,
    ) -> None:
        super().__init__(pool, seed)
        self.grades = {task.id: difficulty(task, key, symbol) for task in pool}
        self.order = sorted({t.id: t for t in pool}.values(), key=lambda t: self.grades[t.id])
        self.share, self.grow, self.target = start, grow, target

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """`count` of the open tasks, each equally likely; more are open where those are fewer."""
        reach = max(math.ceil(self.share * len(self.order)), min(count, len(self.order)))
        picked = self.draws().choice(reach, min(count, reach), replace=False)
        tasks = [self.order[int(place)] for place in picked]
        return [Choice(task, attempts, {"difficulty": self.grades[task.id]}) for task in tasks]

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Open more tasks after a good round."""
        right, total = map(sum, zip(*(tally(group) for group in groups), strict=True))
        if total and right / total >= self.target:
            self.share = min(1.0, self.share + self.grow)

    def state_dict(self) -> dict[str, Any]:
        """The position and the share that is open."""
        return {**super().state_dict(), "share": self.share}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self.share = float(state["share"])


def diversity(group: Group) -> float:
    """What a proposal earns: the population std of its attempts' rewards."""
    rewards = [episode.main.reward for episode in own(group)]
    return pstdev(rewards) if rewards else 0.0


def checkable(env: TextEnv, task: Task) -> bool:
    """Whether the environment can begin a task and judge an empty answer to it."""
    try:
        env.reset(options={"task": task})
        return math.isfinite(env.step("")[1])
    except Exception:  # whatever breaks on a proposal is a reason to refuse it
        return False


class Proposing(Shuffled):
    """New tasks from the environment, the most diverse earlier ones, and the pool's own.

    A proposal is played once; what its attempts' rewards spread is what it earns, and while that
    is above 0 it waits to be played again. Only tasks of the training split are accepted.

    Formula: {fresh} of a step is new, {again} old proposals by diversity (of {limit} at most)

    Args:
        fresh: share of a step that is new.
        again: share of a step that earlier proposals may take.
        limit: how many proposals wait.
        arguments: the environment's, as in the run's `env` section.
    """

    notes: ClassVar[tuple[str, ...]] = ("proposed",)

    def __init__(
        self,
        pool: Sequence[Task],
        seed: int,
        *,
        fresh: float = 0.25,
        again: float = 0.25,
        limit: int = 256,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(pool, seed)
        self.env = make(pool[0].env, **(arguments or {}))
        self.fresh, self.again, self.limit = fresh, again, limit
        self.known = {task.id for task in pool}
        self.proposals: dict[str, Task] = {}
        self.earned: dict[str, float] = {}

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """`count` tasks; the note `proposed` tells new and old proposals from the pool's."""
        ranked = sorted(self.earned, key=lambda name: -self.earned[name])
        old = [self.proposals[name] for name in ranked[: round(self.again * count)]]
        chosen = [*self.propose(round(self.fresh * count)), *old][:count]
        own_tasks = self.distinct(count - len(chosen))
        return [Choice(task, attempts, {"proposed": 1.0}) for task in chosen] + [
            Choice(task, attempts, {"proposed": 0.0}) for task in own_tasks
        ]

    def propose(self, count: int) -> list[Task]:
        """At most `count` new tasks that were accepted."""
        rng = self.draws()
        accepted: list[Task] = []
        for _ in range(8 * count):
            task = Task(env=self.pool[0].env, data=self.env.new_task(rng))
            fits = task.split == "train" and task.id not in self.known
            if len(accepted) < count and fits and checkable(self.env, task):
                self.known.add(task.id)
                accepted.append(task)
        self.proposals |= {task.id: task for task in accepted}
        return accepted

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Pay the proposals; forget those that earn nothing, and the least ones beyond `limit`."""
        for group in groups:
            if group.task.id in self.proposals:
                self.earned[group.task.id] = diversity(group)
        ranked = sorted(self.earned, key=lambda name: -self.earned[name])[: self.limit]
        self.earned = {name: self.earned[name] for name in ranked if self.earned[name] > 0}
        self.proposals = {name: self.proposals[name] for name in self.earned}

    def state_dict(self) -> dict[str, Any]:
        """The position, what was ever proposed, and what waits with its reward."""
        waiting = {name: dict(task.data) for name, task in self.proposals.items()}
        memory = {"known": sorted(self.known), "waiting": waiting, "earned": dict(self.earned)}
        return {**super().state_dict(), **memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self.known, self.earned = set(state["known"]), dict(state["earned"])
        data = state["waiting"].items()
        self.proposals = {name: Task(env=self.pool[0].env, data=one) for name, one in data}
