"""Samplers: which tasks a step attempts. Their memory is part of every checkpoint.

A task comes at most once in a round, for the same task would draw the same episodes again: a pool
smaller than a step gives fewer choices, and the loop asks for another round.
The memory of a sampler's tracker is saved by its part (`Part.state_dict`), beside the sampler's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentrl.algorithms.base import Part, part
from agentrl.budgets import evenly
from agentrl.errors import ConfigError, DataError
from agentrl.protocols import Choice, Score
from agentrl.trackers import BetaCounts, Moments, MovingAverage, Tracker
from agentrl.types import Group, Task


class Shuffled:
    """Every task once, in an order drawn anew for each epoch."""

    notes: ClassVar[tuple[str, ...]] = ()
    """What it writes into the notes of every choice."""

    def __init__(self, pool: Sequence[Task], seed: int) -> None:
        if not pool:
            raise DataError(
                "the task pool is empty: give the environment at least one training task"
            )
        self.pool = list(pool)
        self.seed = seed
        self.position = 0
        self.rounds = 0

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """The next `count` tasks, going round the pool as often as needed."""
        chosen = [Choice(self._at(self.position + i), attempts) for i in range(count)]
        self.position += count
        return chosen

    def distinct(self, count: int) -> list[Task]:
        """The next `count` tasks without repetition; a smaller pool gives what it has."""
        found: dict[str, Task] = {}
        while len(found) < min(count, self.size):
            task = self._at(self.position)
            found.setdefault(task.id, task)
            self.position += 1
        return list(found.values())

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Nothing to learn."""

    @property
    def size(self) -> int:
        """How many different tasks the pool holds."""
        return len({task.id for task in self.pool})

    def draws(self) -> np.random.Generator:
        """A generator of its own for every round."""
        self.rounds += 1
        return np.random.default_rng([self.seed, self.rounds])

    def _at(self, position: int) -> Task:
        epoch, place = divmod(position, len(self.pool))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pool))
        return self.pool[int(order[place])]

    def state_dict(self) -> dict[str, Any]:
        """The position in the endless sequence, and how many rounds drew."""
        return {"position": self.position, "rounds": self.rounds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.position, self.rounds = int(state["position"]), int(state["rounds"])


class Tracked(Shuffled):
    """Tasks in shuffled order; the notes hold the success rate that a tracker believes in."""

    notes: ClassVar[tuple[str, ...]] = ("value",)

    def __init__(
        self, pool: Sequence[Task], seed: int, *, tracker: Part = part(MovingAverage)
    ) -> None:
        super().__init__(pool, seed)
        self.tracker: Tracker = tracker.live or tracker.started().live

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """The next `count` tasks."""
        return [self.choice(task, attempts) for task in self.distinct(count)]

    def choice(self, task: Task, attempts: int) -> Choice:
        """A choice whose note `value` is the tracker's belief before the attempts."""
        return Choice(task, attempts, {"value": self.tracker.predict(task)})

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """The tracker learns."""
        self.tracker.observe(groups, score)


class Budgeted(Tracked):
    """Tasks in shuffled order that share `count * attempts` attempts as a rule says.

    A task without history gets `attempts`, and the rule shares the rest between the others.

    Formula: {low} <= attempts <= {high} by {allocate}
    """

    def __init__(
        self,
        pool: Sequence[Task],
        seed: int,
        *,
        low: int = 2,
        high: int = 128,
        allocate: Part = part(evenly),
        tracker: Part = part(MovingAverage),
    ) -> None:
        super().__init__(pool, seed, tracker=tracker)
        if not 0 < low <= high:
            raise ConfigError(f"low is {low} and high {high}: give 1 <= low <= high", "low")
        self.low, self.high = low, high
        self.allocate = allocate

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """The next `count` tasks and each one's share. Raises: ConfigError."""
        if attempts < self.low:
            raise ConfigError(
                f"rollout.attempts is {attempts}, but the sampler gives every task at least "
                f"low = {self.low}: raise the first or lower the second",
                "rollout.attempts",
            )
        tasks = self.distinct(count)
        shares = {task.id: min(attempts, self.high) for task in tasks}
        seen = [task for task in tasks if self.tracker.seen(task)]
        if seen:
            total = attempts * len(seen)
            found = self.allocate(self.tracker, seen, total, self.low, self.high)
            shares |= {task.id: int(n) for task, n in zip(seen, found, strict=True)}
        return [self.choice(task, shares[task.id]) for task in tasks]


def priorities(values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Weights of tasks: most where success is most uncertain, none below `floor`."""
    values = values.clip(0, 1)
    return np.sqrt(values * (1 - values)) + floor


class Prioritised(Tracked):
    """Tasks drawn without repetition, more often the less certain their outcome is.

    Formula: weight sqrt(v (1-v)) + {floor}
    """

    def __init__(
        self,
        pool: Sequence[Task],
        seed: int,
        *,
        floor: float = 0.05,
        tracker: Part = part(BetaCounts),
    ) -> None:
        super().__init__(pool, seed, tracker=tracker)
        if not floor > 0:
            raise ConfigError(f"floor is {floor}: give a weight above 0", "floor")
        self.floor = floor

    def distinct(self, count: int) -> list[Task]:
        """`count` tasks by their weights."""
        tasks = list({task.id: task for task in self.pool}.values())
        weights = priorities(np.array([self.tracker.predict(task) for task in tasks]), self.floor)
        chosen = min(count, len(tasks))
        picked = self.draws().choice(len(tasks), chosen, replace=False, p=weights / weights.sum())
        return [tasks[int(place)] for place in picked]


class ValueBased(Tracked):
    """Tasks in shuffled order; where groups taught nothing, valuable tasks of the step again.

    A call for fewer tasks than the largest one so far fills up a step. It draws by value among the
    tasks that the step has played, and takes new ones where no more of them have any. The note
    `repeat` says how often the step had played a task before.

    Formula: refill by V = ({max_reward} - mean) std, ddof {ddof}
    """

    notes: ClassVar[tuple[str, ...]] = ("value", "repeat")
    tracker: Moments

    def __init__(
        self,
        pool: Sequence[Task],
        seed: int,
        *,
        max_reward: float = 1.0,
        ddof: int = 0,
        tracker: Part = part(Moments, decay=0.0),
    ) -> None:
        super().__init__(pool, seed, tracker=tracker)
        self.tasks = {task.id: task for task in pool}
        self.max_reward, self.ddof = max_reward, ddof
        self.largest = 0
        self.played: dict[str, int] = {}

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """`count` tasks, those of the step that are worth it first if it is a refill."""
        self.largest = max(self.largest, count)
        refill = count < self.largest
        self.played = self.played if refill else {}
        tasks = {task.id: task for task in (self.valuable(count) if refill else [])}
        while len(tasks) < min(count, len(self.tasks)):
            task = self._at(self.position)
            tasks.setdefault(task.id, task)
            self.position += 1
        return [self.choice(task, attempts) for task in tasks.values()]

    def choice(self, task: Task, attempts: int) -> Choice:
        """A choice with its notes."""
        notes = {"value": self.tracker.predict(task), "repeat": self.played.get(task.id, 0)}
        return Choice(task, attempts, notes)

    def valuable(self, count: int) -> list[Task]:
        """At most `count` of the step's tasks, drawn by value without repetition."""
        tasks = [self.tasks[name] for name in self.played]
        values = np.array([self.worth(task) for task in tasks])
        chosen = min(count, int((values > 0).sum()))
        if not chosen:
            return []
        chances = values / values.sum()
        picked = self.draws().choice(len(tasks), chosen, replace=False, p=chances)
        return [tasks[int(place)] for place in picked]

    def worth(self, task: Task) -> float:
        """Its value at the last visit, 0 where the attempts were all the same."""
        _, std = self.tracker.spread(task, self.ddof)
        room = max(0.0, self.max_reward - self.tracker.predict(task))
        return room * std if std > 1e-12 else 0.0

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Count what the step has played."""
        super().observe(groups, score)
        for group in groups:
            self.played[group.task.id] = self.played.get(group.task.id, 0) + 1

    def state_dict(self) -> dict[str, Any]:
        """The position, and what the step has played."""
        step = {"largest": self.largest, "played": dict(self.played)}
        return {**super().state_dict(), **step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self.largest = state["largest"]
        self.played = dict(state["played"])
