"""Another process with another hash seed, in which the same episodes must come out.

One child serves a process for as long as it lives: starting Python and importing Gymnasium cost
more than the episodes do.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from agentrl.conformance.trials import OWN, STRANGERS, Trial, play
from agentrl.conformance.watch import PULSE
from agentrl.errors import EnvError

HASH_SEED = "4242"
"""Python draws one of its own where PYTHONHASHSEED is not set; two are seldom the same."""
CODE = "import sys; from agentrl.conformance.child import serve; serve(int(sys.argv[1]))"
SPEAKS = {f"the {name}": speak for name, speak in OWN.items()} | STRANGERS
START_SECONDS = 60.0

Asked = Sequence[tuple[int, str]]
"""Seed and player of each episode."""


class Absent(Exception):  # noqa: N818 - no error of the environment: it cannot be tried there
    """The environment cannot be made in another process; the message says why."""


class Child:
    """A process that plays what it is asked to; a dead one is replaced by the next question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def play(self, make: bytes, asked: Asked, seconds: float) -> list[Trial]:
        """The episodes of a pickled factory.

        Raises:
            Absent: the factory fails there.
            EnvError: the process died or did not answer.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send((sys.path, make, list(asked)))
            deadline = time.monotonic() + seconds + START_SECONDS
            while not pipe.poll(1.0):
                PULSE.beat("playing in another process")
                if time.monotonic() > deadline:
                    self.close()
                    raise EnvError(f"another process did not play it within {seconds:g} s")
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise EnvError("another process died of playing it") from error
        if isinstance(answer, str):
            raise Absent(answer)
        return list(answer)

    def close(self) -> None:
        """End the process; asking it again starts another."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._pipe = self._process = None

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        environment = {**os.environ, "PYTHONHASHSEED": HASH_SEED}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self._pipe = ours
        return ours


@cache
def shared() -> Child:
    """This process's child; it ends with this process."""
    child = Child()
    atexit.register(child.close)
    return child


def serve(handle: int) -> None:
    """Play what comes through a pipe until its other end closes: the child's whole life."""
    pipe = Connection(handle)
    with contextlib.suppress(EOFError):
        while True:
            path, make, asked = pipe.recv()
            sys.path[:] = path
            pipe.send(_answer(make, asked))


def _answer(pickled: bytes, asked: Asked) -> list[Trial] | str:
    """The trials, or why there is no environment."""
    try:
        made: Any = pickle.loads(pickled)
        env = made()
    except Exception as error:  # whatever keeps it from being made here is told there
        return f"{type(error).__name__}: {error}"
    return [plain(play(env, SPEAKS[name], seed, player=name)) for seed, name in asked]


def plain(trial: Trial) -> Trial:
    """A trial without what may not travel: an info may hold anything."""
    steps = []
    for step in trial.steps:
        *_, info = step.told
        steps.append(step._replace(info=info))
    return Trial(player=trial.player, steps=steps, error=trial.error)
