"""A worker's side of the socket: many games in one process, one command at a time.

This module is run as a script by `processes`; requests and answers are JSON lines.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentrl.envs.textworld.games import made
from agentrl.envs.textworld.play import Play
from agentrl.envs.textworld.vocabulary import vocabulary
from agentrl.errors import AgentRLError
from agentrl.tools.lines import Lines


class Desk:
    """The games of a worker by number, and what can be asked of them."""

    def __init__(self) -> None:
        self.plays: dict[int, Play] = {}

    def begin(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Open a game in place of what had its number, and replay `commands` where there are."""
        self.end(request)
        play = self.plays[request["game"]] = Play(request)
        state = play.begin()
        for command in request.get("commands", ()):
            state = play.step(command)
        return state

    def step(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Play a command."""
        return self.plays[request["game"]].step(request["command"])

    def plan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Find a way to win."""
        return self.plays[request["game"]].plan()

    def end(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Forget a game."""
        if (play := self.plays.pop(request["game"], None)) is not None:
            play.close()
        return {}

    def make(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a game without playing it."""
        folder = Path(request["cache"])
        made(request["level"], request["seed"], folder, request["seconds"])
        return {}

    def words(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What games are written with."""
        return {"words": vocabulary(request["show"])}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request, errors included."""
        try:
            answer: dict[str, Any] = getattr(self, request["do"])(request)
            return answer
        except AgentRLError as error:
            return {"error": str(error), "kind": type(error).__name__}
        except Exception as error:  # TextWorld may raise anything: the asker makes it an EnvError
            return {"error": f"{type(error).__name__}: {error}", "kind": "EnvError"}


def main() -> None:
    """Answer requests until the other side closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is the owner's to tell of
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    lines, desk = Lines(socket.socket(fileno=int(sys.argv[1]))), Desk()
    while True:
        try:
            lines.write(desk.answer(lines.read()))
        except ConnectionError:  # the owner has closed it or has ended
            return


if __name__ == "__main__":
    main()
