"""Answers of endpoints on disk, so that a run can be repeated without the endpoint."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentrl.errors import DataError, boundary
from agentrl.tools.sparql.result import Result

TABLE = """CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, asked TEXT NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL)"""


@dataclass(frozen=True)
class Cache:
    """A SQLite file of answers; safe for threads and for processes that share it.

    Raises:
        DataError: the file is no cache, or cannot be written.
    """

    path: str

    def __post_init__(self) -> None:
        with boundary(DataError, f"cannot make the folder of the cache {self.path!r}"):
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._run("PRAGMA journal_mode=WAL")
        self._run(TABLE)

    def find(self, asked: Sequence[Any]) -> Result | None:
        """The answer to what was asked (endpoint, query, limits, dump date), if it is there."""
        found = self._run("SELECT answer FROM answers WHERE key = ?", _key(asked))
        if not found:
            return None
        kept = json.loads(found[0][0])
        rows = tuple(tuple(row) for row in kept.pop("rows"))
        return Result(variables=tuple(kept.pop("variables")), rows=rows, **kept)

    def keep(self, asked: Sequence[Any], answer: Result) -> None:
        """Write an answer down; the last one counts."""
        values = (_key(asked), json.dumps(asked), json.dumps(asdict(answer)), time.time())
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", *values)

    def count(self) -> int:
        """Answers that it holds."""
        return int(self._run("SELECT COUNT(*) FROM answers")[0][0])

    def _run(self, statement: str, *values: Any) -> list[Any]:
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as file, file:
                return file.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path} does not work as a cache: {error}: move it away, or name another"
            ) from error


def _key(asked: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
