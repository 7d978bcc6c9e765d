"""The loop: the straight line and nothing else.

sample tasks -> roll out groups -> credit -> drop groups without signal -> weights -> steps
-> publish -> evaluate -> checkpoint
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from rich.console import Console

from agentrl.algorithms.base import Algorithm
from agentrl.checkpoint import checkpoints, load_state, save_checkpoint, set_aside, writable
from agentrl.config import Run
from agentrl.course import check_students, courses
from agentrl.errors import DataError, boundary
from agentrl.journal import folder
from agentrl.learner import Metrics
from agentrl.played import check_played, describe
from agentrl.protocols import Choice, Strategy
from agentrl.record import Recorder
from agentrl.report import Report
from agentrl.session import Session
from agentrl.strategies import independent
from agentrl.table import Table
from agentrl.types import Group


def run_training(
    run: Run, *, resume: bool = False, console: Console | None = None
) -> dict[str, Any]:
    """Warm start -> evaluation -> steps -> evaluation; returns what `summary.json` holds.

    Raises:
        AgentRLError: whatever cannot go on; complete checkpoints stay.
    """
    from agentrl.decoupled import check_fresh, partner  # its trainers are kinds of the one here

    console, out = console or Console(), run.folder
    writable(out)
    if run.only:  # the journal that they share lies beside their folders
        check_fresh(run, resume)
        out.parent.mkdir(parents=True, exist_ok=True)
    folder.reachable(run.place)
    checkpoint = last_checkpoint(run) if resume else None
    state = None if checkpoint is None else load_state(checkpoint)
    with Session(run, None if checkpoint is None else str(checkpoint)) as session:
        check_students(session)
        earlier = set_aside(out) if checkpoint is None else None
        if earlier is not None:
            console.print(f"the earlier run is now {earlier}", highlight=False, soft_wrap=True)
        report = Report(run)
        out.mkdir(parents=True, exist_ok=True)
        journal = folder.start(run.place, out, run.resolved(), state)
        if journal.notice:
            console.print(journal.notice, highlight=False, soft_wrap=True)
        resumed = None if state is None else state["step"]
        with Recorder(out, console, journal.writer, resumed) as record:
            (out / "run.yaml").write_text(yaml.safe_dump(run.resolved(), sort_keys=False))
            kind = partner(run)
            if state is None:
                kind.prepare(session, record, report)
            trainer = kind(session, record, report)  # references are copies of the weights of now
            trainer.start(checkpoint, state)
            while trainer.ready():
                trainer.advance()
            trainer.conclude()
        return trainer.summary(console)


def last_checkpoint(run: Run) -> Path:
    """Where a run goes on. Raises: DataError."""
    saved = checkpoints(run.folder)
    if not saved:
        out = str(run.folder)
        raise DataError(f"out={out!r} holds no complete checkpoint: start without --resume")
    return saved[-1]


def warm_up(session: Session, record: Recorder, report: Report) -> None:
    """Imitate the expert, if the run says so, and measure where that leads."""
    imitate(session, record, report)
    report.look("before", session)


def imitate(session: Session, record: Recorder, report: Report) -> None:
    """The warm start of the run's own model, and of all that begin with nothing."""
    run, warm = session.run, session.run.warm_start
    if warm is None:
        return
    blank = session.ensemble.blank.items()
    models = {"": session.model, **{f" of {name}": policy.model for name, policy in blank}}
    with report.timed("warm_start"):
        for whose, model in models.items():
            record.begin(f"warm start{whose}", warm.settings["steps"])
            precision = run.learner.settings["precision"]
            warm(model, session.demonstrations, run.seed, record.step, precision)
        session.policy.load()
        session.ensemble.begin()


class Collected(NamedTuple):
    """What a step played."""

    played: list[Group]
    """All of it, as it was played."""
    kept: list[Group]
    """As the run's algorithm shaped it."""
    refused: list[Group]
    """Shaped, and refused by its `keep`."""


class Trainer:
    """The state that steps carry on: learners, sampler and the number of steps done."""

    def __init__(self, session: Session, record: Recorder, report: Report) -> None:
        run = session.run
        self.session = session
        self.record = record
        self.report = report
        self.algorithm: Algorithm = run.algorithm.started(session.train_tasks, run.seed)
        session.tested = tested_as(self.algorithm)
        self.courses = courses(session, self.algorithm)
        self.students = [student for course in self.courses for student in course.students]
        self.learner = self.students[0].learner
        self.step = 0
        self.first = 0
        """The journal's number of the first group that was played last."""
        self.checkpoint: Path | None = None

    @classmethod
    def prepare(cls, session: Session, record: Recorder, report: Report) -> None:
        """What gives a new run the weights that its training begins with."""
        warm_up(session, record, report)

    def start(self, checkpoint: Path | None, state: dict[str, Any] | None) -> None:
        """Begin at step 0, or go on from a checkpoint. Raises: DataError if it is another run's."""
        if state is None:
            self.save()
        else:
            with boundary(DataError, f"{checkpoint} was made with other settings, repeat those"):
                self.load_state_dict(state)
            self.step, self.checkpoint = state["step"], checkpoint
        self.record.begin("train", self.session.schedule.steps)

    def ready(self) -> bool:
        """Whether there is another step."""
        return self.step < self.session.schedule.steps

    def advance(self) -> None:
        """One step of the line, and what follows from its number."""
        started = time.perf_counter()
        found = self.collect()
        played = time.perf_counter()
        groups = [*found.kept, *found.refused]
        metrics = describe(groups, played - started, self.session.env.kind)
        metrics["train/groups_refused"] = float(len(found.refused))
        metrics |= self.learn(found)
        learned = time.perf_counter()
        schedule = self.session.schedule
        done = self.step + 1
        if schedule.eval_every and done % schedule.eval_every == 0:
            metrics["eval/success"] = self.report.peek(self.session, done)
        self.report.account(self.step, metrics, played - started, learned - played)
        self.record.step(self.step, metrics)
        for student in self.students:
            self.record.warn(student.warning(metrics))
        self.step = done
        if done % schedule.checkpoint_every == 0 or done == schedule.steps:
            self.save()

    def collect(self) -> Collected:
        """Play until `plan.tasks` groups are kept or the refills run out."""
        plan, sampler, first = self.session.plan, self.algorithm.sampler, self.courses[0]
        found = Collected([], [], [])
        for round in range(1 + plan.refills):
            choices = sampler.live.choose(plan.tasks - len(found.kept), plan.attempts)
            groups = self.play(choices, round)
            found.played.extend(groups)
            kept, refused = first.prepared(groups)
            sampler.live.observe([*kept, *refused], self.learner.score)
            found.kept.extend(kept)
            found.refused.extend(refused)
            if len(found.kept) >= plan.tasks:
                break
        check_played([*found.kept, *found.refused])
        return found

    def play(self, choices: Sequence[Choice], round: int) -> list[Group]:
        """Play and record one round of the step."""
        groups = self.session.sample(choices, self.step, round, self.algorithm.strategy)
        self.first = self.record.groups(self.step, groups)
        self.record.choices(self.step, choices, groups)
        return groups

    def learn(self, found: Collected) -> Metrics:
        """Teach every course what was played; each algorithm shapes the groups for itself."""
        first, *others = self.courses
        metrics = first.teach(found.kept, self._credits)
        for course in others:
            metrics |= course.teach(course.prepared(found.played)[0], self._credits)
        return metrics

    def _credits(self, table: Table, groups: Sequence[Group], weight: torch.Tensor) -> None:
        self.record.credits(self.step, table, groups, weight)

    def conclude(self) -> None:
        """What comes after the last step."""
        self.report.look("after", self.session)

    def summary(self, console: Console) -> dict[str, Any]:
        """Print and write what the run amounts to."""
        return self.report.write(self.session.run.folder, console, self.checkpoint)

    def save(self) -> None:
        """Write a checkpoint of the steps done."""
        self.checkpoint = save_checkpoint(
            self.session.run.folder, self.step, self.session, self.state_dict()
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything but the weights; JSON-serialisable but for `learner` and `learners`."""
        own, *others = self.students
        return {
            "learner": own.learner.state_dict(),
            "learners": {student.name: student.learner.state_dict() for student in others},
            "algorithm": self.algorithm.state_dict(),
            "report": self.report.state_dict(),
            "version": own.policy.version,
            "policies": {
                student.name: {
                    "version": student.policy.version,
                    "algorithm": student.algorithm.state_dict(),
                }
                for student in others
            },
            "journal": {"run": self.record.writer.run, "life": self.record.writer.life},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        own, *others = self.students
        self.algorithm.load_state_dict(state["algorithm"])
        self.report.load_state_dict(state["report"])
        own.learner.load_state_dict(state["learner"])
        own.policy.load(version=state["version"])
        for student in others:
            told = state["policies"][student.name]
            student.learner.load_state_dict(state["learners"][student.name])
            student.policy.load(version=told["version"])
            if student.algorithm is not self.algorithm:
                student.algorithm.load_state_dict(told["algorithm"])


def tested_as(algorithm: Algorithm) -> Strategy:
    """How evaluations play: plainly, unless the strategy's memory is what was trained."""
    strategy: Strategy = getattr(algorithm.strategy.live, "attempted", independent)
    return strategy
