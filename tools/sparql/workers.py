"""The embedded engine's processes, seen from the asker: one template, and workers forked from it.

The engine cannot cancel a query, so a query that outlives its limit costs its worker; the graph
stays loaded in the template.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any

from agentrl.errors import DataError, ToolError
from agentrl.tools.lines import Lines


class Worker:
    """A process that answers one query at a time."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.lines = Lines(connection)
        self.pid = int(self.lines.read(time.monotonic() + seconds)["pid"])
        self.alive = True

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer of a query; what follows the rows, their number, is added to it.

        Raises:
            TimeoutError: no answer within `seconds`.
            ConnectionError: the process has ended.
        """
        until = time.monotonic() + seconds
        self.lines.write(request, until)
        answer = self.lines.read(until)
        if answer.get("more"):
            try:
                answer |= self.lines.read(until)
            except OSError:  # too late or dead: the rows that came count more than their number
                self.kill()
        return answer

    def waits(self) -> bool:
        """Whether an idle worker is still there."""
        try:
            self.lines.connection.setblocking(False)
            self.lines.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:  # nothing to read and nothing at its end: it waits
            return True
        except OSError:  # it was killed
            return False
        return False

    def kill(self) -> None:
        """End the process, whatever it does."""
        if self.alive:
            self.alive = False
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.kill(self.pid, signal.SIGKILL)
            self.lines.connection.close()


class Template:
    """The process that holds the graph and forks workers.

    Raises:
        DataError: a file cannot be read or parsed.
        ToolError: the text does not parse, or the process cannot start.
    """

    def __init__(self, load: Mapping[str, Any], seconds: float) -> None:
        self.seconds = seconds
        self.lock = threading.Lock()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (stop closes it)
        self.control, far = socket.socketpair()
        command = [sys.executable, "-m", "agentrl.tools.sparql.engine", str(far.fileno())]
        with far:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=self.log, pass_fds=[far.fileno()]
            )
        try:
            self._load(load)
        except BaseException:  # an interrupt too: the process must not outlive its owner
            self.stop()
            raise

    def _load(self, load: Mapping[str, Any]) -> None:
        doing = "the SPARQL engine did not load its graph"
        pipe = self.process.stdin
        try:
            with contextlib.suppress(BrokenPipeError):  # it died: reading says so
                if pipe is not None:
                    pipe.write(json.dumps(load).encode())
                    pipe.close()
            answer = Lines(self.control).read(time.monotonic() + self.seconds)
        except TimeoutError as error:
            raise ToolError(f"{doing} within {self.seconds:g} s: raise load_seconds") from error
        except ConnectionError as error:
            raise ToolError(f"{doing}: {self._last_words()}") from error
        if "error" in answer:
            kind = DataError if load["files"] else ToolError
            raise kind(f"{doing}: {answer['error']}")

    def _last_words(self) -> str:
        """What the process wrote last before it ended: a traceback's last line, or of memory."""
        self.log.seek(0)
        lines = [line for line in self.log.read().decode(errors="replace").split("\n") if line]
        told = [line for line in lines if "memory allocation" in line] or lines
        return told[-1] if told else f"its process ended with {self.process.poll()}"

    def worker(self) -> Worker:
        """A new worker.

        Raises:
            OSError: the template has ended or does not answer.
        """
        near, far = socket.socketpair()
        try:
            with far, self.lock:
                socket.send_fds(self.control, [b"w"], [far.fileno()])
            return Worker(near, self.seconds)
        except BaseException:  # an interrupt too: the socket is nobody's yet
            near.close()
            raise

    def stop(self) -> None:
        """End the process; its workers end with their sockets, or at their time limit."""
        self.control.close()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # what was not sent is not needed any more
                self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
