"""P-GRPO, posterior GRPO: the thought's quality counts only behind a right outcome.

Source: arXiv 2508.05170 (the gate, as several accounts of it agree).
Tier: A.
Certainty: second-hand, several sources agree on the gate.
Differs: the reward. Format and outcome add up; the thought's score is multiplied by the outcome, so
that a good thought never pays for a wrong answer. The soft variant, which the paper reports as
worse, gates by the share of tests passed: weights and gates on `pass_rate` instead of `outcome`.
Assumes: the environment names the parts `format` and `outcome` in {0, 1} and `thinking` in [0, 1].
How a preference model's score becomes a number in [0, 1] is open; a logistic is ours.
Edges: all right: the thoughts still differ, so the group is alive; all wrong: only the format is
left; one attempt gives zero; a truncated attempt keeps its parts; an absent part is 0.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.rewards import gated_sum

P_GRPO = GRPO.but(
    shape=part(
        gated_sum,
        weights={"format": 1.0, "outcome": 1.0, "thinking": 1.0},
        gates={"thinking": "outcome"},
    )
)
