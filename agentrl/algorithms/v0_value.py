"""V0's budgets: attempts go one by one to the task where the next one is worth most.

Source: arXiv 2602.03584 and its code (github Now-Join-Us/V0) for the value model.
Tier: B.
Certainty: code for the model, second-hand for the budget rule; that it is greedy is unconfirmed.
Differs: tasks of a step get unequal numbers of attempts. What predicts success is a count-based
tracker; the paper's embedding model is not here, only its loss, so none of its results is claimed.
Assumes: success is 0 or 1 and tasks come back, else it is GRPO. Tracker and `low` are ours.
Edges: first visits get `rollout.attempts`; a task with p = 1 or one attempt is worth 0; p = 0 too.
"""

import torch

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.budgets import by_utility
from agentrl.samplers import Budgeted
from agentrl.trackers import BetaCounts


def value_model_loss(
    positive: torch.Tensor, negative: torch.Tensor, true: torch.Tensor, *, pairs: float = 0.25
) -> tuple[torch.Tensor, torch.Tensor]:
    """The value model's pairwise term and its whole loss, for training one offline.

    `positive`, `negative`: predictions of a solved and an unsolved prompt; `true`: the probability
    given to what happened.

    Formula: {pairs} (-log sigmoid(s+ - s-)) + (1 - {pairs}) (-log p_true)
    """
    pair = -torch.nn.functional.logsigmoid(positive - negative)
    return pair, pairs * pair - (1 - pairs) * true.log()


V0_VALUE = GRPO.but(sampler=part(Budgeted, allocate=part(by_utility), tracker=part(BetaCounts)))
