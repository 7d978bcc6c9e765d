"""REINFORCE with a group baseline: the plain score-function estimator.

Source: Williams 1992, doi 10.1007/BF00992696, with the mean reward of the group as the baseline.
Tier: A.
Certainty: textbook form.
Differs: no std, no ratio, no clip; only right while the data is on policy, so one step per batch.
Assumes: one optimiser step per batch.
Edges: an all-equal group and a single attempt give zero.
"""

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import reinforce

REINFORCE = GRPO.but(advantage=part(group_advantage, scale="none"), loss=part(reinforce))
