"""What every environment must satisfy, executable: `check_environment(make)` says what it does not.

An empty answer is a promise that rollouts, warm starts and evaluations rely on. Tasks are played by
the environment's own oracle and expert, and by players that no task should pay. The rules:

    contract    factory, gymnasium, tasks, steps, ends, refuses, close
    repeats     seeds, twins, others, processes, global_random, task_data
    players     oracle, expert, clueless, best
    limits      rewards, secrets, observations, survives
    load        threads, copies

Each is a function whose first line says what holds; `RULES` has them by name. What an environment
declares of itself (`reward_range`, `observation_chars`, `pickles`, `secrets`) is held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agentrl.conformance import contract, limits, load, players, repeats
from agentrl.conformance.trials import Make, Skip, Subject
from agentrl.conformance.watch import Hung, watched
from agentrl.env import TextEnv
from agentrl.env import make as made
from agentrl.errors import ConfigError, suggestion

Rule = Callable[[Subject], Iterator[str]]
FAMILIES = (contract, repeats, players, limits, load)
RULES: Mapping[str, Rule] = {rule.__name__: rule for one in FAMILIES for rule in one.RULES}
MAX_FINDINGS = 3
"""Of one rule."""
MAX_CHARS = 600
"""Of one finding."""


class Finding(NamedTuple):
    """One thing that keeps an environment from conforming."""

    rule: str
    finding: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the rules came to on one environment."""

    findings: list[Finding] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Rules that had nothing to try, and why."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A registered id with its arguments, as a factory that also works in another process."""

    id: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> TextEnv:
        """A new instance. Raises: ConfigError."""
        return made(self.id, **self.arguments)


def check_environment(make: Make, *, tasks: int = 8) -> list[str]:
    """What keeps an environment from conforming, `rule: sentence` each; empty when it conforms.

    `make` brings a new environment at every call; `tasks` of each split are played.
    """
    return [f"{rule}: {finding}" for rule, finding in examine(make, tasks=tasks).findings]


def examine(
    make: Make, *, tasks: int = 8, seconds: float = 10.0, rules: Collection[str] = ()
) -> Verdict:
    """The verdict of the rules, all of them unless some are named.

    `seconds` is what a step may take, whatever it is told.

    Raises:
        ConfigError: an unknown rule.
    """
    for name in rules:
        if name not in RULES:
            raise ConfigError(f"unknown rule {name!r}: {suggestion(name, list(RULES))}")
    subject, verdict = Subject(recipe=make, count=tasks, seconds=seconds), Verdict()
    if broken := failure(make):
        verdict.findings.append(Finding("factory", broken))
        verdict.skipped.update(dict.fromkeys(set(RULES) - {"factory"}, "there is no environment"))
        return verdict
    for name in rules or RULES:
        try:
            verdict.findings.extend(Finding(name, told) for told in some(RULES[name], subject))
        except Skip as reason:
            verdict.skipped[name] = str(reason)
    return verdict


def failure(make: Make) -> str:
    """Why there is no environment to check, or nothing."""
    try:
        watched(lambda: make().close())
    except (Exception, SystemExit) as error:  # a foreign environment may raise anything
        return line(f"make() and close() must work: {type(error).__name__}: {error}")
    return ""


def some(rule: Rule, subject: Subject) -> list[str]:
    """The first few different findings of a rule; more of one kind say nothing new.

    Raises:
        Skip: it has nothing to try, or what an earlier rule called did not come back.
    """
    if subject.hung:
        raise Skip(f"{subject.hung}: nothing more was tried")
    found: dict[str, None] = {}

    def work() -> None:
        try:
            for finding in rule(subject):
                found[line(finding)] = None
                if len(found) == MAX_FINDINGS:
                    break
        finally:
            subject.close()

    try:
        watched(work)
    except Skip:
        raise
    except Hung as error:
        subject.hung = line(str(error))
        found[subject.hung] = None
    except (Exception, SystemExit) as error:  # a foreign environment may raise anything
        found[line(f"{type(error).__name__}: {error}")] = None
    return list(found)


def line(told: str) -> str:
    """A finding as one line that can be written anywhere, whatever an error's message holds."""
    flat = " ".join(told.splitlines())
    return flat[:MAX_CHARS].encode(errors="backslashreplace").decode()
