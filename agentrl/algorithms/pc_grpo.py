"""PC-GRPO (PuzzleCraft): groups count where a task is half solved and answers differ.

Source: arXiv 2512.14944 (v2).
Tier: C, text analogue: the weight as it is, on any task with comparable answers.
Certainty: paper; its first version may lack the diversity (`gamma: 0`).
Differs: the advantage, centred only and times a weight per group.
Assumes: rewards in [0, 1]; a canonical answer per attempt, or a last completion that is one.
`diversity: entropy` is for tasks with `classes` possible answers.
Edges: nobody or everybody right, or one answer only: zero; a single attempt has no diversity and
gives zero; an attempt that said nothing has the empty answer; truncated attempts count.
"""

from agentrl.advantages import CENTRED, group_weighted
from agentrl.agreement import half_solved
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO

PC_GRPO = GRPO.but(
    advantage=part(group_weighted, base=CENTRED, weight=part(half_solved)), keeps_scale=True
)
