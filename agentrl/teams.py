"""Teams: a main agent and the sub-agents it called, credited and weighed apart.

An episode's first trajectory is the main agent's, every other one an invocation of a sub-agent. How
many invocations an attempt made is its own choice, so they are aligned before they are compared:
by copies and cuts to a fixed number (a shape), or by weights that come to the same on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from agentrl.algorithms.base import Part, declare
from agentrl.rollout import derive_seed
from agentrl.samples import credited
from agentrl.table import Table, per_trajectory
from agentrl.types import Episode, Group, Trajectory

Align = Literal["count", "weight"]
"""An invocation counts once, or as the d_k-th part of its attempt."""


def agent_rewards(
    groups: Sequence[Group],
    *,
    main: tuple[float, float] = (0.1, 0.9),
    sub: tuple[float, float, float] = (0.1, 0.4, 0.5),
) -> list[Group]:
    """Every agent's reward; an invocation shares in the main agent's success.

    A trajectory without a part `format` is valid, one without `expert` has 0 of it.

    Formula: main {main} of (format, success), sub-agent {sub} of (format, main's success, expert);
    0 if the format is invalid
    """

    def reward(t: Trajectory, success: bool, weights: Sequence[float]) -> float:
        form = t.parts.get("format", 1.0)
        terms = (form, float(success), t.parts.get("expert", 0.0))
        return sum(w * x for w, x in zip(weights, terms, strict=False)) if form > 0 else 0.0

    shaped = []
    for group in groups:
        episodes = []
        for e in group.episodes:
            weights = [main, *[sub] * (len(e.trajectories) - 1)]
            pairs = zip(e.trajectories, weights, strict=True)
            paid = tuple(replace(t, reward=reward(t, e.main.success, w)) for t, w in pairs)
            episodes.append(replace(e, trajectories=paid))
        shaped.append(replace(group, episodes=tuple(episodes)))
    return shaped


def align(count: int, d: int, picks: Sequence[int]) -> list[int]:
    """Which of `count` invocations make `d`: all and the picked copies, or the picked ones only."""
    if count < d:
        return [*range(count), *picks]
    return list(range(count)) if count == d else list(picks)


def draw_picks(count: int, d: int, rng: np.random.Generator) -> list[int]:
    """Copies drawn with replacement while `count` is below `d`, else a subset in order."""
    if count == 0 or count == d:
        return []
    if count < d:
        return [int(pick) for pick in rng.integers(0, count, d - count)]
    return sorted(int(pick) for pick in rng.permutation(count)[:d])


def aligned(groups: Sequence[Group], *, base: Part, d: int = 8, seed: int = 0) -> list[Group]:
    """Another shape, then `d` invocations for every attempt that made any credited ones.

    The draws follow from the seed, the step, the task and the attempt. Choose d so that about 99%
    of the attempts make no more.

    Formula: {base}; then copies or a random cut to {d} invocations per attempt
    """

    def cut(group: Group, episode: Episode) -> Episode:
        subs = credited(episode)[1:]
        draws = derive_seed(seed, group.step, group.task.id, episode.attempt)
        picks = draw_picks(len(subs), d, np.random.default_rng(draws))
        chosen = [subs[i] for i in align(len(subs), d, picks)]
        return replace(episode, trajectories=(episode.main, *chosen))

    return [replace(g, episodes=tuple(cut(g, e) for e in g.episodes)) for g in base(groups)]


def sub_agents(table: Table) -> torch.Tensor:
    """Which trajectories are a sub-agent's: all but the first of an episode, `[trajectories]`."""
    of = table.owner["trajectory"]
    return torch.cat([torch.zeros(1, dtype=torch.bool), of[1:] == of[:-1]])[: len(of)]


def shares(table: Table, how: Align) -> torch.Tensor:
    """How much each trajectory counts in its pool, `[trajectories]` float64."""
    sub, of = sub_agents(table), table.owner["trajectory"]
    ones = torch.ones(len(sub), dtype=torch.float64)
    if how == "count":
        return ones
    calls = torch.bincount(of[sub], minlength=table.count("episode"))
    return torch.where(sub, 1 / calls[of].clamp(min=1), ones)


def pool_statistics(
    values: torch.Tensor, pool: torch.Tensor, count: int, share: torch.Tensor, ddof: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and std of each of `count` pools, members weighed by their shares."""
    zeros = torch.zeros(count, dtype=values.dtype)
    total = zeros.index_add(0, pool, share).clamp(min=1e-12)
    mean = zeros.index_add(0, pool, share * values) / total
    size = torch.bincount(pool, minlength=count)
    squares = zeros.index_add(0, pool, share * (values - mean[pool]) ** 2) * size / total
    return mean, (squares / (size - ddof).clamp(min=1)).sqrt()


@declare(by_std=True)
def two_pools(
    table: Table,
    groups: Sequence[Group],
    *,
    ddof: int = 0,
    eps: float = 0.0,
    align: Align = "count",
) -> torch.Tensor:
    """Main agents against main agents, invocations against all invocations of the same task.

    A pool without spread gives 0, one of a single member too.

    Formula: A = (r - mean) / (std + {eps}), ddof {ddof}, over the task's main agents or its
    sub-agents; each invocation by {align}
    """
    group = table.owner["episode"][table.owner["trajectory"]]
    pool, rewards = 2 * group + sub_agents(table), table.trajectory_rewards
    share = shares(table, align)
    mean, std = pool_statistics(rewards, pool, 2 * table.num_groups, share, ddof)
    spread = std[pool] > 1e-12
    scaled = (rewards - mean[pool]) / torch.where(spread, std[pool] + eps, 1.0)
    return per_trajectory(table, torch.where(spread, scaled, 0.0))


def agent_mean(
    table: Table, *, align: Align = "count", tokens: Literal["sum", "mean"] = "sum"
) -> torch.Tensor:
    """Mean over the main agents' trajectories plus the mean over the sub-agents'.

    Formula: 1/N of the agent's own N trajectories, each invocation by {align}; {tokens} over
    a trajectory's tokens
    """
    sub, share = sub_agents(table).long(), shares(table, align)
    total = torch.zeros(2, dtype=share.dtype).index_add(0, sub, share)
    weight = share / total[sub]
    if tokens == "mean":
        weight = weight / table.sizes("trajectory").clamp(min=1)
    return per_trajectory(table, weight)
