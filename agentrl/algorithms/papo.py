"""PAPO: reward answers that depend on what the environment said; text analogue.

Source: arXiv 2507.06448 (images) and its code (MikeWangWZHL/PAPO).
Tier: C.
Certainty: code for the terms; the masked context is ours: the replies are blotted out.
Differs: the penalty: minus the divergence between the same answer's log-probs under the full and
under the masked context, plus an entropy term against hacking it. No reference KL.
Assumes: several turns, so that there are replies to mask; the coefficients are the code's, `limit`
(its optional bound) is on. The masked side has no gradient, so the entropy term is the full
context's only; the code's choice of the top fifth of tokens is left out.
Edges: nothing observed means no divergence and no bonus; all-equal rewards, one attempt and
truncated answers still feel the penalty; empty turns feel nothing.
"""

import torch

from agentrl.algorithms.base import needs, part
from agentrl.algorithms.grpo import GRPO
from agentrl.penalties import k3
from agentrl.table import View


@needs("masked")
def context_dependence(
    view: View, *, coef: float = 0.01, eta: float = 0.03, limit: float = 0.2
) -> torch.Tensor:
    """A bonus for tokens that the masked context makes less likely, and an entropy term.

    Formula: -{coef} min(k3(masked - logp), {limit}) + {eta} (-logp)
    """
    dependence = k3(view.masked - view.logprobs)
    view.log("context_dependence", dependence)
    return -coef * dependence.clamp(max=limit) - eta * view.logprobs


PAPO = GRPO.but(penalty=part(context_dependence))
