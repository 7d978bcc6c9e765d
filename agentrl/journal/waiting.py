"""Back-pressure: each trainer waits for the other, up to a deadline that says who is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from agentrl.errors import ConfigError, DataError
from agentrl.journal.exchange import Exchange, Taken, Terms
from agentrl.journal.standing import Sign, Topic, consumer_sign, producer_sign


def never() -> bool:
    """Nobody gives up."""
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How a trainer waits for another one."""

    poll_seconds: float = 0.2
    """Between two looks into the journal."""
    deadline_seconds: float = 1800.0
    """Waiting longer than this is an error."""
    cancelled: Callable[[], bool] = never
    """Asked at every look: True ends the waiting without an error."""

    def __post_init__(self) -> None:
        for name in ("poll_seconds", "deadline_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: give more than 0", name)


def await_room(
    exchange: Exchange,
    topic: str,
    bound: int,
    *,
    adding: int = 1,
    patience: Patience | None = None,
) -> bool:
    """Wait until `adding` more offers leave no more than `bound` waiting; False if cancelled.

    A consumer that is killed and resumed makes free again what it trained since its checkpoint:
    only that can make more than `bound` wait, and the producer then offers nothing.

    Raises:
        ConfigError: they never would.
        DataError: the deadline passed: it says when the consumer was last heard of.
    """
    if adding > bound:
        raise ConfigError(f"a step offers {adding} groups, the bound is {bound}: raise it")

    def missing() -> str:
        with exchange.journal.reading() as connection:
            sign = consumer_sign(connection, Topic(exchange.channel, topic))
        told = heard(f"trainer of {topic!r}", sign)
        return f"{exchange.waiting(topic)} offers of {topic!r} wait, the bound is {bound}: {told}"

    return wait(lambda: exchange.waiting(topic) + adding <= bound, patience, missing)


def await_offers(
    exchange: Exchange, topic: str, step: int, terms: Terms, patience: Patience | None = None
) -> Taken:
    """Wait until there are offers to take, and take them; none if cancelled.

    Raises:
        DataError: the deadline passed: it says when the producer was last heard of.
    """
    taken, refused = Taken([]), 0

    def done() -> bool:
        nonlocal taken, refused
        if exchange.free(topic) >= terms.least:  # a look hinders nobody, taking does
            taken = exchange.take(topic, step, terms)
            refused += taken.refused
        return bool(taken.offers)

    def missing() -> str:
        with exchange.journal.reading() as connection:
            sign = producer_sign(connection, Topic(exchange.channel, topic))
        free, left = exchange.free(topic), exchange.waiting(topic)
        held = f"{free} offers of {topic!r} are free and {left - free} leased"
        return f"{held}, wanted are {terms.least}: {heard(f'producer of {topic!r}', sign)}"

    wait(done, patience, missing)
    return taken._replace(refused=refused)


def wait(done: Callable[[], bool], patience: Patience | None, missing: Callable[[], str]) -> bool:
    """Wait until it is done: True; False if it was cancelled before that.

    Raises:
        DataError: the deadline passed; `missing` says who is waited for.
    """
    patience = patience or Patience()
    until = time.monotonic() + patience.deadline_seconds
    while not done():
        if patience.cancelled():
            return False
        if time.monotonic() >= until:
            raise DataError(f"{missing()} (waited {patience.deadline_seconds:g} s)")
        time.sleep(min(patience.poll_seconds, max(0.0, until - time.monotonic())))
    return True


def heard(who: str, sign: Sign | None) -> str:
    """When a trainer was last heard of, and what to look at."""
    if sign is None:
        return f"no {who} has ever been heard of: is it started, with this journal and channel?"
    return (
        f"the {who} (run {sign.run}, life {sign.life}) was last heard of {sign.age:.0f} s ago: "
        "is it still running?"
    )
