"""SPO-tree: attempts branch at fixed lengths; a segment earns its node's value less its parent's.

Source: arXiv 2505.23564 and its code.
Tier: A.
Certainty: code.
Differs: the group is the leaves of a tree; every token is a row of the leaf that sampled it and of
no other. `attempts` is the number of branches at the root.
Assumes: an environment that repeats itself. Left out: keeping at most 32 edges per task for later
iterations. `scale: std` divides by the siblings' std; the code calls `none` rloo.
Edges: an attempt that ends within a level is a leaf there; an edge of 0 has no signal, nor
have equal leaves; a failed leaf is in no mean.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from agentrl.algorithms.base import part
from agentrl.algorithms.spo_segment import SPO_SEGMENT
from agentrl.branching import credited, main_rows
from agentrl.direction import context_only, from_token
from agentrl.protocols import Play
from agentrl.strategies import grouped, live, together
from agentrl.table import Table
from agentrl.types import Episode, Floats, Group, Task, join


async def branched(
    task: Task,
    attempts: int,
    play: Play,
    *,
    branching: tuple[int, ...] = (6, 6),
    length: int = 30,
    scale: Literal["none", "std"] = "none",
) -> Group:
    """The leaves of a tree of attempts, with the advantage of each segment that they sampled.

    Formula: G branches of {length} tokens at the root, then {branching} behind each, the last
    without a limit; A = V(child) - mean V(siblings), over their std: {scale}
    """

    async def grow(leaf: Episode, number: int, born: int, level: int) -> Any:
        place, turns = level * length, leaf.main.turns
        said = sum(len(join(t.completion.head)) + len(t.completion.ids) for t in turns)
        if level > len(branching) or said <= place:
            return leaf, born
        stride = attempts * math.prod(branching[: level - 1])
        numbers = [number + stride * i for i in range(1, branching[level - 1])]
        way = from_token(turns, place - 1)
        more = live(await together(task, numbers, play, way))
        new = [(context_only(e, len(way.replay)), e.attempt, place) for e in more]
        below = [(leaf, number, born), *new]
        return list(await asyncio.gather(*(grow(*child, level + 1) for child in below)))

    first = await together(task, range(attempts), play)
    tree = await asyncio.gather(*(grow(e, e.attempt, 0, 1) for e in live(first)))
    return grouped(task, list(credited(list(tree), length, scale)) or first)


def edge_advantage(table: Table, groups: Sequence[Group]) -> torch.Tensor:
    """The advantage of the tree's edge that a token lies on, as the strategy measured it.

    Formula: A of the token's edge
    """

    def credit(episode: Episode, reward: float, count: int) -> Floats:
        starts, steps = list(episode.values), np.array([*episode.values.values()], np.float32)
        if not starts:  # not from a tree
            return np.zeros(count, np.float32)
        return steps[np.searchsorted(starts, np.arange(count), side="right") - 1]

    return main_rows(table, groups, credit)


SPO_SEGMENT_TREE = SPO_SEGMENT.but(strategy=part(branched), advantage=part(edge_advantage))
