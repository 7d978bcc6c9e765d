"""What the journal refuses, and that it is only ever added to."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from builders import completion, group, mixed_groups, turn

from agentrl.errors import DataError
from agentrl.journal.exchange import Exchange, Terms
from agentrl.journal.reading import Credit
from agentrl.journal.tables import metadata
from agentrl.journal.writing import Writer, episode_id
from agentrl.types import Trajectory

TABLES = metadata.sorted_tables


@pytest.fixture
def writer(journal):
    """Of a run with three groups in step 0, and a row in every other table."""
    writer = journal.begin({"seed": 1})
    writer.groups(0, mixed_groups())
    writer.credits(0, [Credit(0, 0, 0, 0, 1.0, 0.5, 2)])
    exchange = Exchange(writer)
    exchange.offer("main", 0, 0, mixed_groups())
    exchange.acknowledge(0, exchange.take("main", 0, Terms()).offers)
    exchange.publish("main", 0, 1, "here")
    return writer


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("change", ["update", "delete"])
def test_no_row_is_ever_changed(writer, table, change):
    statement = table.delete()
    if change == "update":
        first = next(iter(table.c))
        statement = table.update().values({first: first})
    with (
        pytest.raises(DataError, match="the journal is only added to"),
        writer.journal.writing() as connection,
    ):
        connection.execute(statement)


def test_no_row_is_replaced(writer):
    if writer.journal.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite has REPLACE")
    with (
        pytest.raises(DataError, match="only added to"),
        writer.journal.writing() as connection,
    ):
        connection.exec_driver_sql("REPLACE INTO runs SELECT * FROM runs")


def test_a_step_is_written_once(writer):
    again = Writer(writer.journal, writer.run, writer.life, writer.number)
    with pytest.raises(DataError, match="a step is written once in a life"):
        again.groups(0, mixed_groups())
    assert len(writer.journal.groups(writer.run, 0)) == 3


def test_credits_are_written_once_and_of_turns_that_are_there(writer):
    for credit in (Credit(0, 0, 0, 0, 1.0, 0.5, 2), Credit(9, 0, 0, 0, 1.0, 0.5, 2)):
        with pytest.raises(DataError, match="groups before their credits"):
            writer.credits(0, [credit])


def test_a_call_is_written_whole_or_not_at_all(writer):
    said = completion([1])
    huge = replace(said, ids=np.array([2**31]))
    broken = group(Trajectory(turns=(replace(turn([3], [1]), completion=huge),)))
    with pytest.raises(DataError, match="2147483648 is no token id"):
        writer.groups(0, [*mixed_groups(), broken])
    assert len(writer.journal.groups(writer.run, 0)) == 3
    assert writer.groups(0, mixed_groups()) == 3


def test_groups_of_another_step_are_refused(writer):
    with pytest.raises(DataError, match="a group of step 0 is written as one of step 1"):
        writer.groups(1, mixed_groups())


def test_an_episodes_id_follows_from_its_key():
    keys = sorted(product((0, 1, 2**20 - 1), (0, 9, 2**20 - 1), (0, 4095), (0, 1, 2047)))
    ids = [episode_id(*key) for key in keys]
    assert ids == sorted(set(ids))
    assert ids[0] == 0
    assert ids[-1] == 2**63 - 1


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ((2**20, 0, 0, 0), "life 1048576 does not fit a journal: it has 1048576 of them"),
        ((0, -1, 0, 0), "step -1 does not fit"),
        ((0, 0, 4096, 0), "group 4096 does not fit"),
        ((0, 0, 0, 2048), "place 2048 does not fit"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(key, says):
    with pytest.raises(DataError, match=says):
        episode_id(*key)
