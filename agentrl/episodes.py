"""Episodes as JSON lines and back: everything that credit needs, sampled ids and log-probs exactly.

A turn's `context` holds `[source, ids]` spans: what came after the turn before (`follows`), or the
whole context where the conversation begins or was rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.errors import DataError
from agentrl.types import (
    Completion,
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

Row = dict[str, Any]


def episode_record(step: int, episode: Episode, group: int = 0) -> Row:
    """An episode as one row; the main trajectory's fields stand at the top."""
    others = [trajectory_record(trajectory) for trajectory in episode.trajectories[1:]]
    return {
        "step": step,
        "group": group,
        "task": episode.task.id,
        "env": episode.task.env,
        "data": dict(episode.task.data),
        "attempt": episode.attempt,
        "hint": episode.hint,
        "off_policy": episode.off_policy,
        **({"values": {str(k): v for k, v in episode.values.items()}} if episode.values else {}),
        **trajectory_record(episode.main),
        **({"others": others} if others else {}),
    }


def trajectory_record(trajectory: Trajectory) -> Row:
    """A trajectory with its turns."""
    before: list[Turn | None] = [None, *trajectory.turns]
    return {
        "agent": trajectory.agent,
        "parent": None if trajectory.parent is None else list(trajectory.parent),
        "status": trajectory.status.value,
        "success": trajectory.success,
        "answer": trajectory.answer,
        "reward": trajectory.reward,
        "parts": dict(trajectory.parts),
        "error": trajectory.error,
        "seconds": round(trajectory.seconds, 4),
        "turns": [turn_record(b, turn) for b, turn in zip(before, trajectory.turns, strict=False)],
    }


def turn_record(before: Turn | None, turn: Turn) -> Row:
    """A turn; `ids` are the sampled tokens and `logprobs` the engine's, in nats."""
    completion = turn.completion
    follows = before is not None and continues(before, turn)
    new = turn.spans[len(before.spans) + 1 :] if before is not None and follows else turn.spans
    replaced = turn.train_spans
    return {
        "text": completion.text,
        "ids": completion.ids.tolist(),
        "logprobs": [float(value) for value in completion.logprobs],
        "finish": completion.finish.value,
        "policy": completion.policy,
        "version": completion.version,
        **({} if completion.versions is None else {"versions": completion.versions.tolist()}),
        **({} if completion.usage is None else {"usage": list(completion.usage)}),
        "reward": turn.reward,
        "parts": dict(turn.parts),
        "parse": turn.parse.value,
        "reply": turn.reply,
        "trained": turn.trained,
        **({} if turn.state is None else {"state": turn.state}),
        "follows": follows,
        "context": _spans(new),
        **({} if replaced is None else {"train_context": _spans(replaced)}),
    }


def continues(before: Turn, turn: Turn) -> bool:
    """Whether a turn's context is the turn before it, what that sampled, and something new."""
    said = Span(ids=before.completion.ids, source=Source.SAMPLED)
    expected = (*before.spans, said)
    return len(turn.spans) >= len(expected) and all(
        one is other or (one.source is other.source and equal(one.ids, other.ids))
        for one, other in zip(expected, turn.spans, strict=False)
    )


def equal(one: Ids, other: Ids) -> bool:
    """Whether ids are the same; most are one array, which is seen at once."""
    return one is other or np.array_equal(one, other)


def _spans(spans: Iterable[Span]) -> list[list[Any]]:
    return [[span.source.value, span.ids.tolist()] for span in spans]


def read_file(path: Path, step: int | None = None) -> list[Group]:
    """The groups of one step of an `episodes.jsonl`, the last one by default.

    Raises:
        DataError: no such file, a torn or foreign line, or a step that was not recorded.
    """
    rows = read_rows(path)
    steps = sorted({row["step"] for row in rows})
    if not steps:
        raise DataError(f"{path} holds no episode: record a run first")
    wanted = choose(path, steps, step)
    chosen = [row for row in rows if row["step"] == wanted]
    groups = [list(members) for _, members in groupby(chosen, key=lambda row: row["group"])]
    return [read_group(members) for members in groups]


def choose(source: object, steps: Sequence[int], step: int | None) -> int:
    """The step that is meant, the last one by default. Raises: DataError: it was not recorded."""
    wanted = steps[-1] if step is None else step
    if wanted not in steps:
        raise DataError(f"{source} has no step {wanted}: it holds {steps[0]} to {steps[-1]}")
    return wanted


def read_rows(path: Path) -> list[Row]:
    """Every row of a file. Raises: DataError, naming the line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(path)!r} ({error}): give episodes.jsonl") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row["step"], row["group"], row["turns"], row["data"]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}:{number}: no recorded episode ({error!r}): record it with this version"
            ) from error
        rows.append(row)
    return rows


def read_group(rows: Sequence[Row]) -> Group:
    """The attempts of one group."""
    task = Task(env=rows[0]["env"], data=rows[0]["data"])
    return Group(
        task=task,
        step=rows[0]["step"],
        episodes=tuple(read_episode(task, row) for row in rows),
    )


def read_episode(task: Task, row: Row) -> Episode:
    """An episode as it was recorded."""
    return Episode(
        task=task,
        attempt=row["attempt"],
        hint=row["hint"],
        off_policy=row["off_policy"],
        values={int(place): value for place, value in row.get("values", {}).items()},
        trajectories=tuple(read_trajectory(r) for r in (row, *row.get("others", ()))),
    )


def read_trajectory(row: Row) -> Trajectory:
    """A trajectory with its turns."""
    turns: list[Turn] = []
    for told in row["turns"]:
        turns.append(read_turn(turns[-1] if turns else None, told))
    return Trajectory(
        agent=row["agent"],
        parent=None if row["parent"] is None else Parent(*row["parent"]),
        turns=tuple(turns),
        reward=row["reward"],
        parts=row["parts"],
        status=Status(row["status"]),
        success=row["success"],
        answer=row["answer"],
        error=row["error"],
        seconds=row["seconds"],
    )


def read_turn(before: Turn | None, row: Mapping[str, Any]) -> Turn:
    """A turn, its context put together with what came before."""
    completion = Completion(
        ids=np.array(row["ids"], np.int64),
        logprobs=np.array(row["logprobs"], np.float32),
        text=row["text"],
        finish=Finish(row["finish"]),
        policy=row["policy"],
        version=row["version"],
        versions=None if "versions" not in row else np.array(row["versions"], np.int64),
        usage=None if "usage" not in row else Usage(*row["usage"]),
    )
    spans = _read_spans(row["context"])
    if row["follows"] and before is not None:
        said = Span(ids=before.completion.ids, source=Source.SAMPLED)
        spans = (*before.spans, said, *spans)
    replaced = row.get("train_context")
    return Turn(
        spans=spans,
        completion=completion,
        reward=row["reward"],
        parts=row["parts"],
        reply=row["reply"],
        parse=Parse(row["parse"]),
        trained=row["trained"],
        state=row.get("state"),
        train_spans=None if replaced is None else _read_spans(replaced),
    )


def _read_spans(spans: Iterable[tuple[str, list[int]]]) -> tuple[Span, ...]:
    return tuple(Span(ids=np.array(ids, np.int64), source=Source(name)) for name, ids in spans)
