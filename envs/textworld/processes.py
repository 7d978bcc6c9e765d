"""Workers seen from the asker: many games a process, and a process that fails is replaced.

    environment -> Game -> Crew -> Worker ~ socket ~ worker.Desk -> play.Play

A worker answers its requests in their order. The one it works on has the worker's whole time, so
its clock starts when the answer before it came. A worker that misses that deadline, or dies over a
request, costs the episode that asked; the other games that lived there are begun anew on another
worker and brought to where they were by their commands, since games are deterministic.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, NamedTuple

from agentrl.envs.textworld.games import HASH_SEED
from agentrl.errors import ConfigError, DataError, EnvError
from agentrl.tools.lines import Lines

ERRORS = {kind.__name__: kind for kind in (ConfigError, DataError, EnvError)}
START_SECONDS = 60.0
State = dict[str, Any]


class Died(Exception):  # noqa: N818  (news, not an error of ours)
    """A worker ended or was ended; `culprit` if it was over the request that hears of it."""

    def __init__(self, why: str, culprit: bool) -> None:
        super().__init__(why)
        self.culprit = culprit


class Waiting(NamedTuple):
    """A request that a worker has not answered yet."""

    seconds: float
    answers: SimpleQueue[State | Died]


class Worker:
    """A process and the thread that reads its answers."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        command = [sys.executable, "-m", "agentrl.envs.textworld.worker", str(far.fileno())]
        with far:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env=os.environ | HASH_SEED | {"OMP_NUM_THREADS": "1"},
                pass_fds=[far.fileno()],
            )
        self.lines = Lines(near)
        self.games = 0
        self._waiting: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._ended = ""
        self.reader = threading.Thread(target=self._read, name="agentrl-textworld", daemon=True)
        self.reader.start()

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return not self._ended and self.process.poll() is None

    def ask(self, request: Mapping[str, Any], seconds: float) -> State:
        """Its answer. Raises: Died, or the error that it answers with."""
        waiting = Waiting(seconds, SimpleQueue())
        with self._changed:
            if not self.alive:
                self.end("it was dead before it was asked", culprit=True)
                raise Died(self._ended, culprit=False)
            self._waiting.append(waiting)
            self._changed.notify()
            with contextlib.suppress(OSError):  # it has just died: the reader says so
                self.lines.write(request, time.monotonic() + seconds)
        answer = waiting.answers.get()
        if isinstance(answer, Died):
            raise answer
        if "error" in answer:
            raise ERRORS.get(answer["kind"], EnvError)(answer["error"])
        return answer

    def end(self, why: str, culprit: bool) -> None:
        """Kill it; the request that it works on hears that it is the reason if `culprit`."""
        with self._changed:
            if not self._ended:
                self.process.kill()
                self._ended = f"{why} (exit status {self.process.wait()})"
                self._changed.notify()
            while self._waiting:
                self._waiting.popleft().answers.put(Died(self._ended, culprit))
                culprit = False

    def _read(self) -> None:
        patience = START_SECONDS
        while (seconds := self._next()) is not None:
            try:
                answer = self.lines.read(time.monotonic() + seconds + patience)
            except TimeoutError:
                self.end(f"it did not answer within {seconds + patience:g} s", culprit=True)
            except (OSError, ValueError):  # it died over the request, or in the middle of a line
                self.end("its process died", culprit=True)
            else:
                patience = 0.0
                with self._changed:
                    if self._waiting:
                        self._waiting.popleft().answers.put(answer)
        self.lines.connection.close()

    def _next(self) -> float | None:
        """Seconds that the request in work may take; None when there will be none any more."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            return None if self._ended else self._waiting[0].seconds


class Crew:
    """The workers of this process, and which game lives where."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._workers: list[Worker] = []
        self._lock = threading.Lock()

    def worker(self) -> Worker:
        """A living worker with fewest games, which it is then given one more of."""
        with self._lock:
            for worker in self._workers:
                if not worker.alive:
                    worker.end("its process died", culprit=True)
            self._workers = [worker for worker in self._workers if worker.alive]
            if len(self._workers) < self.size:
                self._workers.append(Worker())
            least = min(self._workers, key=lambda worker: worker.games)
            least.games += 1
            return least

    def pids(self) -> list[int]:
        """The living workers' processes."""
        with self._lock:
            return [worker.process.pid for worker in self._workers if worker.alive]

    def leave(self, worker: Worker) -> None:
        """One game less lives there."""
        with self._lock:
            worker.games -= 1

    def ask(self, request: Mapping[str, Any], seconds: float) -> State:
        """Any worker's answer to what no game asks. Raises: EnvError, or what it answers with."""
        worker = self.worker()
        try:
            return worker.ask(request, seconds)
        except Died as died:
            raise EnvError(f"{request['do']}: the TextWorld worker was lost: {died}") from died
        finally:
            self.leave(worker)

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for worker in self._workers:
                worker.end("the owner has ended", culprit=False)
            self._workers = []


class Game:
    """One game in some worker; it survives the worker."""

    numbers = itertools.count()

    def __init__(self, crew: Crew, begin: Mapping[str, Any], seconds: float, make: float) -> None:
        self.crew = crew
        self.seconds = seconds
        self.commands: list[str] = []
        self._begin = {**begin, "do": "begin", "game": next(self.numbers), "seconds": make}
        self._make = make
        self._worker: Worker | None = None

    def begin(self) -> State:
        """The first state. Raises: EnvError, or what is wrong with the game."""
        return self._asked({}, "beginning")

    def step(self, command: str) -> State:
        """The state after a command. Raises: EnvError."""
        state = self._asked({"do": "step", "command": command}, repr(command))
        self.commands.append(command)
        return state

    def plan(self) -> State:
        """A way to win from here, and what is admissible. Raises: EnvError."""
        return self._asked({"do": "plan"}, "planning")

    def end(self) -> None:
        """Forget it, there and here."""
        worker, self._worker = self._worker, None
        if worker is not None:
            with contextlib.suppress(Died):  # it is forgotten there too
                worker.ask({"do": "end", "game": self._begin["game"]}, self.seconds)
            self.crew.leave(worker)

    def _asked(self, request: Mapping[str, Any], doing: str) -> State:
        """An answer from wherever the game lives; a lost worker is replaced as often as it dies."""
        while True:
            try:
                if self._worker is None:
                    self._worker = self.crew.worker()
                    first = self._worker.ask({**self._begin, "commands": self.commands}, self._make)
                    if not request:
                        return first
                return self._worker.ask({**request, "game": self._begin["game"]}, self.seconds)
            except Died as died:
                lost, self._worker = self._worker, None
                if lost is not None:
                    self.crew.leave(lost)
                if died.culprit:
                    raise EnvError(f"{doing}: the game was given up, {died}") from died


_crews: dict[tuple[int, int], Crew] = {}
_starting = threading.Lock()


def crew(size: int | None = None) -> Crew:
    """This process's workers: as many as it has cores, or `size`."""
    with _starting:
        key = (os.getpid(), size or len(os.sched_getaffinity(0)))
        if key not in _crews:
            _crews[key] = Crew(key[1])
            atexit.register(_crews[key].close)
        return _crews[key]
