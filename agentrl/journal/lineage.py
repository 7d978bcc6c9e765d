"""Which rows survive: the one rule, wherever rows of several lives of a run meet.

A run that is resumed from a checkpoint begins a new life and repeats the steps after it. What an
earlier life wrote of those steps stays in the journal, but the weights no longer know of it:

    life 0   0 1 2 3 4 5 6 -         killed in step 7, the checkpoint was of step 5
    life 1             5 6 7 8       begins with step 5
    survive  0 1 2 3 4 5 6 7 8       0 to 4 of life 0, all of life 1
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, exists

from agentrl.journal.tables import lives


def surviving(rows: FromClause) -> ColumnElement[bool]:
    """Whether a row with the columns `run`, `life` and `step` is of the surviving lineage.

    A row of life l and step s survives iff no later life of its run begins with s or before.
    """
    later = lives.alias()
    repeats = exists().where(
        later.c.run == rows.c.run,
        later.c.life > rows.c.life,
        later.c.from_step <= rows.c.step,
    )
    return ~repeats
