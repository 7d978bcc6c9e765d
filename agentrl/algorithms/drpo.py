"""DRPO: DisCO with short right answers preferred; wrong answers never pay for their length.

Source: arXiv 2510.04474 and its code (Optimization-AI/DRPO).
Tier: A.
Certainty: code.
Differs: no advantage, no clip; right answers weigh exp((1 - len/max_length)/lam) among themselves,
wrong ones are as in DisCO; the same KL constraint. A large `lam` gives DisCO.
Assumes: as DisCO; `max_length` is set to the generation limit (the release takes the width of the
padded batch, which depends on what else is in it).
Edges: as DisCO; one right answer weighs 1 whatever its length.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.disco import DISCO
from agentrl.losses import discriminative

DRPO = DISCO.but(loss=part(discriminative, tau=10.0, lam=0.1, max_length=8192))
