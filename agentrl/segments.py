"""Segments: which rows belong to which turn, item or answer of an attempt.

Parts of parts, for an advantage takes one as an argument, so that a paper's unit can be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
import torch

from agentrl.advantages import live_episodes
from agentrl.algorithms.base import needs
from agentrl.samples import credited
from agentrl.table import Table
from agentrl.types import Finish, Group, Trajectory


def anchors(trajectory: Trajectory) -> list[str | None]:
    """Each turn's state; None is the task's beginning."""
    replies = [None, *(turn.reply for turn in trajectory.turns)]
    pairs = zip(trajectory.turns, replies, strict=False)
    return [reply if turn.state is None else turn.state for turn, reply in pairs]


def by_turn(table: Table, groups: Sequence[Group]) -> torch.Tensor:
    """The number of each row's turn in its trajectory `[M]`.

    Formula: turns
    """
    return since_start(table, torch.arange(table.count("turn")), table.owner["turn"])[table.turn]


@needs("text")
def by_item(
    table: Table, groups: Sequence[Group], *, separators: tuple[str, ...] = ("\n",)
) -> torch.Tensor:
    """The number of each row's item in its trajectory `[M]`; -1 for a turn's end token.

    A token that holds a separator ends its item.

    Formula: items that {separators} end, without end tokens
    """
    closes = where_text(table, lambda text: any(s in text for s in separators)).long()
    items = since_start(table, closes.cumsum(0) - closes, table.trajectory)
    ended = [
        turn.completion.finish is Finish.STOP
        for episode in live_episodes(groups)
        for trajectory in credited(episode)
        for turn in trajectory.turns
    ]
    ends = (table.sizes("turn").cumsum(0) - 1)[
        torch.tensor(ended, dtype=torch.bool) & (table.sizes("turn") > 0)
    ]
    return items.index_fill(0, ends, -1)


def last_turn(table: Table, groups: Sequence[Group]) -> torch.Tensor:
    """Which rows are of their trajectory's last turn `[M]` (bool).

    Formula: last turn
    """
    count = table.count("turn")
    last = torch.full((table.count("trajectory"),), -1)
    last = last.scatter_reduce(0, table.owner["turn"], torch.arange(count), "amax")
    return table.turn == last[table.trajectory]


@needs("text")
def tagged(
    table: Table,
    groups: Sequence[Group],
    *,
    opening: str = "<answer>",
    closing: str = "</answer>",
) -> torch.Tensor:
    """Which rows lie between the trajectory's last pair of tags `[M]` (bool); none without both.

    Formula: tokens between {opening} and {closing}
    """
    inside = torch.zeros(len(table), dtype=torch.bool)
    ends = np.cumsum(table.sizes("trajectory").numpy())
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        texts = table.texts[start:end]
        stops = np.cumsum([len(text) for text in texts])
        whole = "".join(texts)
        close = whole.rfind(closing)
        begin = whole.rfind(opening, 0, max(0, close))
        if begin >= 0:
            starts = stops - [len(text) for text in texts]
            found = (starts >= begin + len(opening)) & (stops <= close)
            inside[start:end] = torch.from_numpy(found)
    return inside


def before_tag(table: Table, tag: str) -> torch.Tensor:
    """Which rows begin before their turn's first `tag` `[M]`; none of a turn without it."""
    sizes = table.sizes("turn")
    stops, counts = sizes.cumsum(0), []
    for first, stop in zip((stops - sizes).tolist(), stops.tolist(), strict=True):
        said = table.texts[first:stop]
        place = "".join(said).find(tag)
        begins = accumulate(map(len, said), initial=0)
        counts.append(next(i for i, begin in enumerate(begins) if begin >= place))
    ends = stops - sizes + torch.tensor(counts, dtype=torch.int64)
    return torch.arange(len(table)) < ends.repeat_interleave(sizes)


def since_start(table: Table, numbers: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Numbers that ascend over the whole table, counted from each trajectory's first one."""
    first = torch.full((table.count("trajectory"),), torch.iinfo(torch.int64).max)
    return numbers - first.scatter_reduce(0, owner, numbers, "amin")[owner]


def where_text(table: Table, test: Callable[[str], bool]) -> torch.Tensor:
    """Which rows' texts pass a test `[M]` (bool), asked once per distinct token."""
    ids = table.ids.numpy()
    places = np.full(ids.max(initial=-1) + 1, -1)
    places[ids] = np.arange(len(ids))
    flags = np.array([p >= 0 and test(table.texts[p]) for p in places.tolist()], dtype=bool)
    return torch.from_numpy(flags[ids])


def sorted_within(values: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """`values [m]` in ascending order within each of the runs of these sizes, as float32."""
    bits = values.detach().float().contiguous().view(torch.int32).numpy()
    flip = np.int32(0x7FFFFFFF)  # makes the bits of negative numbers ascend as well
    run = np.repeat(np.arange(len(sizes)), sizes.numpy()) << 32
    ordered = np.sort(run + (bits ^ (bits >> 31 & flip))).astype(np.int32)
    return torch.from_numpy(ordered ^ (ordered >> 31 & flip)).view(torch.float32)


def quantile_within(ordered: torch.Tensor, sizes: torch.Tensor, level: float) -> torch.Tensor:
    """The quantile of each run of `sorted_within`, between neighbours in line; float64.

    Of an empty run it is 0.
    """
    if len(ordered) == 0:
        return torch.zeros(len(sizes), dtype=torch.float64)
    place = level * (sizes - 1).clamp(min=0).double()
    low = (sizes.cumsum(0) - sizes + place.long()).clamp(max=len(ordered) - 1)
    high = torch.where(place > place.long(), low + 1, low)
    below, above = ordered[low].double(), ordered[high].double()
    return torch.where(sizes > 0, below.lerp(above, place - place.long()), 0.0)
