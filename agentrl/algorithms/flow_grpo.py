"""Flow-GRPO: the trajectory's outcome is every turn's reward.

Source: arXiv 2510.05592 (eqs 5, 7, 10) and its code (AgentFlow, on verl 0.5.0); not the diffusion
method of that name.
Tier: A.
Certainty: paper and code; they differ, see below.
Differs: a trajectory counts once however many turns it took, a turn once however long it is: weight
1/(G T len). The release (`flow_grpo_release`) instead makes every turn an independent row of its
task's group, averages over tokens and clips at 0.2 / 0.3.
Assumes: the outcome is the whole trajectory's; turns are calls of the trained policy.
Edges: all rewards equal leaves only the KL; one trajectory gives zero (`singleton`; the release:
its raw reward); a trajectory without turns weighs nothing and counts in mean, std and G.
"""

from agentrl.advantages import turn_row_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import clipped
from agentrl.penalties import kl
from agentrl.weightings import token_mean, trajectory_turn_token

FLOW_GRPO = GRPO.but(weighting=part(trajectory_turn_token), penalty=part(kl, coef=0.001))

FLOW_GRPO_RELEASE = FLOW_GRPO.but(
    advantage=part(turn_row_advantage),
    weighting=part(token_mean),
    loss=part(clipped, clip_low=0.2, clip_high=0.3),
)
