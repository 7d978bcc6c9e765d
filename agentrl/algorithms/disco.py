"""DisCO: scores of right answers above those of wrong ones, under a KL constraint.

Source: arXiv 2505.12366 and its code (Optimization-AI/DisCO).
Tier: A.
Certainty: code.
Differs: no advantage and no clip: each task compares mean scores of its two classes (`disco_b`), or
weighs wrong answers by how likely they are (`disco`, tau 10 for `log`, 1 for `ratio`); a squared
hinge on the step's mean divergence replaces the clip.
Assumes: success is a yes or no; shaped rewards are not read. More than one optimiser step per
batch, else the constraint never acts.
Edges: a task with one class adds nothing but counts; one attempt is such a task; an answer without
tokens is in no class; a truncated answer is what its success says.
"""

from collections.abc import Sequence

import torch

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import discriminative
from agentrl.penalties import kl_constraint
from agentrl.rewards import successes
from agentrl.table import Table, per_episode
from agentrl.types import Group
from agentrl.weightings import token_mean


def outcome_sign(table: Table, groups: Sequence[Group]) -> torch.Tensor:
    """Which class an answer belongs to; where there is one class only, none.

    Formula: +1 right, -1 wrong, 0 where all attempts at a task are alike
    """
    marks = []
    for group in groups:
        right = successes(group)
        marks += [0.0 if len(set(right)) < 2 else 2.0 * flag - 1.0 for flag in right]
    return per_episode(table, torch.tensor(marks))


DISCO = GRPO.but(
    advantage=part(outcome_sign),
    loss=part(discriminative, tau=10.0),
    penalty=part(kl_constraint, beta=1000.0, delta=1e-4),
    penalty_weighting=part(token_mean),
)

DISCO_B = DISCO.but(loss=part(discriminative, variant="disco_b"))
