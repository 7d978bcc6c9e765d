"""The token table: one row per sampled token of a step's groups, and nothing else.

Samples come from the merge rule (`samples.py`). Observations, templates and padding are never rows,
so they can never be trained on. Algorithms see only this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from agentrl.errors import DataError
from agentrl.samples import Sample, credited, merge, token_rewards
from agentrl.types import Episode, Group, Trajectory

LEVELS = ("sample", "turn", "trajectory", "episode", "group")


@dataclass(frozen=True)
class Table:
    """The batch. Columns are `[M]`; every algorithm sees only this.

    Rows stand in the order of groups, episodes, trajectories, turns and tokens.
    """

    samples: tuple[Sample, ...]
    columns: Mapping[str, torch.Tensor]
    """By name. Values (float32): `behaviour old advantage weight reward`, on demand `ref entropy
    value tempered masked teacher` and what a part prepares. `reward` is each turn's on its last
    token, and what shaping added on the trajectory's last one.

    Segments (int64): `ids position sample turn trajectory episode group agent policy version
    off_policy`.
    """
    owner: Mapping[str, torch.Tensor]
    """Index of the next outer segment, for every member of a level.

    `turn` and `sample` -> trajectory, `trajectory` -> episode, `episode` -> group. The lengths are
    the member counts, members without a row included.
    """
    num_groups: int
    rewards: torch.Tensor
    """`[episodes]` float64, after shaping."""
    trajectory_rewards: torch.Tensor
    """`[trajectories]` float64, after shaping; sub-agents' too."""
    texts: tuple[str, ...] = ()
    """`[M]` each row's token as text, on demand (`needs("text")`)."""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names behind the `agent` and `policy` columns."""

    def __getattr__(self, name: str) -> torch.Tensor:
        """A column by its name."""
        columns = object.__getattribute__(self, "columns")
        if name in columns:
            return columns[name]  # type: ignore[no-any-return]
        raise AttributeError(f"the table has no column {name!r}: it holds {', '.join(columns)}")

    def __len__(self) -> int:
        """M, the number of rows."""
        return len(self.columns["ids"])

    def count(self, level: str) -> int:
        """Members of a level in the whole table, empty ones included."""
        return self.num_groups if level == "group" else len(self.owner[level])

    def members(self, level: str, within: str) -> torch.Tensor:
        """Members of `level` in each member of `within`, empty ones included: `[count(within)]`."""
        index = torch.arange(self.count(level))
        while level != within:
            index = self.owner[level][index]
            level = outer(level)
        return torch.bincount(index, minlength=self.count(within))

    def sizes(self, level: str) -> torch.Tensor:
        """Rows in each member of `level`, 0 for empty ones: `[count(level)]`."""
        return torch.searchsorted(self.columns[level], torch.arange(self.count(level) + 1)).diff()

    def with_columns(self, **columns: torch.Tensor) -> Table:
        """The same table with columns added or replaced."""
        return replace(self, columns={**self.columns, **columns})

    def select_groups(self, keep: torch.Tensor) -> Table:
        """The table of some groups `[num_groups]` (bool) only, every level renumbered."""
        kept = {"group": keep}
        for level in ("episode", "trajectory", "turn", "sample"):
            kept[level] = kept[outer(level)][self.owner[level]]
        renumber = {level: flags.long().cumsum(0) - 1 for level, flags in kept.items()}
        rows = keep[self.columns["group"]]
        columns = {
            name: renumber[name][column[rows]] if name in renumber else column[rows]
            for name, column in self.columns.items()
        }
        return replace(
            self,
            samples=tuple(
                s for s, flag in zip(self.samples, kept["sample"].tolist(), strict=True) if flag
            ),
            columns=columns,
            owner={
                level: renumber[outer(level)][of[kept[level]]] for level, of in self.owner.items()
            },
            num_groups=int(keep.sum()),
            rewards=self.rewards[kept["episode"]],
            trajectory_rewards=self.trajectory_rewards[kept["trajectory"]],
            texts=tuple(t for t, flag in zip(self.texts, rows.tolist(), strict=False) if flag),
        )


def outer(level: str) -> str:
    """The level that contains `level`."""
    return {
        "sample": "trajectory",
        "turn": "trajectory",
        "trajectory": "episode",
        "episode": "group",
    }[level]


class _Builder:
    """Collects rows and owners while walking groups, episodes, trajectories and turns."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.rows: dict[str, list[np.ndarray[Any, Any]]] = {}
        self.owner: dict[str, list[int]] = {level: [] for level in LEVELS[:-1]}
        self.names: dict[str, dict[str, int]] = {"agent": {}, "policy": {}}
        self.rewards: list[float] = []
        self.trajectory_rewards: list[float] = []

    def group(self, number: int, episodes: Sequence[Episode]) -> None:
        for episode in episodes:
            self.owner["episode"].append(number)
            self.rewards.append(episode.main.reward)
            for trajectory in credited(episode):
                self.trajectory(trajectory, episode.off_policy)

    def trajectory(self, trajectory: Trajectory, off_policy: bool) -> None:
        number = len(self.owner["trajectory"])
        self.trajectory_rewards.append(trajectory.reward)
        paid = token_rewards(trajectory)
        self.owner["trajectory"].append(len(self.owner["episode"]) - 1)
        samples, places = merge(trajectory)
        first = len(self.samples)
        self.samples += samples
        self.owner["sample"] += [number] * len(samples)
        for turn, reward, (sample, start) in zip(trajectory.turns, paid, places, strict=True):
            completion = turn.completion
            self.owner["turn"].append(number)
            count = len(completion.ids)
            if len(completion.logprobs) != count:
                raise DataError(f"{len(completion.logprobs)} log-probs for {count} sampled ids")
            if not turn.trained:
                continue
            scalars = {
                "sample": first + sample,
                "turn": len(self.owner["turn"]) - 1,
                "trajectory": number,
                "episode": len(self.owner["episode"]) - 1,
                "group": self.owner["episode"][-1],
                "agent": self.code("agent", trajectory.agent),
                "policy": self.code("policy", completion.policy),
                "version": v if (v := completion.versions) is not None else completion.version,
                "off_policy": int(off_policy),
            }
            self.add("ids", completion.ids)
            self.add("position", np.arange(start, start + count))
            self.add("behaviour", completion.logprobs)
            self.add("reward", reward)
            for name, value in scalars.items():
                self.add(name, np.full(count, value))

    def code(self, kind: str, name: str) -> int:
        return self.names[kind].setdefault(name, len(self.names[kind]))

    def add(self, name: str, values: np.ndarray[Any, Any]) -> None:
        self.rows.setdefault(name, []).append(values)


def build_table(groups: Sequence[Group]) -> Table:
    """The token table of a step's groups, without failed attempts; empty ones are counted."""
    builder = _Builder()
    for number, group in enumerate(groups):
        builder.group(number, group.live)
    columns = {
        name: torch.from_numpy(np.concatenate(parts)).to(
            torch.float32 if name in ("behaviour", "reward") else torch.int64
        )
        for name, parts in builder.rows.items()
    }
    if not columns:
        columns = {
            name: torch.empty(0, dtype=torch.int64)
            for name in ("ids", "position", *LEVELS, "agent", "policy", "version", "off_policy")
        }
        columns |= {"behaviour": torch.empty(0), "reward": torch.empty(0)}
    blank = torch.zeros(len(columns["ids"]))
    return Table(
        samples=tuple(builder.samples),
        columns={
            **columns,
            "old": columns["behaviour"].clone(),
            "advantage": blank,
            "weight": blank,
        },
        owner={level: torch.tensor(of, dtype=torch.int64) for level, of in builder.owner.items()},
        num_groups=len(groups),
        rewards=torch.tensor(builder.rewards, dtype=torch.float64),
        trajectory_rewards=torch.tensor(builder.trajectory_rewards, dtype=torch.float64),
        names={kind: tuple(codes) for kind, codes in builder.names.items()},
    )


class View:
    """Some of a table's samples while the model is live on them: what losses and penalties see.

    Columns are those of the table, `[m]`; `logprobs`, `entropy` and `values` carry gradient.
    """

    def __init__(
        self,
        table: Table,
        rows: torch.Tensor,
        logprobs: torch.Tensor,
        entropy: torch.Tensor | None = None,
        values: torch.Tensor | None = None,
    ) -> None:
        self.table = table
        self.rows = rows
        self.logprobs = logprobs
        if entropy is not None:
            self.entropy = entropy
        if values is not None:
            self.values = values
        self.logs: dict[str, torch.Tensor] = {}
        self.levels: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def __getattr__(self, name: str) -> torch.Tensor:
        """A column of the table at this view's rows."""
        column = getattr(self.table, name).index_select(0, self.rows).to(self.logprobs.device)
        return self.__dict__.setdefault(name, column)  # type: ignore[no-any-return]

    def sum(self, values: torch.Tensor, *, over: str) -> torch.Tensor:
        """Sum of `values [m]` in each member of a level, broadcast back to `[m]`.

        Raises:
            ValueError: a member is only partly in this view; detached values depend on the
                split just as live ones do.
        """
        index, here = self._members(over)
        return values.new_zeros(len(here)).index_add(0, index, values)[index]

    def mean(self, values: torch.Tensor, *, over: str) -> torch.Tensor:
        """Mean of `values [m]` in each member of a level, broadcast back to `[m]`."""
        index, here = self._members(over)
        total = values.new_zeros(len(here)).index_add(0, index, values)
        return (total / here.clamp(min=1))[index]

    def _members(self, over: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Each row's member of a level `[m]`, and the rows of every member; whole ones only."""
        if over not in self.levels:
            index = self.table.columns[over][self.rows]
            here = torch.bincount(index, minlength=self.table.count(over))
            if bool(((here > 0) & (here != self.table.sizes(over))).any()):
                raise ValueError(
                    f"a value is reduced over {over!r}, but a {over} is split between "
                    "micro-batches: reduce over 'sample' or 'turn', or give the loss a "
                    "prepare(view)"
                )
            device = self.logprobs.device
            self.levels[over] = index.to(device), here.to(device)
        return self.levels[over]

    def log(self, name: str, values: torch.Tensor) -> None:
        """Report a metric: its weighted mean over the step's rows lands in `metrics.jsonl`."""
        self.logs[name] = values.detach()


def per_group(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Broadcast `[groups]` to rows."""
    return values.float().index_select(0, table.columns["group"])


def per_episode(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Broadcast `[episodes]` to rows."""
    return values.float().index_select(0, table.columns["episode"])


def per_trajectory(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Broadcast `[trajectories]` to rows."""
    return values.float().index_select(0, table.columns["trajectory"])


def per_turn(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Broadcast `[turns]` to rows."""
    return values.float().index_select(0, table.columns["turn"])
