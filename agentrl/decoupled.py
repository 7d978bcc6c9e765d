"""Decoupled trainers: a process for every trained policy, and nothing between them but the journal.

    agentrl train X --only main            agentrl train X --only sub
      wait for room                          wait for offers
      load sub's newest weights              groups -> table -> credit -> sub's rows
      play, offer sub's records              step, publish, acknowledge
      credit, main's rows, step              checkpoint
      checkpoint, publish

Every record is trained once in the lineage that survives (`journal/exchange.py` says why): each of
them may be killed and resumed at any time. What another version sampled than the trainer's own has
ratios to whoever sampled it; what is older than `exchange.max_lag` is not trained and counted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from agentrl.backends.load import load_weights
from agentrl.checkpoint import checkpoints
from agentrl.config import Run
from agentrl.ensemble import write_model
from agentrl.errors import DataError, PolicyError
from agentrl.journal.exchange import Exchange, Taken, Terms
from agentrl.journal.standing import Published
from agentrl.journal.waiting import Patience, await_offers, await_room, wait
from agentrl.learner import Metrics
from agentrl.members import MAIN, START
from agentrl.partnership import Partnership
from agentrl.protocols import Choice
from agentrl.record import Recorder
from agentrl.report import Report
from agentrl.session import Session
from agentrl.train import Collected, Trainer, imitate
from agentrl.types import Group


class Partner(Trainer):
    """The trainer of one policy, which meets the others' in the journal."""

    def __init__(self, session: Session, record: Recorder, report: Report) -> None:
        super().__init__(session, record, report)
        run = session.run
        self.name = run.only
        self.student = self.students[0]
        self.partnership: Partnership = run.exchange()
        self.exchange = exchange_of(run, record)
        self.published = -1
        """The version that was published last."""

    @classmethod
    def prepare(cls, session: Session, record: Recorder, report: Report) -> None:
        """As every trainer, in a channel that nobody has used. Raises: DataError."""
        check_channel(session.run, exchange_of(session.run, record))
        super().prepare(session, record, report)

    def start(self, checkpoint: Path | None, state: dict[str, Any] | None) -> None:
        """As every trainer, then say where the weights of now are.

        What a kill undid was sampled from, so a version's number is never used again.
        """
        super().start(checkpoint, state)
        last = self.exchange.last_version(self.name)
        if state is not None and last is not None:
            self.student.policy.load(version=last + 1)
        self.publish(self.step - 1)

    def publish(self, step: int, version: int | None = None) -> None:
        """Write the weights down and say where; `step` made them. Nothing if they are not new.

        What training began with (step -1) is in the first checkpoint, which stays.
        """
        version = self.student.policy.version if version is None else version
        if version == self.published:
            return
        if step < 0 and self.checkpoint is not None:
            place = self.checkpoint.resolve()
        else:
            name = f"{self.record.writer.life}-{version}"
            place = shelved(self.session, name, self.partnership.keep)
        self.exchange.publish(self.name, step, version, str(place))
        self.published = version

    def patience(self, **rest: Any) -> Patience:
        """How it waits."""
        return patience_of(self.session.run, **rest)


class Leader(Partner):
    """Plays, trains `main`, and offers the others what they are trained on."""

    def __init__(self, session: Session, record: Recorder, report: Report) -> None:
        super().__init__(session, record, report)
        members = session.run.policies
        self.followers = {
            name: member.learns_from or name for name, member in members.items() if member.train
        }
        """Who is trained elsewhere -> on whose tokens."""
        self.held: dict[str, Published] = {}
        self.refused = ""
        """Why weights could not be loaded when it was tried last."""

    def advance(self) -> None:
        """A step; its weights are published behind the checkpoint that may hold them."""
        super().advance()
        self.publish(self.step - 1)

    def play(self, choices: Sequence[Choice], round: int) -> list[Group]:
        """Wait for room, play with the others' newest weights, and offer what was recorded."""
        bound = self.partnership.bound or 2 * self.session.plan.tasks
        for name in self.followers:
            wanted = len(choices)
            await_room(self.exchange, name, bound, adding=wanted, patience=self.patience())
        self.refresh()
        groups = super().play(choices, round)
        for name, source in self.followers.items():
            self.exchange.offer(name, self.step, self.first, groups, policy=source)
        return groups

    def refresh(self) -> None:
        """Take the others' newest weights. Raises: DataError: they cannot be loaded in time."""
        for name in self.followers:
            wait(partial(self._fresh, name), self.patience(), partial(self._missing, name))

    def _fresh(self, name: str) -> bool:
        """Whether it holds a policy's newest weights now; until there are any, the first ones."""
        found = self.exchange.newest(name)
        if found is None or found == self.held.get(name):
            return True
        policy = self.session.ensemble.trained[name]
        try:
            load_weights(policy.model, found.location)
        except PolicyError as error:  # deleted meanwhile: a newer one is there, or will be
            self.refused = str(error)
            return False
        policy.load(version=found.version)
        self.held[name] = found
        return True

    def _missing(self, name: str) -> str:
        return f"the newest weights of {name!r}: {self.refused}"

    def conclude(self) -> None:
        """Say that all was played, wait until the others are done, and evaluate."""
        schedule = self.session.schedule
        self.publish(schedule.steps, self.student.policy.version + 1)
        for name in self.followers:  # with nothing more to add, room is there when none wait
            await_room(self.exchange, name, 0, adding=0, patience=self.patience())
        self.refresh()
        if self.checkpoint is not None:  # whose weights of the others are a little older
            self.session.ensemble.save(self.checkpoint)
        super().conclude()


class Follower(Partner):
    """Trains one policy on what the leader plays; it plays nothing itself."""

    def __init__(self, session: Session, record: Recorder, report: Report) -> None:
        super().__init__(session, record, report)
        self.taken = Taken([])

    @classmethod
    def prepare(cls, session: Session, record: Recorder, report: Report) -> None:
        """A copy begins with the weights that `main` began with, another one with its own."""
        run, exchange = session.run, exchange_of(session.run, record)
        check_channel(run, exchange)
        if run.policies[run.only].source != START:
            imitate(session, record, report)
            return
        first = None

        def begun() -> bool:
            nonlocal first
            first = exchange.beginning(MAIN)
            return first is not None

        where = f"in the channel {exchange.channel!r} of {exchange.journal.name}"
        wait(begun, patience_of(run), lambda: f"no trainer of {MAIN!r} has begun {where}")
        if first is not None:
            load_weights(session.model, first.location)
            session.policy.load(version=0)

    def ready(self) -> bool:
        """Wait for the next step's groups; False once all that will ever be played is trained."""
        terms = Terms(
            count=self.session.plan.tasks,
            seconds=self.partnership.lease_seconds,
            max_lag=self.partnership.max_lag,
        )
        patience = self.patience(cancelled=self._over)
        self.taken = await_offers(self.exchange, self.name, self.step, terms, patience)
        return bool(self.taken.offers)

    def collect(self) -> Collected:
        """The groups that were taken, recorded as this run's too."""
        played = self.exchange.groups(self.taken.offers)
        own = [replace(group, step=self.step) for group in played]  # this run counts its own steps
        self.record.groups(self.step, own)
        return Collected(played, *self.courses[0].prepared(played))

    def learn(self, found: Collected) -> Metrics:
        """A step; it is published and acknowledged before the checkpoint that may hold it."""
        lags = self.exchange.lags(self.taken.offers)
        metrics = super().learn(found)
        self.publish(self.step)
        self.exchange.acknowledge(self.step, self.taken.offers)
        return metrics | {
            "exchange/groups": float(len(lags)),
            "exchange/refused": float(self.taken.refused),
            "exchange/lag": sum(lags) / len(lags),
            "exchange/waiting": float(self.exchange.waiting(self.name)),
        }

    def conclude(self) -> None:
        """Keep what the last steps made."""
        self.save()

    def summary(self, console: Console) -> dict[str, Any]:
        """What `summary.json` holds: how the exchange stands, and the checkpoint."""
        run, ledger = self.session.run, self.exchange.ledger(self.name)
        summary = {
            "task": run.env_id,
            "seed": run.seed,
            "policy": self.name,
            "steps": self.step,
            "exchange": ledger.as_dict(),
            "checkpoint": str(self.checkpoint),
            "seconds": {name: round(value, 2) for name, value in self.report.seconds.items()},
        }
        (run.folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        console.print(
            f"{self.name}: {ledger.trained} of {ledger.offered} offers trained, {ledger.refused} "
            f"too old; checkpoint {self.checkpoint}",
            soft_wrap=True,
        )
        return summary

    def _over(self) -> bool:
        main = self.exchange.newest(MAIN)
        ended = main is not None and main.step >= self.session.schedule.steps
        return ended and not self.exchange.waiting(self.name)


def exchange_of(run: Run, record: Recorder) -> Exchange:
    """Where a run's process meets the others."""
    told: Partnership = run.exchange()
    return Exchange(record.writer, told.channel or str(Path(run.out)))


def check_fresh(run: Run, resume: bool) -> None:
    """See that nothing that was handed over is begun anew. Raises: DataError."""
    if checkpoints(run.folder) and not resume:
        raise DataError(
            f"out={str(run.folder)!r} holds an earlier trainer of {run.only!r}, and the journal "
            "what it handed over: go on with --resume, or give another out"
        )


def check_channel(run: Run, exchange: Exchange) -> None:
    """See that no other run's records are there. Raises: DataError."""
    known = exchange.newest(run.only)
    if known is not None:
        raise DataError(
            f"the channel {exchange.channel!r} holds the policy {run.only!r} of another run, "
            f"{known.run}: go on with that one (--resume), or give another out or exchange.channel"
        )


def patience_of(run: Run, **rest: Any) -> Patience:
    """How a run's process waits for the others."""
    told: Partnership = run.exchange()
    return Patience(poll_seconds=told.poll_seconds, deadline_seconds=told.deadline_seconds, **rest)


def shelved(session: Session, name: str, keep: int) -> Path:
    """The weights of now in a folder of that name; the oldest folders beside it are deleted."""
    shelf = session.run.folder.resolve() / "published"
    write_model(session.model, session.tokenizer, shelf / name)
    made = sorted(shelf.glob("[0-9]*"), key=lambda path: path.stat().st_mtime_ns)
    for old in made[:-keep]:
        shutil.rmtree(old)
    return shelf / name


def partner(run: Run) -> type[Trainer]:
    """Who trains in a run's process."""
    if not run.only:
        return Trainer
    return Follower if run.follows else Leader
