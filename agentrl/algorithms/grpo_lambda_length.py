"""GRPO-lambda: only the groups that are right most often are asked to be short.

Source: arXiv 2505.18086; not 2510.00194 (lambda returns), nor 2510.06870.
Tier: B.
Certainty: second-hand (the formula); alpha and the ddof of the length's std are open.
Differs: the reward. The batch's groups are ranked by their share of right answers; in the best of
them a right answer loses up to alpha by its length, elsewhere the reward is 0 or 1. Open: alpha
(0.6 is another implementation's), ddof 0, and max(1, ceil(share B)) groups in stable order.
Assumes: success says right or wrong, apart from the reward; lengths are sampled tokens.
Edges: one right answer, or equal lengths, earns 1 - alpha/2; all wrong stays zero; one attempt
gives zero; a truncated attempt is judged as it stands; a group without live attempts ranks last.
"""

import math
from collections.abc import Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.rewards import pay, successes
from agentrl.types import Group


def short_where_right(
    groups: Sequence[Group], *, share: float = 0.2, alpha: float = 0.6, ddof: int = 0
) -> list[Group]:
    """Right or wrong, and in the groups that are right most often a length term for the right.

    Formula: r = 1 - {alpha} sigmoid((L - mean L_right)/std L_right) where right in the best {share}
    of the groups, ddof {ddof}; elsewhere 1 where right; 0 where wrong
    """
    return [
        pay(group, by_length(group, alpha, ddof) if chosen else successes(group))
        for group, chosen in zip(groups, switched(groups, share), strict=True)
    ]


def switched(groups: Sequence[Group], share: float) -> list[bool]:
    """Which groups are among the best by their share of right answers; ties in order."""
    accuracy = [sum(successes(group)) / max(1, len(group.live)) for group in groups]
    order = sorted(range(len(groups)), key=lambda number: -accuracy[number])
    best = set(order[: max(1, math.ceil(share * len(groups) - 1e-9))])
    return [number in best for number in range(len(groups))]


def by_length(group: Group, alpha: float, ddof: int) -> list[float]:
    """1 less a share of alpha that grows with the length among the right answers; 0 if wrong."""
    lengths = [episode.main.num_tokens for episode in group.live if episode.main.success]
    mean = sum(lengths) / max(1, len(lengths))
    squares = sum((length - mean) ** 2 for length in lengths)
    std = math.sqrt(squares / max(1, len(lengths) - ddof)) or 1.0
    return [
        1 - alpha / (1 + math.exp((mean - e.main.num_tokens) / std)) if e.main.success else 0.0
        for e in group.live
    ]


GRPO_LAMBDA_LENGTH = GRPO.but(shape=part(short_where_right))
