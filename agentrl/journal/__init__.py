"""The durable record of a run: groups down to turns, credits, and which of them survive.

    Journal.open(url).begin(config) -> Writer -> groups, credits         what a training appends
    Journal.open(url).groups(run, step)                                  what everybody else reads

The training never reads what it writes here; whoever resumes, repeats, compares or trains elsewhere
does. `episodes.jsonl` is an export of it.
"""

from agentrl.journal.database import Journal

__all__ = ["Journal"]
