"""Keeps: which groups are worth training on, judged on rewards; what they refuse is sampled again.

Refilling is capped (`rollout.refills`); at the cap the step trains on what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, pstdev

from agentrl.rewards import successes
from agentrl.types import Group


def rewards_of(group: Group) -> list[float]:
    """The rewards of the attempts that did not fail."""
    return [episode.main.reward for episode in group.live]


def mixed_outcomes(group: Group) -> bool:
    """DAPO's dynamic sampling: some attempts succeeded and some did not.

    Formula: 0 < successes < G
    """
    return len(set(successes(group))) == 2


def accuracy_band(group: Group, *, low: float = 1e-3, high: float = 0.999) -> bool:
    """Whether the share of successes, 0 for no attempts, lies in a band.

    Formula: {low} <= accuracy <= {high}
    """
    right = successes(group)
    return low <= sum(right) / max(1, len(right)) <= high


def any_reward(group: Group) -> bool:
    """Whether somebody earned something.

    Formula: some r > 0
    """
    return any(reward > 0 for reward in rewards_of(group))


def not_all_right(group: Group, *, max_reward: float = 1.0) -> bool:
    """Whether somebody earned less than the maximum.

    Formula: min r < {max_reward}
    """
    return any(reward < max_reward - 1e-9 for reward in rewards_of(group))


def spread_enough(group: Group, *, least: float = 0.05) -> bool:
    """Whether the rewards differ enough.

    Formula: population std of the rewards >= {least}
    """
    rewards = rewards_of(group)
    return len(rewards) > 1 and pstdev(rewards) >= least


def valuable(group: Group, *, max_reward: float = 1.0, ddof: int = 0) -> bool:
    """Whether another sample of the task is worth anything.

    Formula: ({max_reward} - mean r) std r > 0, ddof {ddof}
    """
    return sample_value(rewards_of(group), max_reward=max_reward, ddof=ddof) > 0


def sample_value(rewards: Sequence[float], *, max_reward: float = 1.0, ddof: int = 0) -> float:
    """How much another sample of a task is worth: room above the mean times the spread."""
    if not rewards or max(rewards) - min(rewards) <= 1e-12:
        return 0.0
    mean = fmean(rewards)
    squares = sum((reward - mean) ** 2 for reward in rewards)
    return float((max_reward - mean) * (squares / max(1, len(rewards) - ddof)) ** 0.5)
