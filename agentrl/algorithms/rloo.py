"""RLOO: each attempt against the mean of the others.

Source: arXiv 2402.14740; A_i = G/(G-1) (r_i - mean r).
Tier: A.
Certainty: code (verl).
Differs: the advantage only; the loss stays clipped.
Assumes: several attempts per task.
Edges: all equal gives zero; a single attempt gives zero, or its reward with `singleton: raw` (plain
REINFORCE).
"""

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO

RLOO = GRPO.but(advantage=part(group_advantage, scale="loo"))
