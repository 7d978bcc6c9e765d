"""How to win from wherever the player went: TextWorld's own policy, or the walkthrough mended.

TextWorld follows a winning policy in all its families but cooking games with preparations. There
the player's detours are undone one by one (north for south, put for take, close for open), and the
rest of the walkthrough is tried on a copy. What cannot be undone, such as eaten food, stays lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentrl.envs.textworld.engines import ENGINES

INFOS = ("left", "admissible")
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
UNDO = (
    (re.compile(r"take (.+) from (.+)"), r"put \1 on \2"),
    (re.compile(r"take (.+) from (.+)"), r"insert \1 into \2"),
    (re.compile(r"take ([^ ].*)"), r"drop \1"),
    (re.compile(r"drop (.+)"), r"take \1"),
    (re.compile(r"put (.+) on (.+)"), r"take \1 from \2"),
    (re.compile(r"insert (.+) into (.+)"), r"take \1 from \2"),
    (re.compile(r"open (.+)"), r"close \1"),
    (re.compile(r"close (.+)"), r"open \1"),
    (re.compile(r"unlock (.+) with (.+)"), r"lock \1 with \2"),
    (re.compile(r"lock (.+) with (.+)"), r"unlock \1 with \2"),
)


class Planner:
    """A second engine that knows the policy: it follows the player when a plan is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._env: Any = ENGINES.take(path, INFOS)
        self._state = self._env.reset()
        self._walkthrough = list(self._state.get("extra.walkthrough") or ())
        self._undo: list[str] = []
        self._followed: list[str] = []

    def plan(self, commands: Sequence[str]) -> tuple[list[str], list[str]]:
        """Commands to a win after these, empty where none is known, and what is admissible."""
        for command in commands[len(self._followed) :]:
            self._follow(command)
        admissible = list(self._state["admissible_commands"] or ())
        return list(self._state["policy_commands"] or ()) or self._mended(), admissible

    def close(self) -> None:
        """Give the engine back."""
        ENGINES.put(self._path, INFOS, self._env)
        self._env = None

    def _follow(self, command: str) -> None:
        before = _where(self._state)
        self._state, _, _ = self._env.step(command)
        self._followed.append(command)
        if _where(self._state) == before:
            return
        on_it = not self._undo and self._walkthrough[:1] == [command]
        if on_it:
            self._walkthrough.pop(0)
        elif self._undo and self._undo[-1] == command:
            self._undo.pop()
        else:
            self._undo.append(self._reverse(command))

    def _reverse(self, command: str) -> str:
        """The admissible command that takes this one back; empty where there is none."""
        here = set(self._state["admissible_commands"] or ())
        return next((back for back in reversals(command) if back in here), "")

    def _mended(self) -> list[str]:
        back = [command for command in reversed(self._undo) if command]
        for plan in ([*back, *self._walkthrough], self._walkthrough):
            if plan and self._wins(plan):
                return plan
        return []

    def _wins(self, plan: Sequence[str]) -> bool:
        trial = self._env.copy()
        try:
            return any(trial.step(command)[0]["won"] for command in plan)
        finally:
            trial.close()


def reversals(command: str) -> Iterator[str]:
    """What might take a command back."""
    verb, _, rest = command.partition(" ")
    if verb == "go" and rest in OPPOSITE:
        yield f"go {OPPOSITE[rest]}"
    for pattern, back in UNDO:
        if pattern.fullmatch(command):
            yield pattern.sub(back, command)


def _where(state: Any) -> Any:
    """What of a state tells whether something has changed."""
    return frozenset(map(str, state["_facts"]))
