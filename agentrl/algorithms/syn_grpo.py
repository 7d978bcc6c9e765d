"""Syn-GRPO: the pool grows by proposed tasks, and those with diverse attempts come again.

Source: arXiv 2511.19343, the idea only.
Tier: C, text analogue: proposed task records instead of images made from descriptions.
Certainty: abstract level; acceptance, reward form and shares are ours.
Differs: a share of each step are new tasks. The environment's own `new_task` proposes them, so the
proposer is not trained: the diversity reward only decides which proposals are played again.
Assumes: a registered environment, `sampler.arguments` as in the run's `env` section.
Edges: a duplicate, a test task or one the environment breaks on is refused; all-equal attempts earn
0 and are dropped; where too few are accepted, the pool's own tasks fill the step.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.curricula import Proposing

SYN_GRPO = GRPO.but(sampler=part(Proposing))
