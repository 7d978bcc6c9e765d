"""The exchange: two trainers that meet only in a journal hand records over, each trained once.

    main's trainer                                     searcher's trainer
      await_room                                         await_offers -> Taken     (waiting.py)
      Writer.groups, offer("searcher", ...)              groups(offers) -> what it trains
                                                         acknowledge(step, offers)
      checkpoint                                         optimiser step, publish, checkpoint

Nothing is ever taken back by whoever wrote it: what an offer, a lease or an acknowledgement is
worth follows from the lives of the runs (`standing.py`). Two rules make it exact, and both sides
keep them: offer a step's groups before the checkpoint after that step, and acknowledge before the
checkpoint after the step that trains. A kill anywhere then repeats exactly what was lost.

Leases only spare several consumers double work. An acknowledgement is refused to whoever lost the
lease, so a lease that ran out too early costs a step and never trains anything twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from agentrl.errors import ConfigError, DataError
from agentrl.journal.database import lock
from agentrl.journal.exchange_tables import acknowledgements, leases, offers, policies
from agentrl.journal.ledger import ALLOWED_SECONDS, Ledger, ledger
from agentrl.journal.reading import groups_where
from agentrl.journal.sampled import oldest_of
from agentrl.journal.standing import (
    Offer,
    Published,
    Topic,
    clock,
    count,
    lags,
    last_leases,
    leased,
    newest,
    offers_where,
    succeeded,
    waiting,
)
from agentrl.journal.writing import Writer
from agentrl.types import Group


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How a consumer takes offers."""

    count: int = 1
    """At most so many at once."""
    least: int = 1
    """None at all if there are fewer."""
    seconds: float = 900.0
    """How long they are its own: longer than its longest step takes."""
    max_lag: int | None = None
    """Steps between the policy's newest weights and those that sampled; older ones are refused."""

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.count:
            raise ConfigError(f"least is {self.least}: give 1 to count={self.count}", "least")


class Taken(NamedTuple):
    """What a consumer got."""

    offers: list[Offer]
    refused: int = 0
    """How many were too old, and acknowledged as such."""


class Exchange:
    """One life of a run as it deals with the others; `channel` tells several exchanges apart."""

    def __init__(self, writer: Writer, channel: str = "") -> None:
        self.writer = writer
        self.journal = writer.journal
        self.life: dict[str, Any] = {"run": writer.run, "life": writer.life}
        self.channel = channel
        self.clock: Callable[[Connection], float] = clock
        """A seam: tests move the time."""

    def offer(
        self, topic: str, step: int, first: int, groups: Sequence[Group], *, policy: str = ""
    ) -> int:
        """Offer what a policy sampled in a step's groups, numbered from `first`, to a trainer.

        The topic is the name of what is trained; the policy that sampled has the same, or another
        one. Returns how many were offered: a group without a token of the policy's is none.

        Raises:
            DataError: they are not written, or offered already.
        """
        source = policy or topic
        rows = []
        for number, group in enumerate(groups, first):
            version = oldest_of(group, source)
            if version is not None:
                key = {"channel": self.channel, "topic": topic, "step": step, "group": number}
                rows.append({**key, **self.life, "policy": source, "version": version})
        with self.journal.writing("offer groups in") as connection:
            self._check(connection)
            now = self.clock(connection)
            if rows:
                connection.execute(offers.insert(), [{**row, "created": now} for row in rows])
        return len(rows)

    def take(self, topic: str, step: int, terms: Terms) -> Taken:
        """The oldest free offers, as a lease; too old ones are refused, by this step.

        Raises:
            DataError: another process goes on with this run, or the database refuses.
        """
        with self.journal.writing("take offers from") as connection:
            self._check(connection)
            now = self.clock(connection)
            fresh, stale = self._choose(connection, self._free(topic, now), terms)
            kept = fresh if len(fresh) >= terms.least else []
            self._answer(connection, stale, {"step": step, "trained": False, "created": now})
            self._lease(connection, kept, now, terms.seconds)
        return Taken(kept, len(stale))

    def _free(self, topic: str, now: float) -> ColumnElement[bool]:
        return and_(waiting(Topic(self.channel, topic)), ~leased(now))

    def _choose(
        self, connection: Connection, free: ColumnElement[bool], terms: Terms
    ) -> tuple[list[Offer], list[Offer]]:
        """The first offers that are young enough, and those before them that are not."""
        fresh: list[Offer] = []
        stale: list[Offer] = []
        last = 0
        while missing := terms.count - len(fresh):
            query = offers_where(and_(free, offers.c.id > last)).limit(missing)
            found = [Offer(*row) for row in connection.execute(query)]
            if not found:
                break
            last = found[-1].id
            for offer, behind in zip(found, lags(connection, self.channel, found), strict=True):
                old = terms.max_lag is not None and behind > terms.max_lag
                (stale if old else fresh).append(offer)
        return fresh, stale

    def prolong(self, taken: Sequence[Offer], seconds: float) -> None:
        """Have offers for so many seconds from now on; 0 gives them back.

        Raises:
            DataError: another trainer has one of them by now.
        """
        with self.journal.writing("prolong leases in") as connection:
            self._check(connection)
            self._own(connection, taken)
            self._lease(connection, taken, self.clock(connection), seconds)

    def acknowledge(
        self, step: int, trained: Sequence[Offer], refused: Sequence[Offer] = ()
    ) -> None:
        """Say what a step trains: before the checkpoint that holds it, all or nothing.

        Raises:
            DataError: one of them is not this trainer's any more; then nothing is written, and the
                step must not be kept.
        """
        with self.journal.writing("acknowledge offers in") as connection:
            self._check(connection)
            self._own(connection, [*trained, *refused])
            now = self.clock(connection)
            for those, good in ((trained, True), (refused, False)):
                row: dict[str, Any] = {"step": step, "trained": good, "created": now}
                self._answer(connection, those, row)

    def groups(self, taken: Sequence[Offer]) -> list[Group]:
        """What is offered, in the offers' order, as it was recorded: credit compares all agents.

        Raises:
            DataError: the journal cannot be read.
        """
        steps: dict[tuple[str, int, int], list[int]] = defaultdict(list)
        for offer in taken:
            steps[offer.run, offer.life, offer.step].append(offer.group)
        found: dict[tuple[str, int, int, int], Group] = {}
        with self.journal.reading() as connection:
            for key, numbers in steps.items():
                wanted = sorted(set(numbers))
                played = groups_where(connection, partial(of_step, key=key, numbers=wanted))
                found |= {(*key, n): group for n, group in zip(wanted, played, strict=True)}
        return [found[offer.run, offer.life, offer.step, offer.group] for offer in taken]

    def publish(self, name: str, step: int, version: int, location: str) -> None:
        """Say where a policy's new version is; `step` made it, -1 what the run began with.

        Raises:
            DataError: this life published that version before, or the database refuses.
        """
        row = {"channel": self.channel, "name": name, "step": step, "version": version}
        with self.journal.writing("publish a policy in") as connection:
            self._check(connection)
            now = self.clock(connection)
            row |= {**self.life, "location": location, "created": now}
            connection.execute(policies.insert(), [row])

    def newest(self, name: str) -> Published | None:
        """A policy's newest version in the surviving lineage; None before there is one."""
        with self.journal.reading() as connection:
            return newest(connection, self.channel, name)

    def beginning(self, name: str) -> Published | None:
        """What a policy began with; None before that is published."""
        with self.journal.reading() as connection:
            return newest(connection, self.channel, name, step=-1)

    def last_version(self, name: str) -> int | None:
        """The highest version that was ever published of a policy, whether it survives or not."""
        own = and_(policies.c.channel == self.channel, policies.c.name == name)
        with self.journal.reading() as connection:
            found: int | None = connection.scalar(select(func.max(policies.c.version)).where(own))
        return found

    def lags(self, taken: Sequence[Offer]) -> list[int]:
        """How many steps what sampled each of them is behind, of now."""
        with self.journal.reading() as connection:
            return lags(connection, self.channel, taken)

    def waiting(self, topic: str) -> int:
        """How many surviving offers nobody has acknowledged."""
        with self.journal.reading() as connection:
            return count(connection, waiting(Topic(self.channel, topic)))

    def free(self, topic: str) -> int:
        """How many of those nobody has leased either."""
        with self.journal.reading() as connection:
            return count(connection, self._free(topic, self.clock(connection)))

    def ledger(self, topic: str, allowed_seconds: float = ALLOWED_SECONDS) -> Ledger:
        """How the topic's offers stand; unacknowledged for longer than allowed is `never`."""
        with self.journal.reading() as connection:
            return ledger(connection, Topic(self.channel, topic), allowed_seconds)

    def _check(self, connection: Connection) -> None:
        """Be alone, and see that no other process goes on with this run. Raises: DataError."""
        lock(connection)
        later = connection.scalars(succeeded(**self.life)).all()
        if later:
            raise DataError(
                f"life {self.life['life']} of run {self.life['run']} was resumed as life "
                f"{max(later)}: end this process, the other one goes on"
            )

    def _own(self, connection: Connection, taken: Sequence[Offer]) -> None:
        """See that this life has the last lease of each offer. Raises: DataError."""
        mine = and_(*[leases.c[name] == value for name, value in self.life.items()])
        ids = [offer.id for offer in taken]
        wanted = select(leases.c.offer).where(leases.c.offer.in_(ids), mine, last_leases())
        lost = sorted({*ids} - {*connection.scalars(wanted)})
        if lost:
            raise DataError(
                f"the offers {lost} are not this trainer's any more: their leases ran out and "
                "another took them; take them for more seconds, or prolong them"
            )

    def _answer(self, connection: Connection, those: Sequence[Offer], row: dict[str, Any]) -> None:
        if those:
            rows = [{"offer": offer.id, **self.life, **row} for offer in those]
            connection.execute(acknowledgements.insert(), rows)

    def _lease(
        self, connection: Connection, those: Sequence[Offer], now: float, seconds: float
    ) -> None:
        """A lease more for each."""
        ids = [offer.id for offer in those]
        before = select(leases.c.offer, func.max(leases.c.number)).where(leases.c.offer.in_(ids))
        found = connection.execute(before.group_by(leases.c.offer))
        numbers = {row[0]: row[1] for row in found}
        row = {**self.life, "taken": now, "until": now + seconds}
        rows = [{"offer": id, "number": numbers.get(id, 0) + 1, **row} for id in ids]
        if rows:
            connection.execute(leases.insert(), rows)


def of_step(table: Table, key: tuple[str, int, int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Some groups' rows of one life's step."""
    own = (table.c.run, table.c.life, table.c.step)
    same = [column == value for column, value in zip(own, key, strict=True)]
    return and_(*same, table.c.group.in_(numbers))
