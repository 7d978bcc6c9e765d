"""The journal's tables: rows are inserted once and never changed, which the database itself guards.

    meta(schema)
    runs -> lives                                   a life is one start of the process on a run
    runs -> groups -> episodes -> trajectories -> turns -> credits
    groups -> offers                                what trainers hand over: exchange_tables.py

What survives a crash is decided when reading (`lineage.py`), never by deleting. Text is JSON where
a column says so; ids are int32 and log-probs float32, little endian, one BLOB for a turn.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    event,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.types import TypeDecorator

SCHEMA = 2
"""Version of these tables; another one is refused, never guessed at."""

MARK = "\ufdd0"
"""A code point that no text has by the standard: before four hex digits it stands for another."""
_AWKWARD = re.compile(f"[\0\ud800-\udfff{MARK}]")
_MARKED = re.compile(f"{MARK}([0-9a-f]{{4}})")


def escaped(text: str) -> str:
    """A text with awkward characters marked; almost always the text itself."""
    if text.isascii() and "\0" not in text:
        return text
    return _AWKWARD.sub(lambda found: f"{MARK}{ord(found[0]):04x}", text)


def unescaped(text: str) -> str:
    """The text as it was."""
    if MARK not in text:
        return text
    return _MARKED.sub(lambda found: chr(int(found[1], 16)), text)


def real(value: float) -> float | None:
    """A plain float, and NULL for NaN: SQLite cannot tell them apart."""
    return None if value != value else float(value)


def dumped(value: Any) -> str:
    """JSON in ASCII, in the order it was given."""
    return json.dumps(value) if value else "[]" if isinstance(value, (list, tuple)) else "{}"


class Text(TypeDecorator[str]):
    """Any Python string; what UTF-8 or PostgreSQL refuses (NUL, lone surrogates) is escaped."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As every database takes it."""
        return None if value is None else escaped(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was."""
        return None if value is None else unescaped(value)


class Real(TypeDecorator[float]):
    """A float64 that is never missing: NULL is NaN."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """As every database takes it."""
        return None if value is None else real(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """As it was."""
        return math.nan if value is None else value


class Json(TypeDecorator[Any]):
    """JSON as text; None is NULL."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """As text."""
        return None if value is None else dumped(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """As Python values."""
        return None if value is None else json.loads(value)


def column(name: str, kind: Any, *, null: bool = False, unique: bool = False) -> Column[Any]:
    """A column that is not null unless it says so; a Real may always be, for NaN."""
    return Column(name, kind, nullable=null or kind is Real, unique=unique)


metadata = MetaData()

meta = Table("meta", metadata, column("schema", Integer))

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    column("created", Double),
    column("config", Json),
)

lives = Table(
    "lives",
    metadata,
    column("run", ForeignKey("runs.id")),
    column("life", Integer),
    column("number", Integer, unique=True),  # among all lives; what the episodes' ids begin with
    column("from_step", BigInteger),
    column("created", Double),
    PrimaryKeyConstraint("run", "life"),
)

groups = Table(
    "groups",
    metadata,
    column("run", String(32)),
    column("life", Integer),
    column("step", BigInteger),
    column("group", Integer),
    column("task", String(16)),
    column("env", Text),
    column("seed", BigInteger),
    column("data", Json),
    column("notes", Json),
    column("cost", Json),
    PrimaryKeyConstraint("run", "step", "life", "group"),
    ForeignKeyConstraint(["run", "life"], ["lives.run", "lives.life"]),
)

episodes = Table(
    "episodes",
    metadata,
    # follows from the natural key (`writing.episode_id`): no round trip, the same when made again
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    column("run", String(32)),
    column("life", Integer),
    column("step", BigInteger),
    column("group", Integer),
    column("place", Integer),  # in the group; nothing obliges a strategy's attempts to differ
    column("attempt", Integer),
    column("task", String(16)),
    column("env", Text),
    column("seed", BigInteger),
    column("data", Json, null=True),  # null: the group's
    column("hint", Integer),
    column("off_policy", Boolean),
    column("values", Json),
    UniqueConstraint("run", "step", "life", "group", "place"),
    ForeignKeyConstraint(
        ["run", "step", "life", "group"],
        ["groups.run", "groups.step", "groups.life", "groups.group"],
    ),
)

trajectories = Table(
    "trajectories",
    metadata,
    column("episode", ForeignKey("episodes.id")),
    column("trajectory", Integer),
    column("agent", Text),
    column("parent_trajectory", Integer, null=True),
    column("parent_turn", Integer, null=True),
    column("parent_call", Integer, null=True),
    column("status", Text),
    column("success", Boolean),
    column("answer", Text, null=True),
    column("reward", Real),
    column("parts", Json),
    column("error", Text),
    column("seconds", Real),
    column("env_seconds", Real),
    PrimaryKeyConstraint("episode", "trajectory"),
    sqlite_with_rowid=False,
)

turns = Table(
    "turns",
    metadata,
    column("episode", BigInteger),
    column("trajectory", Integer),
    column("turn", Integer),
    column("follows", Boolean),  # the context is the turn before, its completion, and `context`
    column("layout", Json),  # [[source, length], ...] of the spans in `context`
    column("context", LargeBinary),
    column("train_layout", Json, null=True),
    column("train_context", LargeBinary, null=True),
    column("head_layout", Json, null=True),
    column("head", LargeBinary, null=True),
    column("ids", LargeBinary),
    column("logprobs", LargeBinary),
    column("versions", LargeBinary, null=True),
    column("text", Text),
    column("finish", Text),
    column("policy", Text),
    column("version", BigInteger),
    column("reward", Real),
    column("parts", Json),
    column("parse", Text),
    column("reply", Text),
    column("trained", Boolean),
    column("state", Text, null=True),
    column("usage", Json, null=True),
    PrimaryKeyConstraint("episode", "trajectory", "turn"),
    ForeignKeyConstraint(
        ["episode", "trajectory"], ["trajectories.episode", "trajectories.trajectory"]
    ),
)

credits = Table(
    "credits",
    metadata,
    column("episode", BigInteger),
    column("trajectory", Integer),
    column("turn", Integer),
    column("advantage", Real),  # mean over the turn's rows
    column("weight", Real),  # sum over them
    column("rows", Integer),
    PrimaryKeyConstraint("episode", "trajectory", "turn"),
    ForeignKeyConstraint(
        ["episode", "trajectory", "turn"], ["turns.episode", "turns.trajectory", "turns.turn"]
    ),
    sqlite_with_rowid=False,
)

_REFUSE = """
CREATE OR REPLACE FUNCTION agentrl_journal_refuses() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the journal is only added to: no %% of %%', TG_OP, TG_TABLE_NAME; END $$
"""
_GUARDS = {
    "sqlite": [
        f"CREATE TRIGGER %(table)s_no_{event} BEFORE {event} ON %(table)s BEGIN "
        f"SELECT RAISE(ABORT, 'the journal is only added to: no {event} of %(table)s'); END"
        for event in ("update", "delete")
    ],
    "postgresql": [
        "CREATE TRIGGER %(table)s_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON %(table)s "
        "FOR EACH STATEMENT EXECUTE FUNCTION agentrl_journal_refuses()"
    ],
}


def statement(text: str, dialect: str) -> Any:
    """What one kind of database executes when the tables are made."""
    return DDL(text).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]


def guard(table: Table) -> None:
    """See that a table's rows are never changed, once it is made."""
    for dialect, texts in _GUARDS.items():
        for text in texts:
            event.listen(table, "after_create", statement(text, dialect))


event.listen(metadata, "before_create", statement(_REFUSE, "postgresql"))
for made in metadata.sorted_tables:
    guard(made)
