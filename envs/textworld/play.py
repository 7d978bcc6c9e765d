"""One game being played, where TextWorld is imported: in a worker's process or a thread.

States are plain JSON: `said, score, won, lost` always, and on demand `admissible, inventory,
description` and `left`, the number of commands to a win (None where TextWorld knows no way).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentrl.envs.textworld.engines import ASKED, ENGINES
from agentrl.envs.textworld.games import made, made_again
from agentrl.envs.textworld.plans import Planner
from agentrl.envs.textworld.texts import told
from agentrl.errors import DataError

State = dict[str, Any]


class Play:
    """A game, from its beginning to its end.

    Args:
        request: `level`, `seed` and `cache`, or `path`; `infos` names what states hold beyond the
            usual; `compact` puts texts on one line; `seconds` limits the making.

    Raises:
        ConfigError, DataError, EnvError: there is no such game.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.infos: Sequence[str] = request["infos"]
        self.compact = bool(request["compact"])
        self.path, self._env = _opened(request, self.infos)
        self.commands: list[str] = []
        self._planner: Planner | None = None

    def begin(self) -> State:
        """The state before the first command; with the objective, the most points, a solution."""
        state = self._env.reset()
        shown = self._shown(state)
        shown["objective"] = told(state["objective"] or "", self.compact)
        shown["max_score"] = state["max_score"] or 0
        shown["walkthrough"] = list(state.get("extra.walkthrough") or ())
        return shown

    def step(self, command: str) -> State:
        """The state after a command; one that the engine cannot take counts as an empty one."""
        self.commands.append(command)
        try:
            state, _, _ = self._env.step(command)
        except Exception:  # the engine and its tracking may raise anything: the guide's rule
            state, _, _ = self._env.step("")
        return self._shown(state)

    def plan(self) -> State:
        """Commands from here to a win (empty where none was found) and what is admissible here."""
        if self._planner is None:
            self._planner = Planner(self.path)
        commands, admissible = self._planner.plan(self.commands)
        return {"plan": commands, "admissible": admissible}

    def close(self) -> None:
        """Give the engine back."""
        ENGINES.put(self.path, self.infos, self._env)
        self._env = None
        if self._planner is not None:
            self._planner.close()

    def _shown(self, state: Mapping[str, Any]) -> State:
        shown: State = {
            "said": told(state["feedback"] or "", self.compact),
            "score": state["score"] or 0,
            "won": bool(state["won"]),
            "lost": bool(state["lost"]),
        }
        for name in self.infos:
            shown[name] = state[ASKED[name]]
        for name in ("inventory", "description"):
            if name in shown:
                shown[name] = told(shown[name] or "", self.compact)
        if "left" in shown:
            shown["left"] = 0 if shown["won"] else len(shown["left"] or ()) or None
        return shown


def _opened(request: Mapping[str, Any], infos: Sequence[str]) -> tuple[Path, Any]:
    """The game's file and its engine; made if it must be, and made again where it was damaged."""
    if "path" in request:
        path = Path(request["path"])
        return path, ENGINES.take(path, infos)
    wanted = (str(request["level"]), request["seed"], Path(request["cache"]), request["seconds"])
    path = made(*wanted).path
    try:
        return path, ENGINES.take(path, infos)
    except DataError:  # nobody brought this one: it can be mended here
        path = made_again(*wanted).path
        return path, ENGINES.take(path, infos)
