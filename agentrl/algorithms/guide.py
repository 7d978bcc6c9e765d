"""Guide-GRPO: unsolved tasks are played again with a hint and trained as if there had been none.

Source: arXiv 2506.13923 and its code.
Tier: A.
Certainty: code; the paper's mixed objective is to be confirmed.
Differs: a second, hinted group where the first has no success; its rows stand under the plain
prompt, and their ratio is shaped instead of clipped; groups outside an accuracy band are dropped.
Assumes: hints from the environment; the hint stands in the first observation only.
Edges: the hinted group is judged by the same band; all right or all wrong: sampled again, and at
the cap of refills the step goes without; no off-policy rows: PPO's clip.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import Direction
from agentrl.keeps import accuracy_band
from agentrl.losses import shaped_off_policy
from agentrl.protocols import Play
from agentrl.strategies import grouped, hints_of, independent, rungs, together, unsolved
from agentrl.types import Group, Task
from agentrl.weightings import token_mean


async def guided(
    task: Task,
    attempts: int,
    play: Play,
    *,
    low: float = 1e-3,
    tiers: tuple[str, ...] = ("solution",),
    mixin: bool = False,
) -> Group:
    """A plain group, or where nearly all attempts failed, a hinted one in its place.

    The hint is the whole of the tiers' strongest rung. `mixin` keeps the plain attempts as well.

    Formula: accuracy <= {low}: G attempts with a hint of {tiers}, trained without it
    (beside the plain attempts: {mixin})
    """
    group = await independent(task, attempts, play)
    if not unsolved(group.episodes, low):
        return group
    ladder = rungs(await hints_of(task, play), tiers)
    if not ladder:
        return group
    direction = Direction(hint=ladder[-1], level=1, plain_training=True)
    helped = await together(task, range(attempts, 2 * attempts), play, direction)
    return grouped(task, [*group.episodes, *helped] if mixin else helped)


GUIDE = GRPO.but(
    strategy=part(guided),
    keep=part(accuracy_band),
    loss=part(shaped_off_policy),
    weighting=part(token_mean),
    penalty=None,
)
