"""Advantages that two or more algorithms share: rewards of a group -> credit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from agentrl.table import Table, per_episode, per_turn
from agentrl.types import Group

Singleton = Literal["zero", "raw"]


def spread_out(
    values: torch.Tensor, index: torch.Tensor, count: int, scale: str, ddof: int
) -> torch.Tensor:
    """The scale of each group, `[count]`: 1 where there is none to speak of."""
    size = torch.bincount(index, minlength=count)
    if scale == "none":
        return torch.ones(count, dtype=values.dtype)
    if scale == "loo":
        return (size - 1).clamp(min=1) / size.clamp(min=1)
    squares = torch.zeros(count, dtype=values.dtype).index_add(0, index, values**2)
    return (squares / (size - ddof).clamp(min=1)).sqrt()


def group_normalize(
    rewards: torch.Tensor,
    index: torch.Tensor,
    count: int,
    *,
    scale: Literal["std", "loo", "none"] = "std",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> torch.Tensor:
    """Centre and scale `rewards [N]` in each of `count` groups given by `index [N]`.

    Scales: `std` divides by std + eps, `loo` multiplies by G/(G-1) (leave one out), `none` only
    centres. A group whose spread is at most 1e-12 gives exactly 0, whatever eps is. A group of one
    gives 0 (`zero`), or its reward under mean 0 and std 1 (`raw`).
    """
    size = torch.bincount(index, minlength=count)
    total = torch.zeros(count, dtype=rewards.dtype).index_add(0, index, rewards)
    centred = rewards - (total / size.clamp(min=1))[index]
    low = torch.full((count,), torch.inf, dtype=rewards.dtype)
    low = low.scatter_reduce(0, index, rewards, "amin")
    high = (-low).scatter_reduce(0, index, rewards, "amax") if count else low
    flat = (high - low <= 1e-12)[index]
    margin = eps if scale == "std" else 0.0
    spread = spread_out(centred, index, count, scale, ddof)[index] + margin
    scaled = torch.where(flat, 0.0, centred / torch.where(flat, 1.0, spread))
    alone = rewards / (1 + margin) if singleton == "raw" else torch.zeros_like(rewards)
    return torch.where(size[index] == 1, alone, scaled)


def group_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    scale: Literal["std", "loo", "none"] = "std",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> torch.Tensor:
    """Each attempt's reward against its group, the same for all of the attempt's tokens.

    Formula: A_i = (r_i - mean r) / scale; {scale}, ddof {ddof}, eps {eps}, one attempt: {singleton}
    """
    values = group_normalize(
        table.rewards,
        table.owner["episode"],
        table.num_groups,
        scale=scale,
        ddof=ddof,
        eps=eps,
        singleton=singleton,
    )
    return per_episode(table, values)


def turn_row_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "raw",
) -> torch.Tensor:
    """Every turn is a row of its task's group, so that long episodes count more in mean and std.

    Formula: A_i = (r_i - mean over turn rows) / (std over turn rows + {eps}), ddof {ddof}
    """
    episode = table.owner["trajectory"][table.owner["turn"]]
    values = group_normalize(
        table.rewards[episode],
        table.owner["episode"][episode],
        table.num_groups,
        ddof=ddof,
        eps=eps,
        singleton=singleton,
    )
    return per_turn(table, values)
