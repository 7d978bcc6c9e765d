"""SAGE-light: self-written hints whose strength is kept per task from one visit to the next.

Source: arXiv 2602.03143 and its code.
Tier: A.
Certainty: paper and code.
Differs: one group a visit, not one per level; a task's level rises where its last visit had little
success. The release (`rule: release`) also lowers it, and raises later.
Assumes: reference solutions in the environment's hints; tasks that are visited again.
Edges: the top level stays; all right or all wrong: advantage 0; no hint written: none is shown.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from agentrl.algorithms.base import part
from agentrl.algorithms.sage import SAGE
from agentrl.protocols import Play
from agentrl.strategies import HINT_PROMPT, grouped, self_hinted_attempts, success_rate
from agentrl.types import Group, Task


def next_level(
    level: int,
    rate: float,
    *,
    rule: str = "paper",
    alpha: float = 0.35,
    low: float = 0.0,
    levels: int = 3,
) -> int:
    """A task's level after a visit with this success rate."""
    raises = rate < alpha if rule == "paper" else rate <= low
    falls = rule == "release" and rate > alpha
    return min(levels, max(0, level + raises - falls))


class SelfHintedLevel:
    """A hint level per task that is kept from visit to visit, and rises where success is rare.

    Formula: level + 1, at most {levels}, if the last success < {alpha}; rule {rule}, the release's
    raises at <= {low} and lowers above {alpha}; hints of {hint_tokens} tokens
    """

    def __init__(
        self,
        *,
        levels: int = 3,
        rule: Literal["paper", "release"] = "paper",
        alpha: float = 0.35,
        low: float = 0.0,
        prompt: str = HINT_PROMPT,
        hint_tokens: int = 256,
    ) -> None:
        self.rule = partial(next_level, levels=levels, rule=rule, alpha=alpha, low=low)
        self.writing = (prompt, hint_tokens)
        self.levels: dict[str, int] = {}

    async def __call__(self, task: Task, attempts: int, play: Play) -> Group:
        """One group at the task's level."""
        level = self.levels.get(task.id, 0)
        episodes = await self_hinted_attempts(task, attempts, play, level, *self.writing)
        rate = success_rate(episodes)
        self.levels[task.id] = self.rule(level, rate)
        return grouped(task, episodes, level=level)

    def state_dict(self) -> dict[str, Any]:
        """The levels by task."""
        return {"levels": dict(self.levels)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.levels = dict(state["levels"])


SAGE_LIGHT = SAGE.but(strategy=part(SelfHintedLevel))
