"""Global random state of foreign libraries, swapped in and out so that nobody else sees it.

A library that seeds `random` or `numpy.random` ties every episode of a process together: one
reset, and all others draw again from its beginning. Here each episode has a state of its own. It
is put in place for one call at a time, and what stood there before comes back.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from agentrl.errors import EnvError

NUMPY: Any = np.random
"""Its type stubs lack `get_bit_generator` and `set_bit_generator`."""
PATIENCE_SECONDS = 60.0
"""A call that holds the global state for longer is taken for hung, and loses it."""


class State(NamedTuple):
    """Where the two global generators stand.

    Of numpy's the generator itself is exchanged: copying its state would cost 0.1 ms each way.
    """

    python: Any
    numpy: Any
    """A bit generator."""
    gauss: Any = None
    """Numpy's whole state where it holds half of a pair of normal draws, which an exchange drops.
    """

    @classmethod
    def seeded(cls, seed: int) -> State:
        """Where a seed begins."""
        return cls(random.Random(seed).getstate(), np.random.MT19937(seed))

    @classmethod
    def present(cls) -> State:
        """Where they stand now."""
        whole: Any = np.random.get_state(legacy=False)
        gauss = whole if whole["has_gauss"] else None
        return cls(random.getstate(), NUMPY.get_bit_generator(), gauss)

    def restore(self) -> None:
        """Make them stand here."""
        random.setstate(self.python)
        NUMPY.set_bit_generator(self.numpy)
        if self.gauss is not None:
            np.random.set_state(self.gauss)


class Gate:
    """Lets one thread at a time have the global state."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._ticket: object | None = None
        self._outer: State | None = None
        self._since = 0.0

    def take(self, own: State) -> object:
        """Put a state in place and return a ticket; waits, then pushes a hung holder aside."""
        with self._free:
            while self._ticket is not None and (left := self._left()) > 0:
                self._free.wait(left)
            if self._ticket is not None and self._outer is not None:
                self._outer.restore()
            self._outer, self._ticket, self._since = State.present(), object(), time.monotonic()
            own.restore()
            return self._ticket

    def give(self, ticket: object) -> State | None:
        """Put back what was there and return what is there now, or None to one pushed aside."""
        with self._free:
            if ticket is not self._ticket or self._outer is None:
                return None
            own = State(random.getstate(), NUMPY.get_bit_generator())
            self._outer.restore()
            self._ticket = None
            self._free.notify()
            return own

    def _left(self) -> float:
        return self._since + PATIENCE_SECONDS - time.monotonic()


GATE = Gate()
os.register_at_fork(after_in_child=GATE.__init__)  # type: ignore[misc] # its holder stays behind


class GlobalRandom:
    """One episode's own state of `random` and `numpy.random`."""

    def __init__(self, seed: int) -> None:
        self._own = State.seeded(seed)

    @contextmanager
    def swapped(self, doing: str) -> Iterator[None]:
        """Have this state in place for one call. Not re-entrant.

        Raises:
            EnvError: the call took so long that another one went on without it.
        """
        ticket, own = GATE.take(self._own), None
        try:
            yield
        finally:
            own = GATE.give(ticket)
        if own is None:
            raise EnvError(
                f"{doing} took over {PATIENCE_SECONDS:g} s and lost the global random state: its "
                "episode would not repeat itself"
            )
        self._own = own
