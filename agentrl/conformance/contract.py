"""Rules of Gymnasium's contract, kept over whole episodes, and of tasks and their splits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator

from gymnasium.utils.env_checker import check_env

from agentrl.conformance.trials import (
    UNICODE,
    Subject,
    able,
    begun,
    parrot,
    play,
    stepped,
)
from agentrl.conformance.watch import PULSE
from agentrl.env import SPLITS, TextEnv
from agentrl.errors import EnvError


def factory(subject: Subject) -> Iterator[str]:
    """`make` brings a new instance at every call."""
    if subject.make() is subject.make():
        yield "make() brings the same environment twice: let it make a new one"


def gymnasium(subject: Subject) -> Iterator[str]:
    """Gymnasium's own checker finds nothing, and the spaces hold every text."""
    env = subject.make()
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if UNICODE not in space:
            yield f"the {name} space does not contain {UNICODE!r}: use env.NaturalText"
    PULSE.beat("what Gymnasium's checker called")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=env.spec is None)
    for warning in caught:
        yield str(warning.message)


def tasks(subject: Subject) -> Iterator[str]:
    """Both splits bring tasks: the same every time, disjoint, as JSON, and this environment's."""
    env, again, count, seen = subject.make(), subject.make(), subject.count, dict[str, str]()
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


def steps(subject: Subject) -> Iterator[str]:
    """Every reset and step of every episode answers in Gymnasium's words, of the right types."""
    space = subject.make().observation_space
    for trial in subject.trials:
        for step in trial.steps:
            after, ends = f"after {step.said!r:.60}", (step.terminated, step.truncated)
            if step.text not in space:
                yield f"the text {step.text!r:.60} {after} is outside the observation space"
            if not all(isinstance(end, bool) for end in ends):
                yield f"terminated and truncated {after} are {ends}: give two bools"


def ends(subject: Subject) -> Iterator[str]:
    """An episode ends once: by success or its last turn, terminated or truncated, never both."""
    for trial in subject.trials:
        for step in trial.steps[1:]:
            after = f"after {step.said!r:.60}"
            if step.terminated and step.truncated:
                yield f"terminated and truncated are both set {after}: terminated wins"
            if step.info.get("success") and not step.terminated:
                yield f"the episode goes on {after}, which succeeds: set terminated"
        if not trial.error and not trial.cut and not trial.steps[-1].over:
            yield f"{trial.player} goes on after the last turn of {trial.where}"


def refuses(subject: Subject) -> Iterator[str]:
    """A step before the reset or after the end is refused (EnvError) and changes nothing."""
    env = subject.make()
    if not _refused(env):
        yield "step() before reset() is answered: raise EnvError"
    for name, speak in (able(env) | {"saying ''": parrot("")}).items():
        trial = play(env, speak, 0, player=name)
        if trial.error or not trial.steps[-1].over:
            continue  # told by the rules `survives` and `ends`
        before = _shown(env)
        if not _refused(env):
            yield f"step() after the episode's end ({name}) is answered: raise EnvError"
        elif _shown(env) != before:
            yield f"step() after the episode's end ({name}) is refused, yet changes what is shown"


def close(subject: Subject) -> Iterator[str]:
    """`close` may come at any time, any number of times, and ends no other instance."""
    env, other = subject.make(), subject.make()
    env.close()
    env.close()
    env = subject.make()
    begun(env, 0)
    stepped(env, "")
    alone = play(subject.make(), parrot(""), 0)
    env.close()
    env.close()
    if not _refused(env, harmless=True):
        yield "step() after close() raises something else than EnvError"
    if play(other, parrot(""), 0).error != alone.error:
        yield "close() of one instance breaks another"


def _refused(env: TextEnv, harmless: bool = False) -> bool:
    """Whether a step is refused as it should be; `harmless` lets an answer pass as well."""
    try:
        env.step("once more")
    except EnvError:
        return True
    except Exception:  # a foreign environment may raise anything; what it is does not matter here
        return False
    return harmless


def _shown(env: TextEnv) -> tuple[object, ...]:
    """What a refused step must leave as it is."""
    oracle = _said(env)
    return env.turn, env.render(), env.max_turns, repr(env.data), oracle


def _said(env: TextEnv) -> str:
    """What the oracle would say, where it still says anything; most know nothing after the end."""
    try:
        return env.oracle() if "the oracle" in able(env) else ""
    except Exception:  # after the end it may well fail
        return ""


RULES = (factory, gymnasium, tasks, steps, ends, refuses, close)
