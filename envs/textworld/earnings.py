"""What a game's commands earn, as named parts, and when it is reported."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

PAID: Mapping[str, str] = {
    "sparse": "solved",
    "dense": "score",
    "points": "points",
    "progress": "progress",
}
"""The part that is the reward by default, by what a run calls it."""

RANGES: Mapping[str, tuple[float, float]] = {
    "sparse": (0.0, 1.0),
    "dense": (0.0, 1.0),
    "points": (0.0, math.inf),
    "progress": (-math.inf, 1.0),
}
"""What an episode can earn of it; the points differ from game to game."""


class Earnings:
    """The parts of one episode, from its first state on."""

    def __init__(self, first: Mapping[str, Any], pay: Literal["turn", "end"]) -> None:
        self.pay = pay
        self._most = first["max_score"]
        self._score = first["score"]
        self._way = self._left = first.get("left") or len(first["walkthrough"]) or 1
        self._unpaid: Counter[str] = Counter()

    def of(self, state: Mapping[str, Any], last: bool) -> dict[str, float]:
        """What a turn reports that led to `state`: its own parts, or in the last one all of them.

        Where TextWorld knows no way to a win, `progress` waits until it does.
        """
        points, self._score = float(state["score"] - self._score), state["score"]
        solved = float(state["won"])
        score = points / self._most if self._most else solved
        earned = {"solved": solved, "points": points, "score": score}
        if "left" in state:
            left = self._left if state["left"] is None else state["left"]
            earned["progress"] = (self._left - left) / self._way
            self._left = left
        if self.pay == "turn":
            return earned
        self._unpaid.update(earned)
        return dict(self._unpaid) if last else dict.fromkeys(earned, 0.0)
