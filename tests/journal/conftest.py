"""The journal's tests run on SQLite, and as `service` on a real PostgreSQL too."""

from itertools import count

import pytest
from postgres import fresh_database, needs_postgres, postgres_server

from agentrl.journal import Journal

NUMBERS = count()
REAL = pytest.param("postgresql", marks=(pytest.mark.service, needs_postgres))


@pytest.fixture(scope="session")
def server():
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", REAL])
def url(request, tmp_path):
    """Of a database that nobody has used."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.sqlite"
    return fresh_database(request.getfixturevalue("server"), next(NUMBERS))


@pytest.fixture
def journal(url):
    with Journal.open(url) as journal:
        yield journal
