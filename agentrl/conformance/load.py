"""Rules of how an environment is used: by many threads at once, and as a copy made by pickle."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np

from agentrl.conformance.trials import (
    Skip,
    Speak,
    Subject,
    Trial,
    begun,
    difference,
    play,
    stepped,
    together,
)
from agentrl.conformance.watch import side_by_side
from agentrl.env import TextEnv

THREADS = 8
"""At least."""


def threads(subject: Subject) -> Iterator[str]:
    """Instances that play in threads at the same time see what each sees alone."""
    jobs = [(seed, name) for seed in subject.seeds() for name in subject.voices]
    jobs = (jobs * THREADS)[: max(THREADS, len(jobs))]

    def one(job: tuple[int, str]) -> Trial:
        seed, name = job
        return play(subject.make(), subject.voices[name], seed, player=name)

    together = side_by_side(one, jobs)
    alone = {job: one(job) for job in dict.fromkeys(jobs)}
    for job, trial in zip(jobs, together, strict=True):
        if changed := difference(alone[job], trial):
            yield f"beside other threads, with seed {job[0]}, {job[1]} saw {changed}"


def copies(subject: Subject) -> Iterator[str]:
    """A pickled copy goes on in mid-episode like the original, or `pickles = False` is declared."""
    if not subject.make().pickles:
        raise Skip("it declares pickles = False")
    for seed in subject.seeds(2):
        for name, speak in subject.voices.items():
            for turns in range(3):
                if changed := _copied(subject.make(), speak, seed, turns):
                    yield f"with seed {seed}, {name}, after {turns} turns: {changed}"


def _copied(env: TextEnv, speak: Speak, seed: int, turns: int) -> str:
    """Where a copy of an environment that has played some turns differs, or nothing."""
    rng, step = np.random.default_rng(seed), begun(env, seed)
    for _ in range(turns):
        if step.over:
            return ""
        step = stepped(env, speak(env, rng, step.text))
    try:
        copy = pickle.loads(pickle.dumps(env))
    except Exception as error:  # whatever it holds that cannot be pickled
        return f"{type(error).__name__}: {error!s:.120}; declare pickles = False if it must not be"
    if changed := together(env, copy, speak, seed, (step, step)):
        return f"the original saw {changed} that pickle copied"
    return ""


RULES = (threads, copies)
