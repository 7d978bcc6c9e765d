"""A practitioner's guide to multi-turn agentic RL: rewards on turn ends, KL in the reward, PPO.

Source: arXiv 2510.01132 v2 (Appendix C) and its code (pearls-lab/meow-tea-taro).
Tier: A.
Certainty: paper + code.
Differs: shape (turn rewards are shares of the score), advantage (a KL in the reward, then GAE,
leave-one-out or GRPO's), no KL in the loss. The names practitioner_guide_rloo and _grpo are the
study's other two columns; its sweep's winner sets advantage.coef to 0.01. Learning rates, turn caps
and temperature 0.7 are settings of a run.
Assumes: a turn's reward is the increment of the environment's score; at least two attempts a task
for the presets without a critic (the published scripts take one, which leaves the raw reward).
Edges: without turns no reward; won without a positive increment, n is 1; equal rewards still train
on the KL, which GRPO's std then enlarges; one attempt is enough for PPO and gives 0 otherwise; an
empty turn leaves its reward to the turn before it; a truncated attempt keeps its increments.
"""

from collections.abc import Sequence
from dataclasses import replace

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.algorithms.ppo import PPO
from agentrl.algorithms.rloo import RLOO
from agentrl.returns import gae_advantage, kl_in_reward
from agentrl.types import Group, Trajectory


def turn_shares(
    groups: Sequence[Group], *, dense: bool = True, max_total: float = 1.0
) -> list[Group]:
    """Rewards that lie on turn ends: shares of the score, or only success on the last turn.

    Formula: dense {dense}: increment / n on every turn, n = positive increments of a won episode,
    else {max_total}, at least 1; sparse: 1 or 0 for success on the last turn
    """

    def paid(main: Trajectory) -> Trajectory:
        if dense:
            rewards = dense_shares([t.reward for t in main.turns], main.success, max_total)
        else:
            rewards = [0.0] * (len(main.turns) - 1) + [float(main.success)] * bool(main.turns)
        pairs = zip(main.turns, rewards, strict=True)
        turns = tuple(replace(turn, reward=reward) for turn, reward in pairs)
        return replace(main, turns=turns, reward=sum(rewards))

    shaped = []
    for group in groups:
        episodes = [
            replace(e, trajectories=(paid(e.main), *e.trajectories[1:])) for e in group.episodes
        ]
        shaped.append(replace(group, episodes=tuple(episodes)))
    return shaped


def dense_shares(increments: Sequence[float], won: bool, max_total: float) -> list[float]:
    """Each increment over the number of positive ones, or over the maximum of a lost episode."""
    count = sum(increment > 0 for increment in increments) if won else max_total
    return [increment / max(1.0, count) for increment in increments]


PRACTITIONER_GUIDE = PPO.but(
    shape=part(turn_shares), advantage=part(kl_in_reward, coef=0.001, base=part(gae_advantage))
)

PRACTITIONER_GUIDE_RLOO = RLOO.but(
    shape=part(turn_shares),
    advantage=part(kl_in_reward, coef=0.001, base=part(group_advantage, scale="loo")),
    penalty=None,
)

PRACTITIONER_GUIDE_GRPO = GRPO.but(
    shape=part(turn_shares),
    advantage=part(kl_in_reward, coef=0.001, base=part(group_advantage)),
    penalty=None,
)
