"""What tests of the exchange play with: groups of a main agent and a searcher, and two trainers.

Processes that are killed begin often, so nothing here imports torch.
"""

import numpy as np

from agentrl.journal.exchange import Exchange
from agentrl.types import (
    Completion,
    Episode,
    Finish,
    Group,
    Parent,
    Source,
    Span,
    Task,
    Trajectory,
    Turn,
)

TOPIC = "searcher"


def said(ids, **fields):
    """A turn that sampled these ids."""
    heard = Span(ids=np.array([1, 2]), source=Source.ENV)
    logprobs = np.array([-0.5, -0.125][: len(ids)], np.float32)
    fields = {"text": "", "finish": Finish.STOP, **fields}
    return Turn(
        spans=(heard,), completion=Completion(ids=np.array(ids), logprobs=logprobs, **fields)
    )


def query(name, step=0, *, version=0, policy="small", calls=2):
    """A group of two attempts; each calls the searcher, who answers with the group's name."""
    task = Task(env="test", data={"name": name})

    def attempt(number):
        leads = Trajectory(turns=(said([2, 3]),), success=number == 0, reward=float(number))
        cast = (leads, *(call(n) for n in range(calls)))
        return Episode(task=task, attempt=number, trajectories=cast)

    def call(number):
        turns = (said([5, number], policy=policy, version=version),)
        return Trajectory(agent=TOPIC, parent=Parent(0, 0, number), turns=turns, answer=name)

    return Group(task=task, episodes=(attempt(0), attempt(1)), step=step)


def name_of(played):
    """The name that a group was made with."""
    return played.episodes[0].trajectories[-1].answer


class Clock:
    """A database's clock that only the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self, connection):
        return self.now


def trader(journal, run=None, from_step=0, *, channel="", clock=None):
    """An exchange of a new life; of a new run if none is given."""
    made = Exchange(journal.begin({}, run, from_step), channel)
    if clock is not None:
        made.clock = clock
    return made


def resumed(exchange, from_step):
    """The next life of a trader's run."""
    again = trader(exchange.journal, exchange.life["run"], from_step, channel=exchange.channel)
    again.clock = exchange.clock
    return again


def played(exchange, writer_step, names, **fields):
    """Play groups in a step, write and offer them; how many were offered."""
    groups = [query(name, writer_step, **fields) for name in names]
    first = exchange.writer.groups(writer_step, groups)
    return exchange.offer(TOPIC, writer_step, first, groups, policy="small")
