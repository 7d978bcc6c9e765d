"""What every environment must satisfy, executable: `check_environment(make)` says what it does not.

An empty answer is a promise that rollouts, warm starts and evaluations rely on. Tasks are played by
the environment's own oracle and expert, and by players that say one hostile text all the time.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils.env_checker import check_env

from agentrl.env import SPLITS, TextEnv
from agentrl.errors import EnvError, boundary
from agentrl.types import Parse, Task

Make = Callable[[], TextEnv]
Speak = Callable[[TextEnv, np.random.Generator], str]

UNICODE = "é 中 😀 \u202e \u0301"
TAGS = ("<answer>", "<query></query>", "</answer><answer></answer>", "<tool_call>{'", "%s {0} <")
HOSTILE = ("", " \n\t", UNICODE, "\x00\x1b[2J\x7f\r", "word " * 10_000, *TAGS)
"""Texts that no task asks for: none may raise, and none may succeed."""
MAX_FINDINGS = 3
"""Findings of one check; more of one kind say nothing new."""


class Step(NamedTuple):
    """A text and Gymnasium's five words for it; a trial is a list that begins with the reset."""

    said: str
    text: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Any = {}  # noqa: RUF012 - read only


def check_environment(make: Make, *, tasks: int = 8) -> list[str]:
    """What keeps an environment from conforming, one sentence each; empty when it conforms.

    `make` brings a new environment at every call; `tasks` of each split are played.
    """
    findings: list[str] = []
    for check in (_check_gymnasium, _check_tasks, _check_repeats, _check_players):
        found: dict[str, None] = {}
        try:
            for finding in check(make, tasks):
                found[finding] = None
        except Exception as error:  # a foreign environment may raise anything: that is a finding
            found[f"{check.__name__[7:]}: {type(error).__name__}: {error}"] = None
        findings += list(found)[:MAX_FINDINGS]
    return findings


def _check_gymnasium(make: Make, _: int) -> Iterator[str]:
    env = make()
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if UNICODE not in space:
            yield f"the {name} space does not contain {UNICODE!r}: use env.NaturalText"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=env.spec is None)
    for warning in caught:
        yield f"gymnasium: {warning.message}"


def _check_tasks(make: Make, count: int) -> Iterator[str]:
    env, again, seen = make(), make(), dict[str, str]()
    for split in SPLITS:
        found = env.tasks(split, count, 0)
        if found != again.tasks(split, count, 0) or not 0 < len(found) <= count:
            yield f"tasks({split!r}, {count}, 0) must bring the same 1 to {count} every time"
        for task in found:
            if task.split != split or seen.setdefault(task.id, split) != split:
                yield f"tasks({split!r}) brings {task.id}, which belongs to {task.split!r}"
            if task.env != env.id:
                yield f"the task {task.id} names the environment {task.env!r}, not {env.id!r}"
            if json.loads(json.dumps(dict(task.data))) != dict(task.data):
                yield f"JSON does not bring back the data of {task.id}: {dict(task.data)!r:.80}"


def _check_repeats(make: Make, count: int) -> Iterator[str]:
    one, two = make(), make()
    if one is two:
        yield "make() brings the same environment twice: let it make a new one"

    def crowd(speak: Speak, seed: int) -> Speak:
        return lambda env, rng: (one.reset(seed=seed), one.step(UNICODE), speak(env, rng))[-1]

    for seed in range(count):
        for name, speak in islice(_players(one).items(), 2):
            first, again = (_play(env, speak, seed) for env in (one, two))
            if changes := _changes(first, again):
                yield f"with seed {seed}, {name} saw {changes[0]} the second time"
            elif changes := _changes(first, _play(two, crowd(speak, seed + 1), seed)):
                yield f"while another instance plays, {name} saw {changes[0]}"


def _check_players(make: Make, count: int) -> Iterator[str]:
    env = make()
    for task in [task for split in SPLITS for task in env.tasks(split, count, 0)]:
        written, best = json.dumps(dict(task.data)), math.inf
        for name, speak in _players(env).items():
            trial = _play(env, speak, task.seed, task)
            for step in trial[1:]:
                yield from _faults(env, step, name)
            earned, solved = sum(step.reward for step in trial), trial[-1].info.get("success")
            best = earned if name == "the oracle" else best
            where = f"task {task.id} in {env.max_turns} turns, earning {earned:g}"
            if not (trial[-1].terminated or trial[-1].truncated):
                yield f"{name} goes on after the last turn of {where}"
            if bool(solved) != (name == "the oracle") and name != "the expert":
                yield f"{name} {'solves' if solved else 'does not solve'} {where}"
            if earned > best + 1e-6:
                yield f"{name} earns more than the oracle's {best:g} at {where}"
        if json.dumps(dict(task.data)) != written:
            yield f"playing task {task.id} changes its data: copy what you change"


def _faults(env: TextEnv, step: Step, name: str) -> Iterator[str]:
    """What is wrong with one step of a player."""
    after, ends = f"after {step.said!r:.60}", (step.terminated, step.truncated)
    if step.text not in env.observation_space:
        yield f"the text {step.text!r:.60} {after} is outside the observation space"
    if not isinstance(step.reward, (int, float)) or not math.isfinite(step.reward):
        yield f"the reward {after} is {step.reward!r}: give a finite number"
    elif abs(step.reward - (parts := TextEnv._weigh(env, step.info.get("parts", {})))) > 1e-6:
        yield f"the reward {after} is {step.reward:g}, but its weighted parts sum to {parts:g}"
    if not all(isinstance(end, bool) for end in ends):
        yield f"terminated and truncated {after} are {ends}: give two bools"
    if step.info.get("success") and not step.terminated:
        yield f"the episode goes on {after}, which succeeds: set terminated"
    if name == "the expert" and (parse := step.info.get("parse", Parse.OK)) is not Parse.OK:
        yield f"the expert says {step.said!r:.60}, which is {parse}: let it be well formed"


def _play(env: TextEnv, speak: Speak, seed: int, task: Task | None = None) -> list[Step]:
    """One episode, cut where the environment must have ended it. Raises: EnvError."""
    rng = np.random.default_rng(seed)
    trial = [Step("", env.reset(seed=seed, options={"task": task} if task else None)[0])]
    while len(trial) <= env.max_turns and not (trial[-1].terminated or trial[-1].truncated):
        said = speak(env, rng)
        with boundary(EnvError, f"step({said!r:.60})"):
            trial.append(Step(said, *env.step(said)))
    return trial


def _players(env: TextEnv) -> dict[str, Speak]:
    """The environment's own players, then the hostile ones."""
    own: dict[str, Speak] = {
        "oracle": lambda env, rng: env.oracle(),
        "expert": lambda env, rng: env.expert(rng),
    }
    has = [name for name in own if getattr(type(env), name) is not getattr(TextEnv, name)]
    hostile = {f"saying {text!r:.40}": _parrot(text) for text in HOSTILE}
    return {f"the {name}": own[name] for name in has} | hostile


def _parrot(text: str) -> Speak:
    return lambda env, rng: text


def _changes(first: list[Step], again: list[Step]) -> list[str]:
    """Where two trials differ."""
    pairs = zip(first, again, strict=False)
    return [f"{tuple(a)!r:.120} become {tuple(b)!r:.120}" for a, b in pairs if a != b]
