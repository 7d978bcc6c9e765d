"""The smallest environment: say the word back. Every algorithm must learn it in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentrl.env import Reply, TextEnv

WORDS = ("red", "green", "blue", "pink", "gold", "grey", "teal", "lime")


class Echo(TextEnv):
    """Say the shown words back, one a turn; `solved` when every turn was right."""

    reward_range = (0.0, 1.0)
    observation_chars = 16

    def __init__(self, *, words: int = 8, turns: int = 1, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.words = WORDS[:words]
        self.turns = self.max_turns = turns

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """One turn and several."""
        return {"": {}, "turns": {"turns": 3, "words": 2}}

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """Which word each turn shows, and a number that makes tasks many."""
        shown = [str(word) for word in rng.choice(self.words, size=self.turns)]
        return {"words": shown, "number": int(rng.integers(1000))}

    def begin(self, data: Mapping[str, Any]) -> str:
        """Show the first word."""
        self.right = 0
        return f"say {data['words'][0]}"

    def act(self, text: str) -> Reply:
        """Compare with the word shown; pay each turn's share of the reward at once."""
        right = text.strip() == self.data["words"][self.turn - 1]
        self.right += right
        done = self.turn == self.turns
        shown = "" if done else f"say {self.data['words'][self.turn]}"
        return Reply(
            text=shown,
            parts={"solved": right / self.turns},
            done=done,
            success=done and self.right == self.turns,
        )

    def oracle(self) -> str:
        """The word shown."""
        return str(self.data["words"][self.turn])

    def expert(self, rng: np.random.Generator) -> str:
        """Any word."""
        return str(rng.choice(self.words))
