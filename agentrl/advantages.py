"""Advantages that two or more algorithms share, and the statistics they are made of.

    rewards of a group  -> group_normalize -> one number per attempt
    columns of a table  -> episode_sums, episode_means -> one number per attempt
    credit of a base    -> adjusted, group_weighted -> other credit

A part that changes another one's credit takes it as `base`, so that several combine:

    part(group_weighted, base=part(smoothing, base=part(group_advantage)), weight=part(difficulty))

Groups over any key are an index `[N]` and a count; `joint` makes one of several keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch

from agentrl.algorithms.base import Algorithm, Part, declare, divides_by_std, part
from agentrl.table import Table, per_episode, per_group, per_turn
from agentrl.types import Episode, Group

Singleton = Literal["zero", "raw"]
Scale = Literal["std", "mad", "loo", "none"]
Credit = torch.Tensor | Mapping[str, torch.Tensor]
"""What an advantage answers: `[M]`, or columns with `advantage` among them."""

FLAT = 1e-12
"""Spread of a group (largest less smallest) up to which all of it counts as equal."""


def group_sums(values: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    """Sum of `values [N]` in each of `count` groups given by `index [N]`, 0 for empty ones."""
    return torch.zeros(count, dtype=values.dtype).index_add(0, index, values)


def group_means(values: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    """Mean of `values [N]` in each group `[count]`, 0 for empty ones."""
    size = torch.bincount(index, minlength=count)
    return group_sums(values, index, count) / size.clamp(min=1)


def group_spread(values: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    """Largest less smallest of `values [N]` in each group `[count]`; empty ones are below 0."""
    high = torch.full((count,), -torch.inf, dtype=values.dtype)
    low = (-high).scatter_reduce(0, index, values, "amin")
    return high.scatter_reduce(0, index, values, "amax") - low


def whitened(values: torch.Tensor) -> torch.Tensor:
    """`values [N]` with mean 0 and (sample) variance 1 over all of them."""
    return (values - values.mean()) / (values.var() + 1e-8).sqrt()


def joint(*keys: torch.Tensor) -> tuple[torch.Tensor, int]:
    """One index `[N]` for the combinations of keys `[N]` that occur, and how many do.

    Keys are at least 0. Numbers follow the keys' order, the first key first.
    """
    index = torch.unique(keys[0], return_inverse=True)[1]
    for key in keys[1:]:  # renumbered each time, so that no product overflows
        width = int(key.max()) + 1 if len(key) else 1
        index = torch.unique(index * width + key, return_inverse=True)[1]
    return index, int(index.max()) + 1 if len(index) else 0


def spread_out(
    values: torch.Tensor, index: torch.Tensor, count: int, scale: str, ddof: int
) -> torch.Tensor:
    """The scale of each group of centred `values [N]`, `[count]`: 1 where there is none."""
    size = torch.bincount(index, minlength=count)
    if scale == "none":
        return torch.ones(count, dtype=values.dtype)
    if scale == "loo":
        return (size - 1).clamp(min=1) / size.clamp(min=1)
    if scale == "mad":
        return group_means(values.abs(), index, count)
    return (group_sums(values**2, index, count) / (size - ddof).clamp(min=1)).sqrt()


def group_normalize(
    rewards: torch.Tensor,
    index: torch.Tensor,
    count: int,
    *,
    center: bool = True,
    scale: Scale = "std",
    ddof: int = 1,
    eps: float | torch.Tensor = 1e-6,
    singleton: Singleton = "zero",
    virtual: Sequence[float] = (),
) -> torch.Tensor:
    """Centre and scale `rewards [N]` in each of `count` groups given by `index [N]`.

    Scales: `std` divides by std + eps, `mad` by the mean absolute deviation + eps, `loo` multiplies
    by G/(G-1) (leave one out), `none` only centres. `eps` may be `[N]`. `virtual` values are
    members of every group in its mean and scale, and nowhere else.

    A group whose spread is at most 1e-12 gives exactly 0, whatever eps is; without `center` it
    keeps its rewards. A group of one real member gives 0 (`zero`), or its reward under mean 0 and
    std 1 (`raw`).
    """
    extra = torch.tensor(tuple(virtual), dtype=rewards.dtype)
    pool = torch.cat([rewards, extra.repeat_interleave(count)])
    place = torch.cat([index, torch.arange(count).repeat(len(extra))])
    deviation = pool - group_means(pool, place, count)[place]
    flat = (group_spread(pool, place, count) <= FLAT)[index]
    margin = eps if scale in ("std", "mad") else 0.0
    spread = spread_out(deviation, place, count, scale, ddof)[index] + margin
    kept = deviation[: len(rewards)] if center else rewards
    level = torch.zeros_like(rewards) if center else rewards
    scaled = torch.where(flat, level, kept / torch.where(flat, 1.0, spread))
    alone = rewards / (1 + margin) if singleton == "raw" else torch.zeros_like(rewards)
    return torch.where(torch.bincount(index, minlength=count)[index] == 1, alone, scaled)


def group_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    scale: Scale = "std",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> torch.Tensor:
    """Each attempt's reward against its group, the same for all of the attempt's tokens.

    Formula: A_i = (r_i - mean r) / scale; {scale}, ddof {ddof}, eps {eps}, one attempt: {singleton}
    """
    return normalized(table, table.rewards, scale=scale, ddof=ddof, eps=eps, singleton=singleton)


def normalized(table: Table, rewards: torch.Tensor, **options: Any) -> torch.Tensor:
    """Rewards `[episodes]` against those of their group, `[M]`; options as of `group_normalize`."""
    index, count = table.owner["episode"], table.num_groups
    return per_episode(table, group_normalize(rewards, index, count, **options))


@declare(by_std=True)
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


@declare(by_std=True)
def with_perfect_member(
    table: Table,
    groups: Sequence[Group],
    *,
    max_reward: float = 1.0,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "raw",
) -> torch.Tensor:
    """Each attempt's reward against its group and one more member that earned the maximum.

    Formula: A_i = (r_i - mean) / (std + {eps}) over the G rewards and {max_reward}, ddof {ddof};
    one attempt: {singleton}
    """
    return normalized(
        table, table.rewards, ddof=ddof, eps=eps, singleton=singleton, virtual=(max_reward,)
    )


# Credit of another part

STANDARD = part(group_advantage)
"""Divided by the std: the base of what adds to an advantage of size 1."""
CENTRED = part(group_advantage, scale="none")
"""Centred only: the base of what would undo or be undone by a std."""


def adjusted(
    base: Part,
    table: Table,
    groups: Sequence[Group],
    change: Callable[[torch.Tensor], torch.Tensor],
) -> Credit:
    """The base's credit `[M]` after `change`; other columns that the base made stay."""
    found: Credit = base(table, groups)
    if isinstance(found, Mapping):
        return {**found, "advantage": change(found["advantage"])}
    return change(found)


def credit_columns(base: Part, table: Table, groups: Sequence[Group]) -> dict[str, torch.Tensor]:
    """The base's credit as columns, `advantage` among them."""
    found: Credit = base(table, groups)
    return dict(found) if isinstance(found, Mapping) else {"advantage": found}


def group_weighted(
    table: Table,
    groups: Sequence[Group],
    *,
    base: Part = STANDARD,
    weight: Part,
) -> Credit:
    """The base's credit times a weight per group, `weight(table, groups) -> [num_groups]`.

    The weight sees all groups of the step, and comes after everything that adds to the credit.

    Formula: w A; w: {weight}; A: {base}
    """
    weights = per_group(table, weight(table, groups))
    return adjusted(base, table, groups, lambda credit: credit * weights)


def needs_std(record: Algorithm, piece: Part) -> str | None:
    """Why an addition to an advantage of size 1 cannot follow another base."""
    if divides_by_std(piece.settings["base"]):
        return None
    return (
        "adds a term that is measured against an advantage divided by its group's std, and its "
        "base is not: set algorithm.advantage.base to group_advantage with scale std"
    )


# What is known of an attempt


def live_episodes(groups: Sequence[Group]) -> Iterator[Episode]:
    """The attempts in the table's order."""
    return (episode for group in groups for episode in group.live)


def episode_sums(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Sum of `values [M]` over the action tokens of each attempt, `[episodes]` float64."""
    return group_sums(values.double(), table.columns["episode"], table.count("episode"))


def episode_means(
    table: Table, values: torch.Tensor, among: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of `values [M]` over the action tokens of each attempt, 0 without any; float64.

    `among [M]` (bool) leaves out other tokens.
    """
    if among is None:
        return episode_sums(table, values) / table.sizes("episode").clamp(min=1)
    return episode_sums(table, values * among) / episode_sums(table, among).clamp(min=1)


def spoken_means(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Mean `[num_groups]` of the means of `values [M]` of each group's attempts with tokens."""
    spoken, means = table.sizes("episode") > 0, episode_means(table, values)
    return group_means(means[spoken], table.owner["episode"][spoken], table.num_groups)


def relative_likelihood(table: Table) -> torch.Tensor:
    """Each attempt's mean probability per token over its group's `[episodes]`; 1 without tokens.

    Both means are geometric, under the sampler.
    """
    scores, typical = episode_means(table, table.behaviour), spoken_means(table, table.behaviour)
    relative = (scores - typical[table.owner["episode"]]).exp()
    return torch.where(table.sizes("episode") > 0, relative, 1.0)


def correct(table: Table, groups: Sequence[Group], above: float | None) -> torch.Tensor:
    """Which attempts are right `[episodes]`: reward above a threshold; None takes `success`."""
    if above is not None:
        return table.rewards > above
    return torch.tensor([e.main.success for e in live_episodes(groups)], dtype=torch.bool)


def part_values(groups: Sequence[Group], name: str) -> torch.Tensor:
    """A named reward part of every attempt `[episodes]` float64, 0 where it is absent."""
    values = [episode.main.parts.get(name, 0.0) for episode in live_episodes(groups)]
    return torch.tensor(values, dtype=torch.float64)
