"""JSON lines over a socket: how this process talks to those it has started."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any


class Lines:
    """JSON lines over a socket, each with a deadline on the monotonic clock."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = bytearray()

    def read(self, until: float | None = None) -> dict[str, Any]:
        """The next line; without a deadline it waits for ever.

        Raises:
            TimeoutError: none came in time.
            ConnectionError: the other side has ended.
        """
        while (end := self.received.find(b"\n")) < 0:
            self._limit(until)
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise ConnectionResetError("the process has ended")
            self.received += piece
        line, self.received = self.received[:end], self.received[end + 1 :]
        return dict(json.loads(line))

    def write(self, message: Mapping[str, Any], until: float | None = None) -> None:
        """Send a line; raises like `read`."""
        self._limit(until)
        self.connection.sendall(json.dumps(message).encode() + b"\n")

    def _limit(self, until: float | None) -> None:
        left = None if until is None else max(until - time.monotonic(), 1e-3)
        self.connection.settimeout(left)
