"""SEED-GRPO: the less the attempts agree on an answer, the smaller the step.

Source: arXiv 2505.12346.
Tier: B.
Certainty: second-hand; the mass of a cluster, the maximum entropy (log G) and `entropy` are open,
and a focal form of the weight is left out, for its shape is not known.
Differs: the advantage, centred only and times a weight per group.
Assumes: a canonical answer per attempt, or a last completion that is one; equal texts mean the
same.
Edges: one answer weighs 1, all different 0 (at alpha 1); all equal rewards give zero; a single
attempt weighs 1 and gives zero; silent attempts share the empty answer; truncated ones count.
"""

from agentrl.advantages import CENTRED, group_weighted
from agentrl.agreement import agreement
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO

SEED_GRPO = GRPO.but(
    advantage=part(group_weighted, base=CENTRED, weight=part(agreement)), keeps_scale=True
)
