"""GiGPO: turns that started from the same state are compared with each other, besides the episodes.

Source: arXiv 2505.10978 (group-in-group policy optimization) and its code (verl-agent).
Tier: A.
Certainty: paper + code.
Differs: advantage (episode against its group plus omega times the turn against its step group),
weighting (1/(N T len), the paper's mean over turns), KL 0.01 in the loss.
Assumes: states repeat within a task, so that step groups have members. A turn's state is the text
that it saw last, compared exactly, whatever else an agent let it read: turn 0 saw the task, every
other one the previous turn's reply, unless the environment (`info["state"]`) or agent names it.
Edges: equal rewards within a step group give that term 0; a turn alone in its state gets the
episode's credit only; one attempt gives 0 to the episode's term (`singleton`), but states that it
met twice are still compared; an empty turn has no rows but its return stays in its step group; a
truncated attempt keeps its rewards.
"""

from collections.abc import Sequence
from typing import Literal

import torch

from agentrl.advantages import Singleton, group_advantage, group_normalize
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.penalties import kl
from agentrl.samples import credited
from agentrl.segments import anchors
from agentrl.table import Table, per_turn
from agentrl.types import Group, Trajectory
from agentrl.weightings import trajectory_turn_token


def gigpo_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    omega: float = 1.0,
    gamma: float = 0.95,
    scale: Literal["std", "none"] = "std",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> torch.Tensor:
    """The episode's advantage in its group, plus the turn's among turns that saw the same text.

    Formula: A_E + {omega} A_S; A_E = (r - mean r) / {scale} over the group, A_S the same for
    R_t = sum {gamma}^(k-t) r_k over its step group; ddof {ddof}, eps {eps}, one attempt:
    {singleton}, one turn: 0
    """
    episode = group_advantage(table, groups, scale=scale, ddof=ddof, eps=eps, singleton=singleton)
    returns: list[float] = []
    states: list[tuple[int, str, str | None]] = []
    for number, group in enumerate(groups):
        for trajectory in (t for e in group.live for t in credited(e)):
            returns += discounted(trajectory, gamma)
            states += [(number, trajectory.agent, text) for text in anchors(trajectory)]
    codes = {state: code for code, state in enumerate(dict.fromkeys(states))}
    index = torch.tensor([codes[state] for state in states], dtype=torch.int64)
    values = torch.tensor(returns, dtype=torch.float64)
    step = group_normalize(values, index, len(codes), scale=scale, ddof=ddof, eps=eps)
    return episode + omega * per_turn(table, step)


def discounted(trajectory: Trajectory, gamma: float) -> list[float]:
    """Each turn's discounted return; what shaping added to the trajectory is the last turn's."""
    rewards = [turn.reward for turn in trajectory.turns]
    ahead, returns = trajectory.reward - sum(rewards), list[float]()
    for reward in reversed(rewards):
        ahead = reward + (gamma * ahead if returns else ahead)
        returns.append(ahead)
    return returns[::-1]


GIGPO = GRPO.but(
    advantage=part(gigpo_advantage),
    weighting=part(trajectory_turn_token),
    penalty=part(kl, coef=0.01),
)
