"""GSPO: one ratio per answer.

Source: arXiv 2507.18071 (eqs 5, 7; standard form).
Tier: A.
Certainty: standard form, to be confirmed against the paper.
Differs: the loss; the ratio is the geometric mean over a sequence, so a whole answer is clipped or
none of it.
Assumes: a sequence is one sample: a conversation that was only appended to.
Edges: a one-token answer equals the token ratio. In a multi-turn task a sequence is a sample (all
turns that share one growing context); `level: turn` makes it a turn.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import sequence_clipped

GSPO = GRPO.but(loss=part(sequence_clipped, clip_low=3e-4, clip_high=4e-4))
