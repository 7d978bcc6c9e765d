"""Rules of limits: rewards in their range, texts in their length, no secret told, no text fatal."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from numbers import Real

from agentrl.conformance.trials import CONTROL, Skip, Step, Subject, begun, stepped
from agentrl.env import TextEnv
from agentrl.errors import EnvError

MEGABYTE = 1 << 20
LONG = ("a", "\x00", "[", "<", "é", "{'a': ", "\ud800", "<answer>", "<tool_call>", CONTROL)
"""What texts of a megabyte repeat: deep nesting, tags that never close, bytes that are no words."""


def rewards(subject: Subject) -> Iterator[str]:
    """Every reward is finite and the sum of its weighted parts; episodes stay in reward_range."""
    for trial in subject.trials:
        for step in trial.steps[1:]:
            after = f"the reward after {step.said!r:.60} is"
            if not isinstance(step.reward, Real) or not math.isfinite(step.reward):
                yield f"{after} {step.reward!r}: give a finite number"
            elif abs(step.reward - step.owed) > 1e-6:
                yield f"{after} {step.reward:g}, but its weighted parts sum to {step.owed:g}"
        least, most = trial.reward_range
        if not least - 1e-6 <= trial.earned <= most + 1e-6 and math.isfinite(trial.earned):
            yield f"{trial.player} leaves reward_range {least:g} to {most:g} at {trial.where}"


def secrets(subject: Subject) -> Iterator[str]:
    """Nothing that the environment says before success holds a text of `secrets()`."""
    if not any(trial.secrets for trial in subject.trials):
        raise Skip("secrets() names none")
    for trial in subject.trials:
        told = [
            text for step in trial.steps if not step.info.get("success") for text in heard(step)
        ]
        said = [step.said for step in trial.steps]
        for secret in trial.secrets:
            if any(secret in text for text in told) and not any(secret in text for text in said):
                yield f"{trial.player} is told the secret {secret!r:.60} at {trial.where}"


def heard(step: Step) -> Iterator[str]:
    """Every text that a step tells a policy."""
    yield str(step.text)
    yield str(step.info.get("system", ""))
    yield from (str(message.content) for message in step.info.get("messages", ()))


def observations(subject: Subject) -> Iterator[str]:
    """Observations are no longer than `observation_chars`, and can be written as UTF-8."""
    for trial in subject.trials:
        for step in trial.steps:
            text, after = str(step.text), f"after {step.said!r:.60}"
            if len(text) > trial.longest:
                limit = f"{len(text)} characters long, over observation_chars={trial.longest}"
                yield f"the observation {after} is {limit}"
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                yield f"the observation {after} has lone surrogates: it cannot be tokenised"


def survives(subject: Subject) -> Iterator[str]:
    """No text makes it raise: empty, unicode, control characters, lone surrogates, a megabyte."""
    for trial in subject.trials:
        if trial.error:
            yield trial.error
    env = subject.make()
    for piece in LONG:
        said = piece * (MEGABYTE // len(piece))
        told = f"{len(said):,} characters of {piece!r}"
        try:
            begun(env, 0)
            seconds = _answers(env, said, subject.seconds)
        except EnvError as error:
            yield f"{told}: {error!s:.200}"
            continue
        if seconds > subject.seconds:
            yield f"{told} took more than {subject.seconds:g} s"
            env = subject.make()  # the other one may still be busy


def _answers(env: TextEnv, said: str, most: float) -> float:
    """Seconds until it answers, or more than `most` where it does not. Raises: EnvError."""
    raised: list[EnvError] = []

    def work() -> None:
        try:
            stepped(env, said)
        except EnvError as error:
            raised.append(error)

    started, thread = time.perf_counter(), threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(most)
    if raised:
        raise raised[0]
    return math.inf if thread.is_alive() else time.perf_counter() - started


RULES = (rewards, secrets, observations, survives)
