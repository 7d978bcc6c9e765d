"""Dr. GRPO: no std, no length division.

Source: arXiv 2503.20783 (standard form).
Tier: A.
Certainty: standard form, to be confirmed against the paper.
Differs: both normalisers that depend on the sample go: the group's std, and the answer's own
length, which a constant number of tokens replaces (set it to the generation limit).
Assumes: `constant` is set to the generation limit.
Edges: as GRPO; the constant is never the padded width of a batch.
"""

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.weightings import constant_length

DR_GRPO = GRPO.but(
    advantage=part(group_advantage, scale="none"),
    weighting=part(constant_length),
    keeps_scale=True,
)
