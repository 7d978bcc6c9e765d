"""GRPO: the group replaces the critic. Every other algorithm here is a difference from this record.

Source: arXiv 2402.03300 (eqs 3, 4), with the sample std and eps of verl.
Tier: A.
Certainty: paper and code (verl, TRL).
Differs: this is the base.
Assumes: several attempts per task from the same policy.
Edges: an all-equal group gives zero; a single attempt gives zero (`singleton: raw` for verl's
rule); an attempt without tokens weighs nothing but counts in mean, std and N; a failed attempt is
left out.
"""

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import Algorithm, part
from agentrl.losses import clipped
from agentrl.penalties import kl
from agentrl.weightings import seq_mean_token_mean

GRPO = Algorithm(
    advantage=part(group_advantage),
    weighting=part(seq_mean_token_mean),
    loss=part(clipped, clip_low=0.2, clip_high=0.2),
    penalty=part(kl, coef=0.0),
)
