"""Co-GRPO: the sampling schedule earns credit too; text analogue with turn budgets as the schedule.

Source: arXiv 2512.22288 (masked diffusion; abstract level, its formula is not used).
Tier: C.
Certainty: abstract level; the form is ours.
Differs: the strategy: every attempt draws a turn budget from a distribution that learns from the
same group-relative rewards as the model; model parts are GRPO's.
Assumes: several turns, and a reward that a shorter or longer episode changes. Open: the grid and
the rate. Temperatures are no knob here, because the log-probs of all attempts share one.
Edges: one budget in the grid changes nothing; all-equal rewards, one attempt and failed attempts
move nothing; a budget that runs out truncates, and the attempt keeps its reward.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import Direction
from agentrl.protocols import Play
from agentrl.strategies import grouped
from agentrl.types import Group, Task


class LearnedBudgets:
    """Draws each attempt's turn budget; its log-prob earns the attempt's group-relative reward.

    A step's groups move the distribution together, once the next step begins.

    Formula: turns drawn from {grid} with p = softmax(z); z += {rate} mean of A (one-hot - p), A =
    (r - mean r)/(std r + 1e-6)
    """

    def __init__(self, *, grid: tuple[int, ...] = (2, 4, 8), rate: float = 1.0) -> None:
        self.grid, self.rate = grid, rate
        self.logits: np.ndarray[Any, Any] = np.zeros(len(grid))
        self.waiting: list[tuple[int, str, list[float]]] = []  # step, task, slope of each logit

    async def __call__(self, task: Task, attempts: int, play: Play) -> Group:
        """Attempts under budgets drawn anew for this group."""
        self.settle(play.step)
        odds = self.odds()
        drawn = play.rng.choice(len(self.grid), size=attempts, p=odds)
        directions = [Direction(max_turns=self.grid[place]) for place in drawn]
        playing = (play(task, i, direction) for i, direction in enumerate(directions))
        group = grouped(task, await asyncio.gather(*playing))
        kept = [i for i, e in enumerate(group.episodes) if not e.main.status.failed]
        rewards = np.array([group.episodes[i].main.reward for i in kept])
        if len(kept) > 1 and np.ptp(rewards) > 1e-12:
            credit = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-6)
            slope = credit @ (np.eye(len(self.grid))[drawn[kept]] - odds) / len(kept)
            self.waiting.append((play.step, task.id, slope.tolist()))
        return group

    def odds(self) -> np.ndarray[Any, Any]:
        """The distribution over the grid."""
        odds: np.ndarray[Any, Any] = np.exp(self.logits) / np.exp(self.logits).sum()
        return odds

    def settle(self, step: int) -> None:
        """Apply what earlier steps taught, in an order that no timing changes."""
        due = sorted(item for item in self.waiting if item[0] != step)
        if due:
            self.waiting = [item for item in self.waiting if item[0] == step]
            self.logits = self.logits + self.rate * np.mean([slope for *_, slope in due], axis=0)

    def state_dict(self) -> dict[str, Any]:
        """Logits, and what the last step's groups have to say."""
        return {"logits": self.logits.tolist(), "waiting": [list(item) for item in self.waiting]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.logits = np.array(state["logits"])
        self.waiting = [(int(s), str(t), list(v)) for s, t, v in state["waiting"]]


CO_GRPO = GRPO.but(strategy=part(LearnedBudgets))
