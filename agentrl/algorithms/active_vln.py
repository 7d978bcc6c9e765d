"""ActiveVLN: attempts get a turn budget from the oracle's length and end without progress.

Source: arXiv 2509.12618 (navigation with pictures), at the level of its abstract.
Tier: C; text analogue: the budget, the stop rule and what a stopped attempt earns are ours.
Certainty: abstract level; exact rule and reward unknown.
Differs: hopeless attempts are cut short, marked `turn_limit` and earn 0. The loss is GRPO's.
Assumes: an oracle, and turn rewards as the measure of progress; a warm start by imitation.
Edges: the rule looks at one attempt alone, so the group's statistics stay fair; a broken oracle: no
budget; an environment that pays at the end only: set `window` to 0 for none.
"""

import math
from dataclasses import replace

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.direction import Direction
from agentrl.protocols import Play
from agentrl.strategies import grouped, together, with_main
from agentrl.types import Episode, Group, Status, Task


async def budgeted(
    task: Task, attempts: int, play: Play, *, factor: float = 2.0, window: int = 4
) -> Group:
    """Attempts within a multiple of the oracle's turns, and without long stretches of nothing.

    Formula: turns <= ceil({factor} oracle's turns); over after {window} turns without a reward
    (0: never); r = 0 for what a turn limit ends
    """
    shown = (await play(task, attempts, Direction(script="oracle"))).main
    budget = math.ceil(factor * len(shown.turns)) if shown.success else None
    direction = Direction(max_turns=budget, patience=window or None)
    episodes = await together(task, range(attempts), play, direction)
    return grouped(task, [stopped(episode) for episode in episodes])


def stopped(episode: Episode) -> Episode:
    """The episode, with nothing earned if it ran out of turns."""
    if episode.main.status is not Status.TURN_LIMIT:
        return episode
    turns = tuple(replace(turn, reward=0.0, parts={}) for turn in episode.main.turns)
    return with_main(episode, reward=0.0, parts={}, turns=turns)


ACTIVE_VLN = GRPO.but(strategy=part(budgeted))
