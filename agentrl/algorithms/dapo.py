"""DAPO: clip-higher, token mean, dynamic sampling, soft overlong penalty.

Source: arXiv 2503.14476 (eqs 8, 11, 13; standard form).
Tier: A.
Certainty: standard form, to be confirmed against the paper.
Differs: the upper clip is wider, tokens are averaged over the batch, groups without mixed outcomes
are sampled again, and answers near the length limit lose reward. No KL.
Assumes: a success flag apart from the shaped reward.
Edges: refilling is capped (`rollout.refills`); at the cap the step trains on what is live.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.keeps import mixed_outcomes
from agentrl.losses import clipped
from agentrl.rewards import soft_overlong
from agentrl.weightings import token_mean

DAPO = GRPO.but(
    loss=part(clipped, clip_low=0.2, clip_high=0.28),
    weighting=part(token_mean),
    keep=part(mixed_outcomes),
    shape=part(soft_overlong),
    penalty=None,
)
