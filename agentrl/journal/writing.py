"""Groups and credits -> rows. One transaction per call: a kill leaves all of it or nothing.

A training waits for this, so rows are made as the drivers take them and go past SQLAlchemy's own
processing of parameters, which costs more than the database does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Table

from agentrl.episodes import continues
from agentrl.errors import DataError
from agentrl.journal.reading import Credit
from agentrl.journal.tables import (
    credits,
    dumped,
    episodes,
    escaped,
    groups,
    real,
    trajectories,
    turns,
)
from agentrl.types import Episode, Group, Ids, Source, Span, Task, Trajectory, Turn, join

if TYPE_CHECKING:
    from agentrl.journal.database import Journal

Row = dict[str, Any]
INT32, FLOAT32 = np.dtype("<i4"), np.dtype("<f4")


class Writer:
    """One life of a run, appended to."""

    def __init__(self, journal: Journal, run: str, life: int, number: int) -> None:
        self.journal = journal
        self.run = run
        self.life = life
        self.number = number
        """Of the life among all of the journal's."""
        self.step, self.played = -1, 0
        """The step written last, and how many groups it has so far."""

    def groups(self, step: int, played: Sequence[Group]) -> int:
        """Append groups to a step; the number of the first, they are counted on through the step.

        Raises:
            DataError: the step's groups were written before, or the database refuses.
        """
        first = self.played if step == self.step else 0
        batch = Batch(self.number)
        for place, group in enumerate(played, first):
            key = {"run": self.run, "life": self.life, "step": step, "group": place}
            batch.group(key, group)
        batch.check()
        with self.journal.writing() as connection:
            for table, rows in batch.rows.items():
                insert(connection, table, rows)
        self.step, self.played = step, first + len(played)
        return first

    def credits(self, step: int, given: Iterable[Credit]) -> None:
        """Append what the learner made of turns of a step. Raises: DataError."""
        rows = [
            {
                "episode": episode_id(self.number, step, c.group, c.place),
                "trajectory": c.trajectory,
                "turn": c.turn,
                "advantage": real(c.advantage),
                "weight": real(c.weight),
                "rows": c.rows,
            }
            for c in given
        ]
        with self.journal.writing() as connection:
            insert(connection, credits, rows)


def insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows whose values are the driver's own already."""
    quote = connection.dialect.identifier_preparer.quote
    names = [column.name for column in table.c]
    marks = ", ".join(["?" if connection.dialect.paramstyle == "qmark" else "%s"] * len(names))
    places = ", ".join(map(quote, names))
    in_order = itemgetter(*names)
    if rows:
        connection.exec_driver_sql(
            f"INSERT INTO {quote(table.name)} ({places}) VALUES ({marks})",
            [in_order(row) for row in rows],
        )


ID_BITS = {"life": 20, "step": 20, "group": 12, "place": 11}
"""Of an episode's id, 63 in all."""


@lru_cache(4096)  # a step's credits ask for the same ones again
def episode_id(life: int, step: int, group: int, place: int) -> int:
    """The 63 bits that an episode's natural key is. Raises: DataError: there are too many.

    Ids rise with time, so that a step's rows lie side by side: a hash would scatter them over the
    file and cost twice as much to write.
    """
    id = 0
    for (name, bits), value in zip(ID_BITS.items(), (life, step, group, place), strict=True):
        if not 0 <= value < 1 << bits:
            raise DataError(f"{name} {value} does not fit a journal: it has {1 << bits} of them")
        id = id << bits | value
    return id


class Batch:
    """The rows of some groups, table by table, outer ones first."""

    def __init__(self, life: int) -> None:
        self.life = life
        self.rows: dict[Table, list[Row]] = {t: [] for t in (groups, episodes, trajectories, turns)}
        self.ids: list[Ids] = []
        """All that became int32."""

    def group(self, key: Row, group: Group) -> None:
        """A group and all that is in it. Raises: DataError: it is of another step."""
        if group.step != key["step"]:
            raise DataError(f"a group of step {group.step} is written as one of step {key['step']}")
        own = {"notes": dumped(dict(group.notes)), "cost": dumped(group.cost)}
        self.rows[groups].append({**key, **task_row(group.task), **own})
        for place, episode in enumerate(group.episodes):
            id = episode_id(self.life, key["step"], key["group"], place)
            row = {"id": id, **key, "place": place, **episode_row(episode, group.task)}
            self.rows[episodes].append(row)
            for number, trajectory in enumerate(episode.trajectories):
                self.trajectory({"episode": id, "trajectory": number}, trajectory)

    def trajectory(self, key: Row, trajectory: Trajectory) -> None:
        """A trajectory and its turns."""
        self.rows[trajectories].append({**key, **trajectory_row(trajectory)})
        before: Turn | None = None
        for number, turn in enumerate(trajectory.turns):
            row = {**key, "turn": number, **turn_row(turn), **self.tokens_row(before, turn)}
            self.rows[turns].append(row)
            before = turn

    def tokens_row(self, before: Turn | None, turn: Turn) -> Row:
        """A turn's tokens; of its context what is new since the turn before, where it goes on."""
        said = turn.completion
        follows = before is not None and continues(before, turn)
        new = turn.spans[len(before.spans) + 1 :] if before is not None and follows else turn.spans
        return {
            "follows": follows,
            "layout": layout(new),
            "context": self.spans(new),
            "train_layout": None if turn.train_spans is None else layout(turn.train_spans),
            "train_context": None if turn.train_spans is None else self.spans(turn.train_spans),
            "head_layout": layout(said.head) if said.head else None,
            "head": self.spans(said.head) if said.head else None,
            "ids": self.int32(said.ids),
            "logprobs": said.logprobs.astype(FLOAT32, copy=False).tobytes(),
            "versions": None if said.versions is None else self.int32(said.versions),
        }

    def spans(self, spans: Sequence[Span]) -> bytes:
        """All ids of some spans."""
        return self.int32(join(tuple(spans)))

    def int32(self, ids: Ids) -> bytes:
        """Ids as int32, little endian."""
        self.ids.append(ids)
        return ids.astype(INT32).tobytes()

    def check(self) -> None:
        """See that all ids fitted. Raises: DataError for one that is not a token's."""
        ids = np.concatenate(self.ids or [np.empty(0, np.int64)])
        fits = ids == ids.astype(INT32)
        if not fits.all():
            strange = ids[~fits][0]
            raise DataError(f"{strange} is no token id or version: it does not fit 32 bits")


def task_row(task: Task) -> Row:
    """What is known of a task."""
    data = dumped(dict(task.data))
    return {"task": task.id, "env": escaped(task.env), "seed": task.seed, "data": data}


def episode_row(episode: Episode, task: Task) -> Row:
    """An episode's own fields; its data only where that is not the group's."""
    own = episode.task
    same = own is task or own.data == task.data
    return {
        "task": own.id,
        "env": escaped(own.env),
        "seed": own.seed,
        "data": None if same else dumped(dict(own.data)),
        "attempt": int(episode.attempt),
        "hint": int(episode.hint),
        "off_policy": bool(episode.off_policy),
        "values": dumped(dict(episode.values)),
    }


def trajectory_row(trajectory: Trajectory) -> Row:
    """A trajectory's own fields."""
    parent = trajectory.parent or (None, None, None)
    return {
        "agent": escaped(trajectory.agent),
        "parent_trajectory": parent[0],
        "parent_turn": parent[1],
        "parent_call": parent[2],
        "status": trajectory.status.value,
        "success": bool(trajectory.success),
        "answer": None if trajectory.answer is None else escaped(trajectory.answer),
        "reward": real(trajectory.reward),
        "parts": parts_text(trajectory.parts),
        "error": escaped(trajectory.error),
        "seconds": real(trajectory.seconds),
        "env_seconds": real(trajectory.env_seconds),
    }


def turn_row(turn: Turn) -> Row:
    """A turn's fields, without its tokens."""
    said = turn.completion
    return {
        "text": escaped(said.text),
        "finish": said.finish.value,
        "policy": escaped(said.policy),
        "version": int(said.version),
        "reward": real(turn.reward),
        "parts": parts_text(turn.parts),
        "parse": turn.parse.value,
        "reply": escaped(turn.reply),
        "trained": bool(turn.trained),
        "state": None if turn.state is None else escaped(turn.state),
        "usage": None if said.usage is None else dumped(said.usage),
    }


def parts_text(parts: Mapping[str, float]) -> str:
    """Named parts as JSON; a step has few different ones."""
    return _parts_text(tuple(parts.items()))


@lru_cache(4096)
def _parts_text(parts: tuple[tuple[str, float], ...]) -> str:
    return dumped(dict(parts))


def layout(spans: Sequence[Span]) -> str:
    """Spans' sources and lengths as JSON: [[source, length], ...]."""
    return f"[{', '.join([span_text(span.source, len(span.ids)) for span in spans])}]"


@lru_cache(4096)
def span_text(source: Source, length: int) -> str:
    """A span as `layout` has it."""
    return f'["{source.value}", {length}]'
