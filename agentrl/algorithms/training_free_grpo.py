"""Training-Free GRPO: comparing a group edits experiences in the prompt, never the weights.

Source: arXiv 2510.08191 and its code (TencentCloudADP/youtu-agent).
Tier: A.
Certainty: code; the prompts are ours, and so are JSON's keys. The first release's form (modify or
merge, 32 words per experience) is left out.
Differs: strategy (the pool in the prompt, and its edits after each batch), advantage (zero, so that
no step is taken). The release compares 5 attempts at temperature 0.7 and batches of 50 to 64.
Assumes: a policy that can write a critique and JSON; rewards in [0, 1]; the context holds the pool,
and the summaries of a group.
Edges: a group all right or all wrong teaches nothing (`lessons: all` for rewards without answers);
one attempt is compared with nothing; answers that are no JSON leave the pool as it is; an empty or
truncated attempt is summarised with its reward, a failed one left out.
"""

from collections.abc import Sequence

import torch

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.experience import Experiences
from agentrl.table import Table
from agentrl.types import Group


def no_gradient(table: Table, groups: Sequence[Group]) -> torch.Tensor:
    """No credit: the groups teach through the pool.

    Formula: A = 0
    """
    return torch.zeros(len(table))


TRAINING_FREE_GRPO = GRPO.but(strategy=part(Experiences), advantage=part(no_gradient), penalty=None)
