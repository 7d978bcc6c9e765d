"""Rows -> groups, exactly as they were written; only the surviving lineage is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Table, and_, select

from agentrl.journal.lineage import surviving
from agentrl.journal.tables import (
    credits,
    episodes,
    groups,
    lives,
    runs,
    trajectories,
    turns,
)
from agentrl.types import (
    Completion,
    Cost,
    Episode,
    Finish,
    Group,
    Ids,
    Parent,
    Parse,
    Source,
    Span,
    Status,
    Task,
    Trajectory,
    Turn,
    Usage,
)

Rows = Sequence[Row[Any]]


class RunRow(NamedTuple):
    """A run of the journal."""

    id: str
    created: float
    """Seconds since 1970."""
    config: dict[str, Any]
    """Every setting, as `run.yaml` holds it."""


class Life(NamedTuple):
    """One start of the process on a run."""

    life: int
    from_step: int
    created: float


class Credit(NamedTuple):
    """What the learner made of one turn."""

    group: int
    """Number of the group in its step, as it was written."""
    place: int
    """Of the episode in the group."""
    trajectory: int
    turn: int
    advantage: float
    """Mean over the turn's rows."""
    weight: float
    """Sum over them; 0 where they were not trained."""
    rows: int
    """Of the token table: the turn's tokens, several times if it was copied."""


def runs_of(connection: Connection) -> list[RunRow]:
    """Every run, oldest first."""
    return [RunRow(*row) for row in connection.execute(select(runs).order_by(runs.c.created))]


def lives_of(connection: Connection, run: str) -> list[Life]:
    """The lives of a run, in order."""
    wanted = select(lives.c.life, lives.c.from_step, lives.c.created).where(lives.c.run == run)
    return [Life(*row) for row in connection.execute(wanted.order_by(lives.c.life))]


def steps_of(connection: Connection, run: str) -> list[int]:
    """The steps that have surviving groups."""
    wanted = select(groups.c.step).where(groups.c.run == run, surviving(groups)).distinct()
    return list(connection.scalars(wanted.order_by(groups.c.step)))


def at_step(table: Table, run: str, step: int) -> ColumnElement[bool]:
    """The surviving rows of a step."""
    return and_(table.c.run == run, table.c.step == step, surviving(table))


def credits_of(connection: Connection, run: str, step: int) -> list[Credit]:
    """The credits of a step's surviving turns, in their order."""
    own = [credits.c[name] for name in Credit._fields[2:]]
    places = (episodes.c.group, episodes.c.place)
    found = connection.execute(
        select(*places, *own)
        .join(episodes, episodes.c.id == credits.c.episode)
        .where(at_step(episodes, run, step))
        .order_by(*places, credits.c.trajectory, credits.c.turn)
    )
    return [Credit(*row) for row in found]


def groups_of(connection: Connection, run: str, step: int) -> list[Group]:
    """The surviving groups of one step, in their order."""
    return groups_where(connection, lambda table: at_step(table, run, step))


def groups_where(
    connection: Connection, chosen: Callable[[Table], ColumnElement[bool]]
) -> list[Group]:
    """Groups of one life's step, in their order; `chosen` are rows of groups or of episodes."""
    inside = chosen(episodes)
    own = select(groups).where(chosen(groups)).order_by(groups.c.group)
    played = select(episodes).where(inside).order_by(episodes.c.place)
    keys = (trajectories.c.trajectory, turns.c.turn)
    told = select(trajectories).join(episodes, episodes.c.id == trajectories.c.episode)
    said = select(turns).join(episodes, episodes.c.id == turns.c.episode)
    headers = connection.execute(own).all()
    of_group = by(connection.execute(played).all(), "group")
    of_episode = by(connection.execute(told.where(inside).order_by(keys[0])).all(), "episode")
    of_trajectory = by(
        connection.execute(said.where(inside).order_by(keys[1])).all(), "episode", "trajectory"
    )
    return [read_group(row, of_group[row.group,], of_episode, of_trajectory) for row in headers]


def by(rows: Rows, *names: str) -> defaultdict[tuple[Any, ...], list[Row[Any]]]:
    """The rows by some of their columns."""
    found: defaultdict[tuple[Any, ...], list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[tuple(getattr(row, name) for name in names)].append(row)
    return found


def read_group(
    row: Row[Any],
    members: Rows,
    told: dict[tuple[Any, ...], list[Row[Any]]],
    said: dict[tuple[Any, ...], list[Row[Any]]],
) -> Group:
    """A group from its own row and those of what is in it."""
    task = Task(env=row.env, data=row.data, seed=row.seed)
    return Group(
        task=task,
        step=row.step,
        notes=row.notes,
        cost=Cost(*row.cost),
        episodes=tuple(
            read_episode(
                task,
                member,
                [read_trajectory(t, said[t.episode, t.trajectory]) for t in told[member.id,]],
            )
            for member in members
        ),
    )


def read_episode(task: Task, row: Row[Any], cast: Sequence[Trajectory]) -> Episode:
    """An episode of a group's task, or of another one."""
    data = task.data if row.data is None else row.data
    if (row.env, row.seed, data) != (task.env, task.seed, task.data):
        task = Task(env=row.env, data=data, seed=row.seed)
    return Episode(
        task=task,
        attempt=row.attempt,
        trajectories=tuple(cast),
        hint=row.hint,
        off_policy=row.off_policy,
        values={int(place): value for place, value in row._mapping["values"].items()},
    )


def read_trajectory(row: Row[Any], told: Rows) -> Trajectory:
    """A trajectory with its turns."""
    said: list[Turn] = []
    for turn in told:
        said.append(read_turn(said[-1] if said else None, turn))
    parent = (row.parent_trajectory, row.parent_turn, row.parent_call)
    return Trajectory(
        agent=row.agent,
        parent=None if parent[0] is None else Parent(*parent),
        turns=tuple(said),
        reward=row.reward,
        parts=row.parts,
        status=Status(row.status),
        success=row.success,
        answer=row.answer,
        error=row.error,
        seconds=row.seconds,
        env_seconds=row.env_seconds,
    )


def read_turn(before: Turn | None, row: Row[Any]) -> Turn:
    """A turn, its context put together with what came before."""
    spans = read_spans(row.layout, row.context)
    if row.follows and before is not None:
        said = Span(ids=before.completion.ids, source=Source.SAMPLED)
        spans = (*before.spans, said, *spans)
    replaced = row.train_layout
    return Turn(
        spans=spans,
        completion=read_completion(row),
        reward=row.reward,
        parts=row.parts,
        reply=row.reply,
        parse=Parse(row.parse),
        train_spans=None if replaced is None else read_spans(replaced, row.train_context),
        trained=row.trained,
        state=row.state,
    )


def read_completion(row: Row[Any]) -> Completion:
    """What was sampled, bit for bit."""
    return Completion(
        ids=read_ids(row.ids),
        logprobs=np.frombuffer(row.logprobs, "<f4").astype(np.float32),
        text=row.text,
        finish=Finish(row.finish),
        policy=row.policy,
        version=row.version,
        head=() if row.head_layout is None else read_spans(row.head_layout, row.head),
        versions=None if row.versions is None else read_ids(row.versions),
        usage=None if row.usage is None else Usage(*row.usage),
    )


def read_ids(blob: bytes) -> Ids:
    """Ids as the library has them."""
    return np.frombuffer(blob, "<i4").astype(np.int64)


def read_spans(layout: Sequence[tuple[str, int]], blob: bytes) -> tuple[Span, ...]:
    """Spans from their sources and lengths, and all their ids in one."""
    ids, at = read_ids(blob), 0
    spans = []
    for source, length in layout:
        spans.append(Span(ids=ids[at : at + length], source=Source(source)))
        at += length
    return tuple(spans)
