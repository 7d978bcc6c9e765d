"""The journal as an object: an engine on a database that holds the tables, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from agentrl.errors import DataError
from agentrl.journal import reading
from agentrl.journal.exchange_tables import all_tables
from agentrl.journal.overview import overview
from agentrl.journal.place import database_url
from agentrl.journal.reading import Credit, Life, RunRow
from agentrl.journal.tables import SCHEMA, lives, meta, runs
from agentrl.journal.writing import Writer
from agentrl.types import Group

WAIT_SECONDS = 30
"""How long a writer waits for another one; SQLite has one at a time."""
LOCK = 7_216_310_528
"""Of PostgreSQL: an arbitrary number that nobody else uses."""


class Journal:
    """A database of runs: what every life of them played, and what was made of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name = engine.url.render_as_string()

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Journal:
        """The journal behind a URL; tables are made where there are none, if it may.

        Raises:
            ConfigError: no URL of ours.
            DataError: it cannot be reached, is no database, or is of another schema version.
        """
        made = database_url(url)
        path = Path(made.database or "")
        if made.get_backend_name() == "sqlite" and not (create or path.exists()):
            raise DataError(f"there is no journal {str(path)!r}")
        journal = cls(create_engine(made))
        if made.get_backend_name() == "sqlite":
            event.listen(journal.engine, "connect", prepare_sqlite)
        event.listen(journal.engine, "begin", begin)
        with ExitStack() as undone:
            undone.callback(journal.close)
            with journal.writing("open") as connection:
                prepare(connection, journal.name, create)
            undone.pop_all()
        return journal

    def begin(
        self, config: Mapping[str, Any], run: str | None = None, from_step: int = 0
    ) -> Writer:
        """A new run, or another life of one that goes on from a step.

        Raises:
            DataError: no such run, or the database refuses.
        """
        with self.writing("begin a life in") as connection:
            lock(connection)  # lives are counted
            known = select(runs.c.id).where(runs.c.id == run)
            if run is not None and connection.scalar(known) is None:
                raise DataError(f"the journal {self.name} holds no run {run!r}")
            now, last = time.time(), None
            if run is None:
                run = uuid4().hex
                new = {"id": run, "created": now, "config": dict(config)}
                connection.execute(runs.insert(), [new])
            else:
                last = connection.scalar(select(func.max(lives.c.life)).where(lives.c.run == run))
            life = 0 if last is None else last + 1
            number = connection.scalar(select(func.count()).select_from(lives)) or 0
            row = {"run": run, "life": life, "number": number, "from_step": from_step}
            connection.execute(lives.insert(), [{**row, "created": now}])
        return Writer(self, run, life, number)

    def runs(self) -> list[RunRow]:
        """Every run, oldest first."""
        with self.reading() as connection:
            return reading.runs_of(connection)

    def lives(self, run: str) -> list[Life]:
        """The lives of a run, in order."""
        with self.reading() as connection:
            return reading.lives_of(connection, run)

    def steps(self, run: str) -> list[int]:
        """The steps of a run that have surviving groups."""
        with self.reading() as connection:
            return reading.steps_of(connection, run)

    def groups(self, run: str, step: int | None = None) -> list[Group]:
        """The surviving groups as they were written: of one step, or of all."""
        with self.reading() as connection:
            steps = reading.steps_of(connection, run) if step is None else [step]
            return [group for one in steps for group in reading.groups_of(connection, run, one)]

    def credits(self, run: str, step: int) -> list[Credit]:
        """What the learner made of a step's surviving turns."""
        with self.reading() as connection:
            return reading.credits_of(connection, run, step)

    def overview(self, run: str) -> dict[str, Any]:
        """A run in numbers: what `agentrl journal --json` prints."""
        with self.reading() as connection:
            return overview(connection, run)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database. Raises: DataError."""
        with self._errors("read"), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self, doing: str = "write to") -> Iterator[Connection]:
        """A transaction that is kept if the block ends well. Raises: DataError."""
        with self._errors(doing), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:  # keys follow from what is written
            raise DataError(
                f"cannot {doing} the journal {self.name} ({reason(error)}): a step is written once "
                "in a life, its groups before their credits and offers"
            ) from error
        except (SQLAlchemyError, sqlite3.Error) as error:  # the drivers' own, whatever they are
            raise DataError(f"cannot {doing} the journal {self.name}: {reason(error)}") from error

    def close(self) -> None:
        """Give the connections back; SQLite then folds its write-ahead log into the file."""
        self.engine.dispose()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    """One new connection to a file: readers and a writer side by side, no lost commits."""
    connection.isolation_level = None  # transactions begin where `begin` says
    connection.execute(f"PRAGMA busy_timeout={1000 * WAIT_SECONDS}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA recursive_triggers=ON")  # else REPLACE passes the guards
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def begin(connection: Connection) -> None:
    """Begin a transaction; on SQLite a writer queues up first, or it could not wait at all."""
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def lock(connection: Connection) -> None:
    """Be alone with what is counted or made once; on SQLite a writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))


def prepare(connection: Connection, name: str, create: bool) -> None:
    """See that the tables are there, and of this version. Raises: DataError."""
    lock(connection)
    if not inspect(connection).has_table("meta"):
        if not create:
            raise DataError(f"{name} holds no journal")
        all_tables.create_all(connection, checkfirst=False)
        connection.execute(meta.insert(), [{"schema": SCHEMA}])
    found = connection.scalar(select(meta.c.schema))
    if found != SCHEMA:
        raise DataError(
            f"the journal {name} has schema version {found}, this agentrl reads {SCHEMA}: use the "
            "version that wrote it, or another journal"
        )


def reason(error: Exception) -> str:
    """What the driver said, in one line."""
    said = str(getattr(error, "orig", None) or error).strip()
    return " ".join(said.splitlines()[:2]) or type(error).__name__
