"""Who learns from a step: the run's trained policies, by the algorithm whose credit they take.

    groups -> shape, keep -> table -> credit, once per algorithm -> every student's own rows

A run has one course with one student, unless `policies` trains others. Those that name no algorithm
of their own share the run's: its credit, and the memory of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from agentrl.algorithms.base import Algorithm
from agentrl.attribution import credit_metrics
from agentrl.backends.load import check_path
from agentrl.errors import ConfigError
from agentrl.learner import Metrics
from agentrl.members import MAIN
from agentrl.session import Session
from agentrl.student import Student, some_rows
from agentrl.table import Table, build_table
from agentrl.types import Group

Record = Callable[[Table, Sequence[Group], torch.Tensor], None]
"""Takes the rows that were taught to whoever sampled them, their groups, their weights `[M]`."""


class Course:
    """The students of one algorithm."""

    def __init__(self, students: Sequence[Student], untrained: frozenset[str]) -> None:
        self.students = students
        self.algorithm = students[0].algorithm
        self.untrained = untrained
        """Policies that nobody learns from."""

    def prepared(self, played: Sequence[Group]) -> tuple[list[Group], list[Group]]:
        """Groups as the algorithm's shape makes them: those that it keeps, and the others."""
        shape, keep = self.algorithm.shape, self.algorithm.keep
        groups = list(played) if shape is None else shape(played)
        live = [keep is None or keep(group) for group in groups]
        kept = [group for group, good in zip(groups, live, strict=True) if good]
        return kept, [group for group, good in zip(groups, live, strict=True) if not good]

    def teach(self, groups: Sequence[Group], record: Record) -> Metrics:
        """Credit on the whole step, then every student on its own rows.

        Raises:
            ConfigError: a policy that nobody trains sampled tokens that are to be trained.
        """
        for student in self.students:
            student.policy.rest()
        table = self.students[0].credited(build_table(groups), groups)
        self._check_heard(table)
        samples, trajectories = table.count("sample"), max(1, table.count("trajectory"))
        metrics = self.students[0].named({"train/forks": max(0, samples / trajectories - 1)})
        own, weight = torch.zeros(len(table), dtype=torch.bool), torch.zeros(len(table))
        for student in self.students:
            lesson = student.learn(table)
            metrics |= student.named(lesson.metrics)
            if student.own:
                own |= lesson.rows
                weight += lesson.weight
        taught = some_rows(table, own)
        metrics |= credit_metrics(taught)
        record(taught, groups, weight[own])
        return metrics

    def _check_heard(self, table: Table) -> None:
        for code, name in enumerate(table.names.get("policy", ())):
            if name in self.untrained and bool((table.policy == code).any()):
                raise ConfigError(
                    f"the policy {name!r} is not trained, but its tokens are to be: set `trained: "
                    f"false` for its role in the section agent, or policies.{name}.train to true",
                    f"policies.{name}",
                )


def courses(session: Session, algorithm: Algorithm) -> list[Course]:
    """All courses of a run, its own algorithm's first; `main` is its first student."""
    found: dict[int, list[Student]] = {}
    for student in enrolled(session, algorithm):
        found.setdefault(id(student.algorithm), []).append(student)
    members = session.run.policies
    heard = {member.learns_from for member in members.values() if member.train}
    idle = frozenset(name for name, member in members.items() if not member.train) - heard
    return [Course(students, idle) for students in found.values()]


def enrolled(session: Session, algorithm: Algorithm) -> list[Student]:
    """A student for every policy of a session that is trained, the run's own first."""
    run = session.run
    settings = run.learner.settings
    horizon = session.schedule.steps * settings["epochs"] * settings["minibatches"]
    models = {run.only or MAIN: session.model, **session.ensemble.models}
    given = (horizon, session.plan.temperature, models)

    def student(name: str, policy: Any, learner: Any, record: Algorithm, source: str) -> Student:
        made = learner(models[name], record, *given)
        made.decode, made.alarm.run = session.token_text, str(run.folder)
        others = frozenset(run.policies) - {name}
        return Student(name=name, policy=policy, learner=made, learns_from=source, others=others)

    if run.follows:
        source = run.policies[run.only].learns_from or run.only
        one = student(run.only, session.policy, run.learner, algorithm, source)
        return [replace(one, lags=True)]
    students = [student(MAIN, session.policy, run.learner, algorithm, MAIN)]
    for name, policy in taught_here(session).items():
        member = run.policies[name]
        record, own = member.record(), member.learner_of(run)
        taught = algorithm if record is None else record.started()
        students.append(student(name, policy, own, taught, member.learns_from or name))
    return students


def taught_here(session: Session) -> Mapping[str, Any]:
    """The policies beside the run's own that this process trains, by name."""
    return {} if session.run.only else session.ensemble.trained


def check_students(session: Session) -> None:
    """What can only be seen once models are loaded, before hours are spent. Raises: ConfigError."""
    run, trained = session.run, taught_here(session)
    known = {MAIN, *session.ensemble.models} if not run.follows else set()
    learners = {MAIN: run.learner, **{name: run.policies[name].learner_of(run) for name in trained}}
    for name, learner in learners.items():
        teacher = learner.settings["teacher"]
        if teacher and teacher not in known - {name}:
            check_path(teacher)
        if teacher in session.ensemble.policies:
            check_vocabulary(teacher, session.ensemble.policies[teacher].chat, session.chat)
    for name, policy in trained.items():
        if run.policies[name].learns_from not in ("", name):
            check_vocabulary(name, policy.chat, session.chat)


def check_vocabulary(name: str, own: Any, main: Any) -> None:
    """See that a policy reads tokens as `main` does. Raises: ConfigError."""
    known, sampled = own.tokenizer.get_vocab(), main.tokenizer.get_vocab()
    if known != sampled:
        raise ConfigError(
            f"policies.{name} has {len(known)} tokens, main {len(sampled)} others: to read another "
            "policy's tokens it needs the same tokenizer",
            f"policies.{name}",
        )
