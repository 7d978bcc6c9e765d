"""What tests of the exchange play with: groups of a main agent and a searcher, and two trainers."""

from dataclasses import replace

from builders import group, turn

from agentrl.journal.exchange import Exchange
from agentrl.types import Parent, Trajectory

TOPIC = "searcher"


def query(name, step=0, *, version=0, policy="small", calls=2):
    """A group of two attempts; each calls the searcher, who answers with the group's name."""

    def attempt(number):
        said = turn([1, number], [2, 3], [-0.5, -0.25])
        leads = Trajectory(turns=(said,), success=number == 0, reward=float(number))
        return [leads, *(call(n) for n in range(calls))]

    def call(number):
        said = turn([4], [5, number], [-1.0, -0.125])
        said = replace(said, completion=replace(said.completion, policy=policy, version=version))
        return Trajectory(agent=TOPIC, parent=Parent(0, 0, number), turns=(said,), answer=name)

    return replace(group(attempt(0), attempt(1)), step=step)


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
    return exchange.offer(TOPIC, writer_step, first, groups)
