"""Opening: what is refused in one line, and several processes at once."""

import subprocess
import sys

import pytest
from sqlalchemy import create_engine, insert

from agentrl.errors import ConfigError, DataError
from agentrl.journal import Journal
from agentrl.journal.place import Place, database_url
from agentrl.journal.tables import meta, metadata

WRITE = """
import sys
sys.path.insert(0, sys.argv[3])
from agentrl.journal import Journal
from agentrl.types import Episode, Group, Task, Trajectory
task = Task(env="test", data={})
with Journal.open(sys.argv[1]) as journal:
    writer = journal.begin({"name": sys.argv[2]})
    for step in range(20):
        episodes = (Episode(task=task, trajectories=(Trajectory(answer=sys.argv[2]),)),)
        writer.groups(step, [Group(task=task, episodes=episodes, step=step)])
"""


def test_several_processes_write_at_once(url):
    command = [sys.executable, "-c", WRITE, url]
    started = [subprocess.Popen([*command, name, "."]) for name in "ab"]
    assert [process.wait(60) for process in started] == [0, 0]
    with Journal.open(url, create=False) as journal:
        for run in journal.runs():
            played = journal.groups(run.id)
            assert [group.step for group in played] == list(range(20))
            assert {group.episodes[0].main.answer for group in played} == {run.config["name"]}


def test_another_schema_version_is_refused(url):
    made = create_engine(database_url(url))
    with made.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(meta).values(schema=99))
    made.dispose()
    with pytest.raises(DataError, match=r"has schema version 99, this agentrl reads 2: use the"):
        Journal.open(url)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no.folder/j.sqlite", "unable to open database file"),
        ("text", "file is not a database"),
        ("file:{tmp}/old.sqlite?mode=ro&uri=true", "readonly database"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(tmp_path, name, says):
    (tmp_path / "text").write_text("no database, and long enough to be seen as none " * 9)
    Journal.open(f"sqlite:///{tmp_path}/old.sqlite").close()
    name = name.format(tmp=tmp_path) if ":" in name else f"{tmp_path}/{name}"
    with pytest.raises(DataError, match=says) as caught:
        Journal.open(f"sqlite:///{name}").begin({})
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reading_makes_no_file(tmp_path):
    with pytest.raises(DataError, match="there is no journal"):
        Journal.open(f"sqlite:///{tmp_path}/none.sqlite", create=False)
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(DataError, match="holds no journal"):
        Journal.open(f"sqlite:///{tmp_path}/empty.sqlite", create=False)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.sqlite"]


def test_a_server_that_is_not_there_is_one_line():
    pytest.importorskip("psycopg")
    with pytest.raises(DataError, match=r"cannot open the journal postgresql.*refused") as caught:
        Journal.open("postgresql://nobody@127.0.0.1:1/none")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:secret@host/db", "PGPASSWORD"),
        ("postgresql://me@host/db?password=secret", r"~/\.pgpass"),
        ("mysql://host/db", "give sqlite:///FILE or postgresql"),
        ("sqlite://", "give sqlite:///FILE"),
        ("journal.sqlite", "give sqlite:///FILE"),
        ("postgresql://me:secret@host:port/db", "the journal's url is none"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_its_password(url, says):
    with pytest.raises(ConfigError, match=says) as caught:
        Place(url=url)
    assert "secret" not in str(caught.value)


def test_postgresql_is_psycopgs(tmp_path):
    pytest.importorskip("psycopg")
    assert database_url("postgresql://host/db").drivername == "postgresql+psycopg"
    assert Place().of(tmp_path) == f"sqlite:///{tmp_path}/journal.sqlite"
    assert Place(url="postgresql://host/db").of(tmp_path) == "postgresql://host/db"
