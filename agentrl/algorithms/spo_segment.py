"""SPO-chain: credit by segment, from values measured by playing on from inside each attempt.

Source: arXiv 2505.23564 and its code. Tree form: `spo_segment_tree`.
Tier: A.
Certainty: code.
Differs: a segment's advantage is its change of value, whitened over the step's unsure tokens; only
those are in the loss.
Assumes: an environment that repeats itself. Left out: the guard against mean ratios above 10.
Edges: nothing unsure, all equal, before the first valued place: 0; at the threshold exactly: no
cut, not zeroed, not in the loss; several turns: places run through them.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.branching import main_rows, measured, value_steps
from agentrl.protocols import Play
from agentrl.strategies import grouped, together
from agentrl.table import Table
from agentrl.types import Episode, Group, Task


def unsure_places(episode: Episode, threshold: float, interval: int) -> tuple[list[int], list[int]]:
    """The tokens below the threshold, and the places before every `interval`-th of them."""
    said = [np.zeros(0, np.float32), *(turn.completion.logprobs for turn in episode.main.turns)]
    cuts = np.flatnonzero(np.concatenate(said) < np.float32(math.log(threshold))).tolist()
    return cuts, [cut - 1 for cut in cuts[::interval]]


async def chained(
    task: Task,
    attempts: int,
    play: Play,
    *,
    threshold: float = 0.9,
    interval: int = 5,
    continuations: int = 9,
) -> Group:
    """Attempts with values before every few unsure tokens.

    Formula: V = mean of {continuations} attempts at every {interval}-th token with p < {threshold}
    """
    episodes = await together(task, range(attempts), play)
    places = [unsure_places(episode, threshold, interval)[1] for episode in episodes]
    return grouped(task, await measured(task, episodes, places, play, continuations=continuations))


def segment_steps(
    table: Table, groups: Sequence[Group], *, threshold: float = 0.9, whiten: bool = True
) -> torch.Tensor:
    """The change of value over a token's segment; the attempt's own reward is the last value.

    Formula: V(next) - V(before), 0 where p > {threshold}; whitened over p < {threshold}: {whiten}
    """
    steps = main_rows(table, groups, value_steps).double()  # rounding is no spread to divide by
    unsure = table.behaviour < math.log(threshold)
    steps = torch.where(table.behaviour > math.log(threshold), 0.0, steps)
    among = unsure if bool(unsure.any()) else ~unsure
    centred = steps - steps[among].mean()
    scaled = centred / (centred[among].square().mean().sqrt() + 1e-8)
    return (scaled if whiten else steps).float()


def unsure_mean(table: Table, *, threshold: float = 0.9) -> torch.Tensor:
    """Mean over the tokens that were unsure; the others weigh nothing.

    Formula: 1/(number of tokens with p < {threshold}) on those
    """
    unsure = (table.behaviour < math.log(threshold)).float()
    return unsure / unsure.sum().clamp(min=1)


SPO_SEGMENT = GRPO.but(
    strategy=part(chained), advantage=part(segment_steps), weighting=part(unsure_mean)
)
