"""TextWorld's engines: opened game files, kept for whoever plays the same game next.

A group attempts a game several times, and opening costs more than beginning again.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentrl.envs.textworld.games import checked
from agentrl.errors import DataError, boundary

ASKED = {
    "admissible": "admissible_commands",
    "inventory": "inventory",
    "description": "description",
    "left": "policy_commands",
}
"""TextWorld's names of what states may hold."""
ALWAYS = ("score", "max_score", "won", "lost", "objective", "feedback")


class Engines:
    """Opened games that nobody plays just now, the `most` latest of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._idle: deque[tuple[tuple[Any, ...], Any]] = deque()
        self._lock = threading.Lock()

    def take(self, path: Path, infos: Sequence[str]) -> Any:
        """TextWorld's environment of a game file, to be reset. Raises: DataError."""
        wanted = _key(path, infos)
        with self._lock:
            for entry in reversed(self._idle):
                if entry[0] == wanted:
                    self._idle.remove(entry)
                    return entry[1]
        return opened(path, infos)

    def put(self, path: Path, infos: Sequence[str], env: Any) -> None:
        """Give one back that has not failed."""
        with self._lock:
            self._idle.append((_key(path, infos), env))
            oldest = self._idle.popleft()[1] if len(self._idle) > self.most else None
        if oldest is not None:
            oldest.close()


def _key(path: Path, infos: Sequence[str]) -> tuple[Any, ...]:
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return (str(path), changed, *infos)


def opened(path: Path, infos: Sequence[str]) -> Any:
    """TextWorld's environment of a game file, seeded: its own seed is the time of day.

    Raises:
        DataError: the file is not what it should be; the engine would end this process over it.
    """
    import jericho
    import textworld

    checked(path)
    warnings.filterwarnings("ignore", category=jericho.UnsupportedGameWarning)
    wanted = dict.fromkeys((*ALWAYS, *(ASKED[name] for name in infos)), True)
    infos = textworld.EnvInfos(**wanted, extras=["walkthrough"])
    with boundary(DataError, f"{str(path)!r} is no game that TextWorld opens: make it again"):
        env = textworld.start(str(path), infos)
    env.seed(0)
    return env


ENGINES = Engines(most=64)
"""Those of this process."""
