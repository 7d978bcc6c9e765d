"""SAGE: the policy writes its own hints from the reference solution; they stay in the context.

Source: arXiv 2602.03143 and its code.
Tier: A.
Certainty: paper and code.
Differs: attempts at unsolved tasks see a self-written hint of rising strength and are trained under
that prompt; population std; sequences are summed, and the upper clip is wider.
Assumes: reference solutions in the environment's hints. One hint a call, not three as JSON.
Edges: no level helps: the last level's group stays, advantage 0; no hint could be written: none is
shown; all right: advantage 0.
"""

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import clipped
from agentrl.strategies import self_hinted
from agentrl.weightings import seq_mean_token_sum

SAGE = GRPO.but(
    strategy=part(self_hinted),
    advantage=part(group_advantage, ddof=0),
    weighting=part(seq_mean_token_sum),
    loss=part(clipped, clip_low=0.2, clip_high=0.28),
)
