"""Groups of every kind, and whether two of them are the same to the last bit."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np
from hypothesis import strategies as st

from agentrl.journal.tables import MARK
from agentrl.types import (
    Completion,
    Cost,
    Episode,
    Finish,
    Group,
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

TEXTS = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\udfff\\é" + MARK), max_size=8
)
SMALL = st.integers(0, 9)
PARTS = st.dictionaries(TEXTS, st.floats(), max_size=2)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
DATA = st.dictionaries(st.text(max_size=3), VALUES | st.lists(VALUES, max_size=2), max_size=2)
NUMBERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4)
IDS = NUMBERS.map(lambda ids: np.array(ids, np.int64))
LOGPROBS = st.lists(st.floats(width=32), max_size=4).map(lambda ps: np.array(ps, np.float32))
SPANS = st.lists(st.builds(Span, ids=IDS, source=st.sampled_from(Source)), max_size=3).map(tuple)
TASKS = st.builds(Task, env=TEXTS.filter(str.isascii), data=DATA, seed=st.integers(0, 2**62))
COMPLETIONS = st.builds(
    Completion,
    ids=IDS,
    logprobs=LOGPROBS,
    text=TEXTS,
    finish=st.sampled_from(Finish),
    policy=TEXTS,
    version=st.integers(0, 2**40),
    head=SPANS,
    versions=st.none() | IDS,
    usage=st.none() | st.builds(Usage, SMALL, SMALL, st.floats()),
)
TURNS = st.builds(
    Turn,
    spans=SPANS,
    completion=COMPLETIONS,
    reward=st.floats(),
    parts=PARTS,
    reply=TEXTS,
    parse=st.sampled_from(Parse),
    train_spans=st.none() | SPANS,
    trained=st.booleans(),
    state=st.none() | TEXTS,
)


@st.composite
def conversations(draw):
    """Turns of which some go on where the one before ended."""
    turns = []
    for turn in draw(st.lists(TURNS, max_size=3)):
        if turns and draw(st.booleans()):
            said = Span(ids=turns[-1].completion.ids.copy(), source=Source.SAMPLED)
            spans = (*turns[-1].spans, said, *turn.spans)
            turn = Turn(**{f.name: getattr(turn, f.name) for f in fields(turn)} | {"spans": spans})
        turns.append(turn)
    return tuple(turns)


TRAJECTORIES = st.builds(
    Trajectory,
    agent=TEXTS,
    parent=st.none() | st.builds(Parent, SMALL, SMALL, SMALL),
    turns=conversations(),
    reward=st.floats(),
    parts=PARTS,
    status=st.sampled_from(Status),
    success=st.booleans(),
    answer=st.none() | TEXTS,
    error=TEXTS,
    seconds=st.floats(),
    env_seconds=st.floats(),
)


@st.composite
def groups(draw, step):
    """A group; its episodes' tasks and numbers are mostly as usual, but need not be."""
    task = draw(TASKS)
    episodes = st.builds(
        Episode,
        task=st.just(task) | TASKS,
        attempt=SMALL,
        trajectories=st.lists(TRAJECTORIES, max_size=2).map(tuple),
        hint=SMALL,
        off_policy=st.booleans(),
        values=st.dictionaries(st.integers(-1, 9), st.floats(), max_size=2),
    )
    return Group(
        task=task,
        episodes=tuple(draw(st.lists(episodes, max_size=2))),
        step=step,
        notes=draw(PARTS),
        cost=draw(st.builds(Cost, SMALL, SMALL, st.floats())),
    )


def same(one, other):
    """Whether two values are equal: arrays bit for bit, NaN to NaN, types too."""
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
