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

from dataclasses import replace

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import Direction
from agentrl.protocols import Play
from agentrl.strategies import hints_of, independent, rungs, unsolved
from agentrl.types import Group, Task

TIERS = ("knowledge", "planning", "solution")


async def scaffolded(
    task: Task,
    attempts: int,
    play: Play,
    *,
    warmup_steps: int = 50,
    tiers: tuple[str, ...] = TIERS,
    replace_index: int | None = None,
    plain_training: bool = False,
) -> Group:
    """Replace one failed attempt of an unsolved group by the least hinted success.

    `plain_training` trains it under the prompt without the hint, which the paper found unstable.

    Formula: from step {warmup_steps}, G failures: one (index {replace_index}; none: drawn) becomes
    the first success over hints of {tiers}, added up in a tier (trained plainly: {plain_training})
    """
    group = await independent(task, attempts, play)
    if play.step < warmup_steps or not unsolved(group.episodes):
        return group
    for level, hint in enumerate(rungs(await hints_of(task, play), tiers), start=1):
        direction = Direction(hint=hint, level=level, plain_training=plain_training)
        helped = await play(task, attempts + level - 1, direction)
        if helped.main.success:
            failures = [e.attempt for e in group.episodes if not e.main.status.failed]
            place = int(play.rng.choice(failures)) if replace_index is None else replace_index
            members = list(group.episodes)
            members[place] = replace(helped, attempt=place)
            return replace(group, episodes=tuple(members))
    return group


SCAF = GRPO.but(strategy=part(scaffolded))
SCAF_RELEASE = GRPO.but(strategy=part(scaffolded, replace_index=0, tiers=("knowledge", "solution")))
