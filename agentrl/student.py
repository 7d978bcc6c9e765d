"""A trained policy: its learner, and the rows of a step that are its own.

    the step's credited table -> its rows -> drop groups without signal -> annotate -> weigh
    -> optimiser steps -> publish

Credit has compared all agents, whoever trains them; from there on a policy sees nothing but the
rows that it sampled, or that the policy it learns from did: no gradient crosses policies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from agentrl.algorithms.base import Algorithm
from agentrl.learner import Learner, Metrics
from agentrl.members import MAIN
from agentrl.protocols import TrainedPolicy
from agentrl.table import Table
from agentrl.types import Group


class Lesson(NamedTuple):
    """What a step made of a policy."""

    metrics: Metrics
    rows: torch.Tensor
    """Which of the whole table's rows `[M]` (bool) it is trained on."""
    weight: torch.Tensor
    """`[M]` of the whole table's rows; 0 where a row taught it nothing."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """One trained policy of a run."""

    name: str
    policy: TrainedPolicy
    learner: Learner
    learns_from: str
    """The policy whose rows it is trained on; mostly itself."""
    others: frozenset[str] = frozenset()
    """The run's other policies: what none of them sampled (a script's turns) is `main`'s."""
    lags: bool = False
    """Whether its rows may be older weights'; their ratios are then to those."""

    @property
    def algorithm(self) -> Algorithm:
        """Whose credit it takes, under which weights, loss and penalty."""
        return self.learner.algorithm

    @property
    def own(self) -> bool:
        """Whether it learns from what it sampled itself."""
        return self.learns_from == self.name

    def credited(self, table: Table, groups: Sequence[Group]) -> Table:
        """A whole step's table with its algorithm's credit."""
        if self.algorithm.advantage.needs:
            table = self.learner.annotate(self._corrected(table))
        credited: Table = self.algorithm.credit(table, groups)
        return credited

    def rows(self, table: Table) -> torch.Tensor:
        """Which rows `[M]` (bool) it is trained on."""
        codes = [
            code
            for code, name in enumerate(table.names.get("policy", ()))
            if name == self.learns_from or (self.learns_from == MAIN and name not in self.others)
        ]
        return torch.isin(table.policy, torch.tensor(codes, dtype=torch.int64))

    def learn(self, table: Table) -> Lesson:
        """Update on its rows of a credited table, and publish."""
        started = time.perf_counter()
        own, weight = self.rows(table), torch.zeros(len(table))
        part = self._corrected(some_rows(table, own))
        signal = has_signal(part, self.algorithm)
        live = part if bool(signal.all()) else part.select_groups(signal)
        metrics = {"train/live_groups": live.num_groups / max(1, table.num_groups)}
        if len(live) == 0:
            return Lesson(metrics, own, weight)
        if not self.algorithm.advantage.needs:
            live = self.learner.annotate(live)
        live = self.learner.weigh(live)
        weight[own.nonzero()[:, 0][signal[part.group]]] = live.weight
        metrics |= self.learner.update(live)
        self.policy.load()
        metrics |= self.policy.figures
        read = sum(len(live.samples[sample].ids) for sample in set(live.sample.tolist()))
        metrics["speed/training"] = read / (time.perf_counter() - started)
        return Lesson(metrics, own, weight)

    def named(self, metrics: Metrics) -> Metrics:
        """Metrics under its name; the run's own policy's have none."""
        if self.name == MAIN:
            return metrics
        return {f"{self.name}/{name}": value for name, value in metrics.items()}

    def warning(self, metrics: Metrics) -> str:
        """What its gap alarm has to say of a step's metrics; mostly nothing."""
        prefix = "" if self.name == MAIN else f"{self.name}/"
        return self.learner.alarm.line(
            {name[len(prefix) :]: v for name, v in metrics.items() if name.startswith(prefix)}
        )

    def _corrected(self, table: Table) -> Table:
        """Ratios are to the sampler where that was another policy, or other weights."""
        if self.own and not self.lags:
            return table
        elsewhere = table.version != self.policy.version if self.own else torch.ones(len(table))
        return table.with_columns(off_policy=torch.maximum(table.off_policy, elsewhere.long()))


def some_rows(table: Table, chosen: torch.Tensor) -> Table:
    """The table with some of its rows `[M]` (bool); every level keeps all of its members."""
    if bool(chosen.all()):
        return table
    return replace(
        table,
        columns={name: column[chosen] for name, column in table.columns.items()},
        texts=tuple(t for t, kept in zip(table.texts, chosen.tolist(), strict=False) if kept),
    )


def has_signal(table: Table, algorithm: Algorithm) -> torch.Tensor:
    """Which groups' final credit is not zero everywhere `[groups]`; all if another term trains.

    Such a term is a live penalty, or a loss that says so (`every_group`).
    """
    others = algorithm.live_penalty is not None or hasattr(algorithm.loss.function, "every_group")
    if others or len(table) == 0:
        return torch.ones(table.num_groups, dtype=torch.bool)
    credit = (table.advantage != 0).long()
    signal = torch.zeros(table.num_groups, dtype=torch.long).index_add(0, table.group, credit)
    return signal > 0
