"""A game in this process, each call in a thread of its own that can be given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from agentrl.envs.textworld.play import Play
from agentrl.errors import EnvError

State = dict[str, Any]
Answer = TypeVar("Answer")


class ThreadGame:
    """The same as `processes.Game`, without processes.

    A call that hangs is abandoned with its thread: it cannot be killed, but nobody waits for it.
    """

    def __init__(self, begin: Mapping[str, Any], seconds: float, make: float) -> None:
        self.seconds = seconds
        self._make = make
        self._request = {**begin, "seconds": make}
        self._play: Play | None = None

    def begin(self) -> State:
        """The first state. Raises: EnvError, or what is wrong with the game."""
        self._play, state = self._within(self._make, "beginning", lambda: _begun(self._request))
        return state

    def step(self, command: str) -> State:
        """The state after a command. Raises: EnvError."""
        return self._within(self.seconds, repr(command), lambda: self._playing().step(command))

    def plan(self) -> State:
        """A way to win from here, and what is admissible. Raises: EnvError."""
        return self._within(self.seconds, "planning", lambda: self._playing().plan())

    def end(self) -> None:
        """Forget it."""
        if self._play is not None:
            self._play.close()
            self._play = None

    def _playing(self) -> Play:
        if self._play is None:
            raise EnvError("the game was given up: begin another one")
        return self._play

    def _within(self, seconds: float, doing: str, work: Callable[[], Answer]) -> Answer:
        answers: SimpleQueue[Answer | Exception] = SimpleQueue()

        def run() -> None:
            try:
                answers.put(work())
            except Exception as error:  # raised again below, in the asker's thread
                answers.put(error)

        threading.Thread(target=run, name="agentrl-textworld-game", daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except Empty:
            self._play = None  # never touched again: its thread may still be inside
            raise EnvError(
                f"{doing}: the game was given up, no answer within {seconds:g} s"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _begun(request: Mapping[str, Any]) -> tuple[Play, State]:
    """A game that has begun; it is nobody's until it is handed over in time."""
    play = Play(request)
    return play, play.begin()
