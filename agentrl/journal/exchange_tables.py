"""The tables of the exchange: what trainers that meet only in the journal hand over.

    groups -> offers -> leases                  an offer of one group's trajectories of one agent
              offers -> acknowledgements        by the consumer's (run, life, step)
    lives  -> policies                          published versions, and where to load or reach them

Rows are inserted once, here too: a lease is prolonged by another one. `created`, `taken` and
`until` are the database's clock (`standing.clock`), in seconds since 1970.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from agentrl.journal.tables import Text, column, guard, metadata


def counted() -> Column[Any]:
    """A key that the database counts: what is inserted later has a higher one."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def of_life() -> ForeignKeyConstraint:
    """Columns `run` and `life` are a life."""
    return ForeignKeyConstraint(["run", "life"], ["lives.run", "lives.life"])


offers = Table(
    "offers",
    metadata,
    counted(),
    column("channel", Text),  # the trainers that belong together, in a journal that others share
    column("topic", Text),  # the agent whose trajectories are offered
    column("run", String(32)),
    column("life", Integer),
    column("step", BigInteger),
    column("group", Integer),
    column("policy", Text),  # that sampled them
    column("version", BigInteger),  # the oldest that sampled a token of them
    column("created", Double),
    UniqueConstraint("channel", "topic", "run", "life", "step", "group"),
    ForeignKeyConstraint(
        ["run", "step", "life", "group"],
        ["groups.run", "groups.step", "groups.life", "groups.group"],
    ),
)

leases = Table(
    "leases",
    metadata,
    column("offer", ForeignKey("offers.id")),
    column("number", Integer),  # the last one counts
    column("run", String(32)),
    column("life", Integer),
    column("taken", Double),
    column("until", Double),
    PrimaryKeyConstraint("offer", "number"),
    of_life(),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    column("offer", ForeignKey("offers.id")),
    column("run", String(32)),
    column("life", Integer),
    column("step", BigInteger),
    column("trained", Boolean),  # false: refused, for being too old
    column("created", Double),
    PrimaryKeyConstraint("offer", "run", "life"),
    of_life(),
)

policies = Table(
    "policies",
    metadata,
    counted(),
    column("channel", Text),
    column("name", Text),
    column("run", String(32)),
    column("life", Integer),
    column("step", BigInteger),  # that made it; -1 for what the run began with
    column("version", BigInteger),
    column("location", Text),
    column("created", Double),
    UniqueConstraint("channel", "name", "run", "life", "version"),
    of_life(),
    Index("policies_by_name", "channel", "name"),
)

for table in (offers, leases, acknowledgements, policies):
    guard(table)
all_tables = metadata
"""With these among them."""
