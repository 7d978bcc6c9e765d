"""Scaf-GRPO: an unsolved task gets the weakest hint with which the policy succeeds.

Source: arXiv 2510.19807 and its code (the search stops early; both ways give the same group).
Tier: A.
Certainty: paper and code.
Differs: in a group without success one failed attempt is replaced by a hinted success, trained
under its hinted prompt. The loss is GRPO's. First steps go without hints (`warmup_steps`).
Assumes: hints in tiers from the environment; tasks the base model always solves were left out. The
paper replaces a random failure, the release the first (`replace_index: 0`, tiers without planning).
Edges: no hint works: unchanged, advantage 0; a hint too long for the context is a failed level; a
failed attempt is never replaced; a hinted success does not count as one of the policy's own.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.strategies import scaffolded

SCAF = GRPO.but(strategy=part(scaffolded))
SCAF_RELEASE = GRPO.but(strategy=part(scaffolded, replace_index=0, tiers=("knowledge", "solution")))
