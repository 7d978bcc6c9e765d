"""NGRPO: an imagined perfect attempt lets groups without a right answer teach.

Source: arXiv 2509.18851; github nangongrui-ngr/NGRPO.
Tier: A.
Certainty: code.
Differs: the advantage (one virtual member in mean and std), the clip (0.16 / 0.24), the token mean,
and that only groups in which everybody is right are sampled again.
Assumes: `max_reward` is the largest reward of a task after shaping; set it in advantage and keep.
Edges: all right is zero and refused; all wrong pushes everybody down by 1/sqrt(G+1); a single
attempt keeps its raw reward; empty and truncated attempts count like any other; the advantages of
a group do not sum to zero.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import Singleton, group_normalize
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import clipped
from agentrl.table import Table, per_episode
from agentrl.types import Group
from agentrl.weightings import token_mean


def with_perfect_member(
    table: Table,
    groups: Sequence[Group],
    *,
    max_reward: float = 1.0,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "raw",
) -> torch.Tensor:
    """Each attempt's reward against its group and one more member that earned the maximum.

    Formula: A_i = (r_i - mean) / (std + {eps}) over the G rewards and {max_reward}, ddof {ddof};
    one attempt: {singleton}
    """
    values = group_normalize(
        table.rewards,
        table.owner["episode"],
        table.num_groups,
        ddof=ddof,
        eps=eps,
        singleton=singleton,
        virtual=(max_reward,),
    )
    return per_episode(table, values)


def not_all_right(group: Group, *, max_reward: float = 1.0) -> bool:
    """Somebody earned less than the maximum.

    Formula: min r < {max_reward}
    """
    return any(episode.main.reward < max_reward - 1e-9 for episode in group.live)


NGRPO = GRPO.but(
    advantage=part(with_perfect_member),
    loss=part(clipped, clip_low=0.16, clip_high=0.24),
    weighting=part(token_mean),
    keep=part(not_all_right),
    penalty=None,
)
