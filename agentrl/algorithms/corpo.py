"""CoRPO: below a correctness threshold, being better than the others is not good enough.

Source: arXiv 2511.04439 (v3, eq 11).
Tier: A.
Certainty: second-hand, four independent implementations agree.
Differs: the advantage; its baseline is at least the threshold, and nothing is divided by the std.
Assumes: `threshold` is the smallest reward of an acceptable answer, on the scale of the reward
after shaping.
Edges: all equal and acceptable gives zero; all failed is not dead but negative for everybody, so
keep clipping on; a single attempt, truncated or not, is never positive; one without tokens counts.
"""

from collections.abc import Sequence

import torch

from agentrl.advantages import group_normalize
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.table import Table, per_episode
from agentrl.types import Group


def floored_baseline(
    table: Table, groups: Sequence[Group], *, threshold: float = 0.0
) -> torch.Tensor:
    """Each attempt's reward less the group's mean or the threshold, whichever is higher.

    Formula: A_i = r_i - max({threshold}, mean r), never divided by a std
    """
    index, count = table.owner["episode"], table.num_groups
    centred = group_normalize(table.rewards, index, count, scale="none")
    return per_episode(table, torch.minimum(table.rewards - threshold, centred))


CORPO = GRPO.but(advantage=part(floored_baseline), keeps_scale=True)
