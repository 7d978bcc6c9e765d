"""Multi-objective safety: four scores of one scorer, summed before the group is compared.

Source: arXiv 2503.21819.
Tier: B.
Certainty: paper (setup); the weights and the reward model's backbone are unknown.
Differs: the reward is a weighted sum of parts. The weights are open: 1 each is ours. Contrast gdpo,
which normalises each part on its own.
Assumes: the environment names `politeness`, `meaning`, `action` and `safety`, each in [0, 1].
Edges: attempts with equal sums give zero, however different their parts; one attempt gives zero;
a truncated attempt keeps its parts; an absent part is 0.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.rewards import weighted_sum

MULTI_OBJECTIVE_SAFETY = GRPO.but(
    shape=part(
        weighted_sum, weights={"politeness": 1.0, "meaning": 1.0, "action": 1.0, "safety": 1.0}
    )
)
