"""Single-turn RL on expert states: each state of an expert's episode is a task of one turn.

Source: arXiv 2509.20616.
Tier: A.
Certainty: second-hand for the formulas (several agreeing summaries), paper for the results.
Differs: shape: 1 for the expert's action, else 0; group advantage and loss are GRPO's.
Assumes: tasks are states of successful expert episodes of minimal length, made by an environment
that ends after one turn; the data holds the good action, or a list of them, under `gold`.
Edges: a wrong format is no action and gives 0; a state that is always or never solved gives zero;
actions are compared as texts: read `canonical` where the environment normalises them.
"""

import math
from collections.abc import Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import answer_match

EXPERT_SINGLE_TURN = GRPO.but(shape=part(answer_match, gold="expert", read="action"))


def success_bound(step_probs: Sequence[float]) -> float:
    """Least success in the minimal number of turns: the product of pi(a*_t | s*_t) over steps.

    The expert's path is one way to succeed, so success is at least its probability. 1 for no step.
    """
    return math.prod(step_probs)
