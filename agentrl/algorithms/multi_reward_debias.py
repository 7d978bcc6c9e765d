"""Multi-reward de-biasing: fairness, relevance and quality of an answer under fixed weights.

Source: arXiv 2511.06023.
Tier: B.
Certainty: paper (idea); second-hand (the three heads); the weights are unknown.
Differs: the reward is a weighted sum of parts. Open and ours: a third each, and everything else as
in GRPO.
Assumes: the environment names `fairness`, `relevance` and `quality`, each in [0, 1].
Edges: saturated scores make equal groups, which give zero (gdpo's answer, each part on its own, is
another method); one attempt gives zero; a truncated attempt keeps its parts; an absent part is 0.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.rewards import weighted_sum

MULTI_REWARD_DEBIAS = GRPO.but(
    shape=part(weighted_sum, weights={"fairness": 1 / 3, "relevance": 1 / 3, "quality": 1 / 3})
)
