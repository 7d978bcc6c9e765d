"""NGRPO: an imagined perfect attempt lets groups without a right answer teach.

Source: arXiv 2509.18851; github nangongrui-ngr/NGRPO.
Tier: A.
Certainty: code.
Differs: the advantage (one virtual member in mean and std), the clip (0.16 / 0.24), the token mean,
and that only groups in which everybody is right are sampled again.
Assumes: `max_reward` is the largest reward of a task after shaping; set it in advantage and keep.
Edges: all right is zero and refused; all wrong pushes everybody down by 1/sqrt(G+1); one attempt
keeps its raw reward; empty and truncated ones count; a group's advantages do not sum to zero.
"""

from agentrl.advantages import with_perfect_member
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.keeps import not_all_right
from agentrl.losses import clipped
from agentrl.weightings import token_mean

NGRPO = GRPO.but(
    advantage=part(with_perfect_member),
    loss=part(clipped, clip_low=0.16, clip_high=0.24),
    weighting=part(token_mean),
    keep=part(not_all_right),
    penalty=None,
)
