"""How fast a host is asked, by everyone in this process together, and when to try again."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Pace:
    """The requests of one host: so many per second, so many at a time; the strictest wish wins."""

    per_second: float = float("inf")
    concurrent: int = 1_000_000
    _turns: threading.Condition = field(default_factory=threading.Condition)
    _running: int = 0
    _next: float = 0.0
    """On the monotonic clock: no request begins before."""
    answered: float = float("-inf")
    """When the host last gave a proper answer."""

    def limit(self, per_second: float, concurrent: int) -> None:
        """Ask no faster than this; 0 is no wish."""
        with self._turns:
            self.per_second = min(self.per_second, per_second or float("inf"))
            self.concurrent = min(self.concurrent, concurrent or 1_000_000)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a request may begin; the block is that request."""
        with self._turns:
            while self._running >= self.concurrent or (wait := self._next - time.monotonic()) > 0:
                full = self._running >= self.concurrent
                self._turns.wait(None if full else wait)
            self._running += 1
            self._next = time.monotonic() + 1 / self.per_second
        try:
            yield
        finally:
            with self._turns:
                self._running -= 1
                self._turns.notify_all()

    def hold(self, seconds: float) -> None:
        """Let nobody begin for so long: the host asked for it."""
        with self._turns:
            self._next = max(self._next, time.monotonic() + seconds)


_paces: dict[str, Pace] = {}
_lock = threading.Lock()


def pace_of(host: str) -> Pace:
    """The pace of a host (`name:port`), shared in this process."""
    with _lock:
        return _paces.setdefault(host, Pace())


def backoff(attempt: int, first: float, longest: float) -> float:
    """Seconds before the next attempt: doubled each time, and drawn, so that clients part."""
    return float(min(longest, first * 2**attempt) * random.uniform(0.5, 1.0))


def retry_after(header: str) -> float | None:
    """Seconds that a `Retry-After` asks for: a number or a date; None where it says neither."""
    if header.strip().isdigit():
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except (ValueError, TypeError):  # neither: the server's own idea
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
