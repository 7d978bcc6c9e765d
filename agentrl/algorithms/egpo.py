"""EGPO: uncertain thoughts earn a bonus that is too small to turn an advantage around.

Source: arXiv 2508.05118 (v1: Exploring Superior Function Calls via Reinforcement Learning).
Tier: A.
Certainty: second-hand for the formula, paper for the results.
Differs: the advantage; the mean entropy of an attempt's thought tokens is added, capped at a share
of |A|. The KL coefficient is 0.001.
Assumes: turns think first and end the thought with `tag`; the reward is 1 iff the format holds and
the call equals the reference, without partial credit.
Edges: all equal stays zero, a single attempt too; no tag in a turn (truncated, empty, no thinking):
that turn has no thought, and without any thought the bonus is zero; thoughts of all turns are one
mean; negative advantages shrink; the sign is kept iff lam < alpha.
"""

from collections.abc import Sequence

from agentrl.advantages import STANDARD, Credit, adjusted, episode_means, needs_std
from agentrl.algorithms.base import Part, needs, part, refuses
from agentrl.algorithms.grpo import GRPO
from agentrl.penalties import kl
from agentrl.segments import before_tag
from agentrl.table import Table, per_episode
from agentrl.types import Group


@refuses(needs_std)
@needs("entropy", "text")
def entropy_bonus(
    table: Table,
    groups: Sequence[Group],
    *,
    base: Part = STANDARD,
    lam: float = 0.4,
    alpha: float = 2.0,
    tag: str = "</think>",
) -> Credit:
    """The base's credit and a capped share of the mean entropy of the attempt's thoughts.

    Formula: A + {lam} clip(H, -|A|/{alpha}, |A|/{alpha}), H the mean entropy before "{tag}";
    A, divided by a std: {base}
    """
    entropy = per_episode(table, episode_means(table, table.entropy, before_tag(table, tag)))
    return adjusted(
        base, table, groups, lambda a: a + lam * entropy.clamp(-a.abs() / alpha, a.abs() / alpha)
    )


EGPO = GRPO.but(advantage=part(entropy_bonus), penalty=part(kl, coef=0.001))
