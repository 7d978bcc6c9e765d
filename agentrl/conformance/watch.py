"""Calls that do not come back: work is done in daemon threads, which are given up when one hangs.

Every call of an environment that is checked goes through `call`, the pulse of the check.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from agentrl.errors import AgentRLError, EnvError

T = TypeVar("T")
S = TypeVar("S")
PATIENCE_SECONDS = 120.0
"""Without a new call; servers and generated games take their time."""


class Hung(Exception):  # noqa: N818 - told as a finding
    """A call did not come back; the message says which."""


@dataclass
class Pulse:
    """The newest call of this process's check."""

    doing: str = ""
    since: float = 0.0

    def beat(self, doing: str) -> None:
        """Another call begins."""
        self.doing, self.since = doing, time.monotonic()


PULSE = Pulse()


@contextmanager
def call(doing: str) -> Iterator[None]:
    """Around one call of an environment. Raises: EnvError, whatever it raised."""
    PULSE.beat(doing)
    try:
        yield
    except AgentRLError:
        raise
    except (Exception, SystemExit) as error:  # one that exits would end the check without a word
        raise EnvError(f"{doing}: {type(error).__name__}: {error}") from error


def watched(work: Callable[[], T]) -> T:
    """What `work` brings, done in a thread of its own.

    Raises:
        Hung: no call began for `PATIENCE_SECONDS`.
    """
    PULSE.beat("making an environment")
    future = started(work)
    while not future.done():
        left = PULSE.since + PATIENCE_SECONDS - time.monotonic()
        if left <= 0:
            raise Hung(f"{PULSE.doing} did not come back within {PATIENCE_SECONDS:g} s")
        wait([future], left)
    return future.result()


def side_by_side(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """What a function brings for each item, each in a thread of its own at the same time."""
    futures = [started(partial(function, item)) for item in items]
    return [future.result() for future in futures]


def started(work: Callable[[], T]) -> Future[T]:
    """Work under way in a daemon thread: one that hangs keeps no process from ending."""
    future: Future[T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=do, name="agentrl-check", daemon=True).start()
    return future
