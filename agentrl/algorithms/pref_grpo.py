"""Pref-GRPO: an attempt's reward is the share of its group that a pairwise judge ranks below it.

Source: arXiv 2508.20751 and its code (CodeGoat24/Pref-GRPO, images).
Tier: C.
Certainty: code.
Differs: the reward, text analogue: a judge of pairs of attempts instead of a score; eps 1e-4.
Judging both orders and averaging, against a judge's preference for the first, is ours.
Assumes: a judge by `module:function`, `(first, second) -> [0, 1]`: 1 when the first is better, 0.5
for a tie or an unreadable verdict. The default compares the environment's rewards.
Edges: a group's rewards sum to half its size; ties throughout give zero; one attempt earns 0; a
truncated attempt is judged as it stands.
"""

from collections.abc import Sequence

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import Part, part
from agentrl.algorithms.grpo import GRPO
from agentrl.rewards import pay, win_rates
from agentrl.types import Episode, Group


def better_reward(first: Episode, second: Episode) -> float:
    """Who earned more from the environment: 1, 0 or, for equals, 0.5."""
    mine, other = first.main.reward, second.main.reward
    return 0.5 if mine == other else float(mine > other)


def win_rate(
    groups: Sequence[Group],
    *,
    judge: Part = part(better_reward),
    both_orders: bool = False,
    digits: int = 3,
) -> list[Group]:
    """The share of the group's other attempts that a judge finds worse.

    Formula: r = wins / comparisons by {judge}, both orders {both_orders}, to {digits} digits
    """

    def verdict(first: Episode, second: Episode) -> float:
        forward = float(judge(first, second))
        return (forward + 1 - float(judge(second, first))) / 2 if both_orders else forward

    return [pay(g, [round(rate, digits) for rate in win_rates(g.live, verdict)]) for g in groups]


PREF_GRPO = GRPO.but(shape=part(win_rate), advantage=part(group_advantage, eps=1e-4))
