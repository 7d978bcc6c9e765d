"""Knapsack RL: attempts go where a group is likely to teach something, within one budget.

Source: arXiv 2509.25849, through reviews and two sources that agree.
Tier: A.
Certainty: second-hand (several agree); how unspent attempts are shared is ours.
Differs: tasks of a step get unequal numbers of attempts, by the success rate of their last visit.
Assumes: success is 0 or 1 and tasks come back (steps x tasks beyond the pool), else it is GRPO.
Edges: first visits get `rollout.attempts`; a task that was never or always solved gets `low`, and
what no task can use goes to the never solved ones up to `high`; fewer attempts than `low` refused.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.budgets import knapsack
from agentrl.samplers import Budgeted
from agentrl.trackers import MovingAverage

KNAPSACK_RL = GRPO.but(
    sampler=part(
        Budgeted, low=2, high=128, allocate=part(knapsack), tracker=part(MovingAverage, step=1.0)
    )
)
