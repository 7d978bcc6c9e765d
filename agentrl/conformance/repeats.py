"""Rules of repetition: what a seed or a task fixes is fixed, whoever else plays, wherever."""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from agentrl.conformance.child import Absent, shared
from agentrl.conformance.trials import (
    UNICODE,
    Around,
    Skip,
    Speak,
    Step,
    Subject,
    begun,
    difference,
    play,
    stepped,
    together,
)
from agentrl.env import TextEnv


def seeds(subject: Subject) -> Iterator[str]:
    """The same seed is the same episode, on another instance and on one that has played others."""
    one, two = subject.make(), subject.make()
    for seed in subject.seeds():
        for name, speak in subject.voices.items():
            first = play(one, speak, seed)
            if changed := difference(first, play(two, speak, seed)):
                yield f"with seed {seed}, {name} saw {changed} the second time"
            elif seed and (changed := difference(first, play(subject.make(), speak, seed))):
                yield f"on a new instance, with seed {seed}, {name} saw {changed}"


def twins(subject: Subject) -> Iterator[str]:
    """Two instances of one task that hear the same, turn by turn, say the same: a group's twins."""
    one, two = subject.make(), subject.make()
    for task in subject.tasks[: len(subject.seeds())]:
        for name, speak in subject.voices.items():
            begins = begun(one, task.seed, task), begun(two, task.seed, task)
            if changed := together(one, two, speak, task.seed, begins):
                yield f"{name}, task {task.id}: one twin saw {changed}"


def others(subject: Subject) -> Iterator[str]:
    """What other instances play in between changes nothing."""
    one, two = subject.make(), subject.make()
    for seed in subject.seeds():
        for name, speak in subject.voices.items():
            first = play(two, speak, seed)
            if changed := difference(first, play(two, crowded(one, speak, seed + 1), seed)):
                yield f"while another instance plays, {name} saw {changed}"


def crowded(other: TextEnv, speak: Speak, seed: int) -> Speak:
    """The same player, between whose turns another instance plays episodes of its own."""
    last: list[Step] = []

    def spoken(env: TextEnv, rng: np.random.Generator, heard: str) -> str:
        fresh = not last or last[-1].over
        last.append(begun(other, seed) if fresh else stepped(other, UNICODE))
        return speak(env, rng, heard)

    return spoken


def task_data(subject: Subject) -> Iterator[str]:
    """Playing a task leaves its data as it was."""
    for trial in subject.trials:
        if trial.changed and trial.task:
            yield f"playing task {trial.task.id} changes its data: copy what you change"


def processes(subject: Subject) -> Iterator[str]:
    """Another process with another hash seed plays the same episodes."""
    try:
        pickled = pickle.dumps(subject.recipe)
    except Exception as error:  # lambdas and local classes raise this and that
        raise Skip(f"make() cannot be sent to another process ({error}): give a class") from None
    asked = [(seed, name) for seed in subject.seeds() for name in subject.voices]
    try:
        theirs = shared().play(pickled, asked, subject.seconds * (len(asked) + 1))
    except Absent as error:
        raise Skip(f"another process cannot make it: {error}") from None
    env = subject.make()
    for (seed, name), there in zip(asked, theirs, strict=True):
        if changed := difference(play(env, subject.voices[name], seed), there):
            yield f"with seed {seed}, {name} saw {changed} in another process"


def global_random(subject: Subject) -> Iterator[str]:
    """`random` and `numpy.random` are neither drawn from nor reseeded, and change nothing."""
    states = random.getstate(), np.random.get_state()
    env, touched, changes = subject.make(), dict[str, None](), list[str]()
    try:
        for seed in subject.seeds(2):
            for name, speak in subject.voices.items():
                first = play(env, speak, seed, around=_perturbing(touched, 1))
                again = play(env, speak, seed, around=_perturbing(touched, 2))
                if changed := difference(first, again):
                    changes.append(f"with other global random states, {name} saw {changed}")
        yield from (*touched, *changes)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _perturbing(touched: dict[str, None], seed: int) -> Around:
    """Reseeds the global generators before each call, and looks at them after it."""
    counter = itertools.count(seed * 1000)

    @contextmanager
    def around(call: str) -> Iterator[None]:
        number = next(counter)
        random.seed(number)
        np.random.seed(number)
        before = _states()
        yield
        for name, one, two in zip(("random", "numpy.random"), before, _states(), strict=True):
            if one != two:
                mend = "use the generator that reset(seed) makes (self.np_random)"
                touched[f"{call}() changes the state of {name}: {mend}"] = None

    return around


def _states() -> tuple[object, object]:
    """What the global generators would draw next, as values that compare."""
    state: Any = np.random.get_state(legacy=True)
    kind, keys, *rest = state
    return random.getstate(), (kind, keys.tobytes(), *rest)


RULES = (seeds, twins, others, processes, global_random, task_data)
