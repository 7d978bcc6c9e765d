"""FAKER-Air: every kind of error has a price of its own, and horizons grow with success.

Source: arXiv 2511.22169 (forecast fields, not a language model).
Tier: C.
Certainty: paper (abstract level); the formula is unknown.
Differs: the reward, text analogue: looked up by true and given answer, so that a miss may cost more
than a false alarm; the turn limit rises in stages. Open and ours: the matrix, stages and bound.
Assumes: the task's data holds the true class, and the answer can be read as one of the classes.
Edges: a pair that the matrix lacks, and no answer, earn `otherwise`; equal prices or one attempt
give zero; a truncated attempt is priced by the answer it gave, if any.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import cost_matrix
from agentrl.strategies import HorizonCurriculum

MATRIX = {"event": {"event": 1.0, "calm": -1.0}, "calm": {"event": -0.5, "calm": 0.5}}

AIR_QUALITY = GRPO.but(shape=part(cost_matrix, matrix=MATRIX), strategy=part(HorizonCurriculum))
