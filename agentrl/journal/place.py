"""Where a run's journal is: a file in its folder, or a database by URL."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from sqlalchemy import URL

FILE = "journal.sqlite"
"""Its name in a run's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a run keeps its journal."""

    url: str = ""
    """`sqlite:///FILE` or `postgresql://HOST/DATABASE`; empty is `journal.sqlite` in the run's
    folder."""

    def __post_init__(self) -> None:
        if self.url:
            database_url(self.url)

    def of(self, out: Path) -> str:
        """The URL for the run in this folder."""
        return self.url or f"sqlite:///{out.resolve() / FILE}"


def database_url(url: str) -> URL:
    """A URL as SQLAlchemy takes it, with the driver that the extra installs.

    Raises:
        ConfigError: no URL of ours, one with a password, or a driver that is not installed.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    forms = "give sqlite:///FILE or postgresql://HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the message would repeat a password
        raise ConfigError(f"the journal's url is none: {forms}", "url") from None
    if parsed.password is not None or "password" in parsed.query:
        raise ConfigError(
            f"the journal's url {parsed.set(query={}).render_as_string()!r} came with a password, "
            "which run.yaml would keep: set PGPASSWORD or write it into ~/.pgpass",
            "url",
        )
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    if kind != "postgresql":
        raise ConfigError(f"the journal's url is {url!r}: {forms}", "url")
    if find_spec("psycopg") is None:
        raise MissingDependencyError("psycopg", "pip install 'agentrl[postgres]'")
    return parsed.set(drivername="postgresql+psycopg")
