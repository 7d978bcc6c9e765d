"""How offers stand: conditions on them, and how they are read.

    surviving      its producer's (run, life, step) is of the surviving lineage
    acknowledged   by a consumer whose (run, life, step) is
    leased         its last lease has not run out, and nobody has taken over the life that has it
    free           surviving, neither acknowledged nor leased

A consumer that is killed and goes on from the checkpoint of step k begins a life there: what it
acknowledged in step k or later is free again, and what it had leased is too, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    exists,
    func,
    literal,
    select,
    text,
    union_all,
)

from agentrl.journal.exchange_tables import acknowledgements, leases, offers, policies
from agentrl.journal.lineage import surviving
from agentrl.journal.tables import lives

CLOCKS = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())::float8",
}


class Topic(NamedTuple):
    """What is exchanged: what one policy is trained on, among the trainers of a channel."""

    channel: str
    name: str


class Offer(NamedTuple):
    """What one policy sampled in one group, for whoever is trained on it."""

    id: int
    topic: str
    run: str
    """The producer's, and so are life and step."""
    life: int
    step: int
    group: int
    policy: str
    """That sampled them."""
    version: int
    """The oldest that sampled a token of them."""
    created: float


class Published(NamedTuple):
    """A version of a policy, and where it is."""

    name: str
    run: str
    life: int
    step: int
    """That made it; -1 for what the run began with."""
    version: int
    location: str
    """A folder to load it from, or a URL to reach it by."""
    created: float


class Sign(NamedTuple):
    """The last thing that a trainer did."""

    run: str
    life: int
    age: float
    """In seconds."""


def clock(connection: Connection) -> float:
    """The database's clock: machines differ, and it is one. Seconds since 1970."""
    return float(connection.execute(text(CLOCKS[connection.dialect.name])).scalar_one())


def about(topic: Topic) -> ColumnElement[bool]:
    """Offers of one topic."""
    return and_(offers.c.channel == topic.channel, offers.c.topic == topic.name)


def acknowledged() -> ColumnElement[bool]:
    """Whether an offer was trained or refused, in a step that survives."""
    own = acknowledgements.c.offer == offers.c.id
    return exists().where(own, surviving(acknowledgements)).correlate(offers)


def last_leases() -> ColumnElement[bool]:
    """Whether a lease is the last one of its offer."""
    later = leases.alias()
    return ~exists().where(later.c.offer == leases.c.offer, later.c.number > leases.c.number)


def current(rows: FromClause) -> ColumnElement[bool]:
    """Whether the life of a row with `run` and `life` is its run's last one."""
    later = lives.alias()
    return ~exists().where(later.c.run == rows.c.run, later.c.life > rows.c.life)


def leased(now: float) -> ColumnElement[bool]:
    """Whether somebody has an offer."""
    held = and_(leases.c.offer == offers.c.id, leases.c.until > now)
    return exists().where(held, last_leases(), current(leases)).correlate(offers)


def waiting(topic: Topic) -> ColumnElement[bool]:
    """Surviving offers of a topic that nobody has acknowledged."""
    return and_(about(topic), surviving(offers), ~acknowledged())


def count(connection: Connection, those: ColumnElement[bool]) -> int:
    """How many offers are so."""
    return connection.scalar(select(func.count()).select_from(offers).where(those)) or 0


def offers_where(those: ColumnElement[bool]) -> Select[Any]:
    """The offers that are so, oldest first."""
    wanted = [offers.c[name] for name in Offer._fields]
    return select(*wanted).where(those).order_by(offers.c.id)


def newest(
    connection: Connection, channel: str, name: str, step: int | None = None
) -> Published | None:
    """What was published last of a policy in the surviving lineage; by one step, if it is given."""
    own = and_(policies.c.channel == channel, policies.c.name == name, surviving(policies))
    if step is not None:
        own = and_(own, policies.c.step == step)
    wanted = select(*[policies.c[name] for name in Published._fields]).where(own)
    row = connection.execute(wanted.order_by(policies.c.id.desc()).limit(1)).first()
    return None if row is None else Published(*row)


def lags(connection: Connection, channel: str, taken: Sequence[Offer]) -> list[int]:
    """Each offer's lag behind its policy's newest weights; 0 until there are any."""
    newest_of = {name: newest(connection, channel, name) for name in {o.policy for o in taken}}
    known = [newest_of[offer.policy] for offer in taken]
    return [
        0 if now is None else lag(connection, channel, offer, now)
        for offer, now in zip(taken, known, strict=True)
    ]


def lag(connection: Connection, channel: str, offer: Offer, now: Published) -> int:
    """Steps of a policy's trainer between what sampled an offer and its newest weights.

    A version of a life that was killed counts by the step that made it; one that nobody published
    by its number.
    """
    own = and_(policies.c.channel == channel, policies.c.name == offer.policy)
    made = select(policies.c.step).where(own, policies.c.version == offer.version)
    step: int | None = connection.scalar(made.order_by(policies.c.id.desc()).limit(1))
    return abs(now.version - offer.version if step is None else now.step - step)


def producer_sign(connection: Connection, topic: Topic) -> Sign | None:
    """The last sign of life of whoever offers, if anybody ever did."""
    wanted = select(offers.c.run, offers.c.created.label("at")).where(about(topic))
    return last_sign(connection, wanted)


def consumer_sign(connection: Connection, topic: Topic) -> Sign | None:
    """The last sign of life of whoever takes, if anybody ever did."""
    taken = select(leases.c.run, leases.c.taken.label("at"))
    done = select(acknowledgements.c.run, acknowledgements.c.created.label("at"))
    both = union_all(
        taken.join(offers, offers.c.id == leases.c.offer).where(about(topic)),
        done.join(offers, offers.c.id == acknowledgements.c.offer).where(about(topic)),
    )
    return last_sign(connection, select(*both.subquery().c))


def last_sign(connection: Connection, done: Select[tuple[str, float]]) -> Sign | None:
    """Of rows of a run and a time the last one; the start of that run's last life counts too."""
    acts = done.subquery()
    row = connection.execute(
        select(acts.c.run, acts.c.at).order_by(acts.c.at.desc()).limit(1)
    ).first()
    if row is None:
        return None
    begun = select(lives.c.life, lives.c.created).where(lives.c.run == row[0])
    life, started = connection.execute(begun.order_by(lives.c.life.desc()).limit(1)).one()
    return Sign(row[0], life, max(0.0, clock(connection) - max(row[1], started)))


def succeeded(run: str, life: int) -> Select[tuple[int]]:
    """The lives that took over a life of a run."""
    return select(lives.c.life).where(lives.c.run == literal(run), lives.c.life > life)
