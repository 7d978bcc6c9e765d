"""M-GRPO: the main agent and its sub-agents, each against its own kind, with aligned groups.

Source: arXiv 2511.13288 (eqs 9-17) and its code (AQ-MedAI/MrlX).
Tier: A.
Certainty: paper + code; they differ, see m_grpo_release; the clip's width is not published (0.2).
Differs: shape (rewards of both agents, d invocations per attempt), advantage (two pools, population
std, no eps), weighting (a mean per agent), loss (one ratio for a whole trajectory, their product).
m_grpo_weight weighs invocations by d/d_k instead of drawing copies: ours. m_grpo_release has
token ratios, clip 0.2/0.28, sample std and a sub-reward without expert; its grouping of sub-agents
by order of arrival is left out.
Assumes: sub-agents are further trajectories of an episode; parts `format` and `expert` of theirs
(no `format` part means valid). One policy may play both; the paper trains two.
Edges: without sub-agents it is GRPO with a trajectory ratio; equal rewards in a pool give 0, so
does one member; an attempt without calls adds no sub-agent; a failed invocation is left out; an
empty trajectory counts in N.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import clipped, trajectory_clipped
from agentrl.teams import agent_mean, agent_rewards, aligned, two_pools

M_GRPO = GRPO.but(
    shape=part(aligned, base=part(agent_rewards), d=8),
    advantage=part(two_pools),
    weighting=part(agent_mean),
    loss=part(trajectory_clipped),
    penalty=None,
)
M_GRPO_WEIGHT = M_GRPO.but(
    shape=part(agent_rewards),
    advantage=part(two_pools, align="weight"),
    weighting=part(agent_mean, align="weight"),
)
M_GRPO_RELEASE = M_GRPO.but(
    shape=part(aligned, base=part(agent_rewards, sub=(0.1, 0.9, 0.0)), d=8),
    advantage=part(two_pools, ddof=1, eps=1e-6),
    weighting=part(agent_mean, tokens="mean"),
    loss=part(clipped, clip_low=0.2, clip_high=0.28),
)
