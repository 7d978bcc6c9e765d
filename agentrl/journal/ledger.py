"""Was every offer trained exactly once? What the journal itself says of a topic."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, and_, cast, func, select

from agentrl.journal.exchange_tables import acknowledgements, offers
from agentrl.journal.lineage import surviving
from agentrl.journal.standing import Topic, about, clock, count, leased, waiting

ALLOWED_SECONDS = 3600.0
"""An offer that has not been acknowledged for longer is `never`, if nobody says otherwise."""


class Ledger(NamedTuple):
    """A topic's offers, as they stand in the surviving lineages of all runs."""

    channel: str
    topic: str
    offered: int
    """Offers that survive; the next four are among them."""
    trained: int
    """Acknowledged once, as trained."""
    refused: int
    """Acknowledged once, as too old."""
    waiting: int
    """Not acknowledged, and young enough."""
    leased: int
    """Of those not acknowledged: in somebody's hands."""
    twice: tuple[int, ...]
    """Ids of offers that were acknowledged more than once."""
    never: tuple[int, ...]
    """Ids of offers that have not been acknowledged for longer than was allowed."""
    taken_back: int
    """Trained, but their producer was killed and repeats that step: they survive no more."""

    @property
    def exact(self) -> bool:
        """Whether all that is old enough was acknowledged exactly once."""
        return not self.twice and not self.never

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        ids = {"twice": list(self.twice), "never": list(self.never)}
        return {**self._asdict(), **ids, "exact": self.exact}


def ledger(connection: Connection, topic: Topic, allowed_seconds: float) -> Ledger:
    """Count a topic's offers; without acknowledgement for longer than allowed is `never`."""
    made = and_(acknowledgements.c.offer == offers.c.id, surviving(acknowledgements))
    times, good = (
        func.count(acknowledgements.c.offer),
        func.coalesce(func.sum(cast(acknowledgements.c.trained, Integer)), 0),
    )
    wanted = select(offers.c.id, offers.c.created, times, good)
    wanted = wanted.select_from(offers.outerjoin(acknowledgements, made))
    wanted = wanted.where(about(topic), surviving(offers)).group_by(offers.c.id, offers.c.created)
    rows, now = connection.execute(wanted.order_by(offers.c.id)).all(), clock(connection)
    old = {id for id, created, times, _ in rows if not times and now - created >= allowed_seconds}
    return Ledger(
        *topic,
        offered=len(rows),
        trained=sum(times == 1 == good for _, _, times, good in rows),
        refused=sum(times == 1 > good for _, _, times, good in rows),
        waiting=sum(not times and id not in old for id, _, times, _ in rows),
        leased=count(connection, and_(waiting(topic), leased(now))),
        twice=tuple(id for id, _, times, _ in rows if times > 1),
        never=tuple(sorted(old)),
        taken_back=taken_back(connection, topic),
    )


def taken_back(connection: Connection, topic: Topic) -> int:
    """How many offers were trained that survive no more."""
    done = and_(acknowledgements.c.offer == offers.c.id, acknowledgements.c.trained)
    dead = and_(about(topic), ~surviving(offers), surviving(acknowledgements))
    wanted = select(func.count(offers.c.id.distinct())).join(acknowledgements, done).where(dead)
    return connection.scalar(wanted.select_from(offers)) or 0


def topics(connection: Connection) -> list[Topic]:
    """All that was ever offered."""
    wanted = select(offers.c.channel, offers.c.topic).distinct()
    return [Topic(*row) for row in connection.execute(wanted.order_by(*wanted.selected_columns))]
