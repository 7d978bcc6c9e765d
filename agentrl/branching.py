"""Credit from inside an attempt: values measured by playing on, and trees of attempts.

`Episode.values` carries what a strategy measured to the advantage that goes with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agentrl import samples
from agentrl.direction import PLAIN, from_token
from agentrl.protocols import Play
from agentrl.strategies import live, together
from agentrl.table import Table
from agentrl.types import Episode, Floats, Group, Task


async def measured(
    task: Task,
    episodes: Sequence[Episode],
    places: Sequence[Sequence[int]],
    play: Play,
    *,
    continuations: int,
) -> list[Episode]:
    """The episodes with `values`: the mean reward of new attempts that go on behind each place.

    `places[i]` are those of episode i, rising; the prompt's (-1) is measured once for all.
    """
    wanted = sorted({(i if p >= 0 else 0, p) for i, of in enumerate(places) for p in of})

    async def value(job: int, episode: Episode, place: int) -> float | None:
        first = len(episodes) + job * continuations
        way = from_token(episode.main.turns, place) if place >= 0 else PLAIN
        found = live(await together(task, range(first, first + continuations), play, way))
        return sum(e.main.reward for e in found) / len(found) if found else None

    jobs = (value(job, episodes[i], place) for job, (i, place) in enumerate(wanted))
    known = dict(zip(wanted, await asyncio.gather(*jobs), strict=True))
    by_episode = [
        {p: v for p in of if (v := known[i if p >= 0 else 0, p]) is not None}
        for i, of in enumerate(places)
    ]
    return [replace(e, values=v) for e, v in zip(episodes, by_episode, strict=True)]


def value_steps(episode: Episode, final: float, length: int) -> Floats:
    """What each of `length` sampled tokens changed: the next valued place minus the one before.

    The last token's value is `final`; tokens up to the first place get 0, for nothing is known
    before it.
    """
    values = dict(sorted(episode.values.items()))
    places = np.array([*values, length - 1])
    steps = np.diff([*values.values(), final], prepend=next(iter(values.values()), final))
    return np.repeat(steps, np.diff(places, prepend=-1)).astype(np.float32)


def main_rows(
    table: Table, groups: Sequence[Group], credit: Callable[[Episode, float, int], Floats]
) -> torch.Tensor:
    """Rows `[M]` of `credit(episode, its reward, its main trajectory's rows)`, 0 for sub-agents."""
    pieces = [np.zeros(0, np.float32)]
    rewards = iter(table.rewards.tolist())
    for episode in (episode for group in groups for episode in group.live):
        reward = next(rewards)
        for number, trajectory in enumerate(samples.credited(episode)):
            turns = [turn for turn in trajectory.turns if turn.trained]
            length = sum(len(turn.completion.ids) for turn in turns)
            own = number == 0 and length > 0
            pieces.append(credit(episode, reward, length) if own else np.zeros(length, np.float32))
    return torch.from_numpy(np.concatenate(pieces))


def edges(tree: Any, scale: str = "none") -> tuple[float, list[Any]]:
    """A node's value and, for each child, `[advantage, the child's edges]`; leaves are rewards."""
    if not isinstance(tree, list):
        return float(tree), []
    below = [edges(child, scale) for child in tree]
    values = np.array([value for value, _ in below])
    spread = values.std() + 1e-8 if scale == "std" else 1.0
    steps = (values - values.mean()) / spread
    return float(values.mean()), [[float(a), of] for a, (_, of) in zip(steps, below, strict=True)]


def credited(tree: list[Any], length: int, scale: str) -> Iterator[Episode]:
    """The leaves in order; `values` holds the advantage from each place that a segment starts."""

    def rewards(node: Any) -> Any:
        return [rewards(n) for n in node] if isinstance(node, list) else node[0].main.reward

    def walk(node: Any, below: list[Any], path: list[float]) -> Iterator[Episode]:
        if isinstance(node, list):
            for child, (step, of) in zip(node, below, strict=True):
                yield from walk(child, of, [*path, step])
        else:
            leaf, born = node
            starts = {i * length - born: step for i, step in enumerate(path)}
            yield replace(leaf, values={at: step for at, step in starts.items() if at >= 0})

    yield from walk(tree, edges(rewards(tree), scale)[1] if tree else [], [])
