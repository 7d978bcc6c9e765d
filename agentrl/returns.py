"""Returns: credit per token from rewards that lie on tokens and, where there is one, a critic.

The rows of a trajectory follow each other whatever the environment said between them: observations
are no rows, so neither their values nor their count can enter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from agentrl.advantages import group_advantage, whitened
from agentrl.algorithms.base import Part, declare, needs, part
from agentrl.table import Table, View
from agentrl.types import Group


@declare(makes=("returns",))
@needs("value")
def gae_advantage(
    table: Table,
    groups: Sequence[Group],
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten: bool = True,
) -> dict[str, torch.Tensor]:
    """Generalised advantage estimation over each trajectory's action tokens, and its returns.

    Source: arXiv 1506.02438 (eqs 11, 16). The returns, which the critic learns, are not whitened;
    a batch with fewer than two rows isn't either.

    Formula: A_t = r_t + {gamma} V_next - V_t + {gamma}*{lam} A_next, next is the next action token;
    returns A + V; then whitened over the batch ({whiten})
    """
    values = table.value.double()
    credit = table.reward.double() + gamma * next_values(table, values) - values
    credit = accumulated(table, credit, gamma * lam)
    returns = (credit + values).float()
    if whiten and len(table) > 1:
        credit = whitened(credit)
    return {"advantage": credit.float(), "returns": returns}


def next_values(table: Table, values: torch.Tensor) -> torch.Tensor:
    """`values [M]` of the next row of the same trajectory, 0 behind its last."""
    size = table.sizes("trajectory")
    ahead = values.roll(-1)
    ahead[(size.cumsum(0) - 1)[size > 0]] = 0.0
    return ahead


def accumulated(table: Table, values: torch.Tensor, decay: float) -> torch.Tensor:
    """`values [M]` plus `decay` times the accumulated one of the trajectory's next row."""
    slices = list(backwards(table))
    rows = torch.cat([torch.empty(0, dtype=torch.int64), *slices])
    packed = values.index_select(0, rows)  # all last rows, then all before them, and so on
    later = packed[:0]
    for piece in torch.split(packed, [len(piece) for piece in slices]):
        if len(later):
            piece.add_(later[: len(piece)], alpha=decay)
        later = piece
    return torch.empty_like(values).index_copy(0, rows, packed)


def backwards(table: Table) -> Iterator[torch.Tensor]:
    """The last rows of all trajectories, then those one before, and so on; longest first."""
    size, order = table.sizes("trajectory").sort(descending=True)
    last = table.sizes("trajectory").cumsum(0)[order] - 1
    longer = len(size) - torch.bincount(size).cumsum(0)
    for back, count in enumerate(longer[:-1].tolist()):
        yield last[:count] - back


@declare(reads=("returns",))
@needs("value")
def value_loss(view: View, *, coef: float = 0.5, clip: float | None = None) -> torch.Tensor:
    """The critic's squared error, half of it, times `coef`; reads the column `returns`.

    With `clip` a value may move at most so far from the value before the step, and the worse of the
    two errors counts. The critic is a head on the policy's own last layer, so its gradient reaches
    the policy too.

    Formula: {coef}/2 (V - returns)^2, the worse error of V and V clipped to old V +- {clip}
    """
    error = (view.values - view.returns) ** 2
    if clip is not None:
        bounded = view.value + (view.values - view.value).clamp(-clip, clip)
        error = torch.maximum(error, (bounded - view.returns) ** 2)
    view.log("value_error", error)
    return coef * error / 2


@needs("old", "ref")
def kl_in_reward(
    table: Table,
    groups: Sequence[Group],
    *,
    coef: float = 0.001,
    base: Part = part(group_advantage),
) -> torch.Tensor | dict[str, torch.Tensor]:
    """Another advantage, on rewards from which each token's distance to the reference is taken.

    Formula: r_t - {coef} (old - ref) on every token, their sum off the attempt's reward; then
    {base}
    """
    cost = coef * (table.old - table.ref)
    of_episode, of_trajectory = table.rewards.clone(), table.trajectory_rewards.clone()
    paid = replace(
        table.with_columns(reward=table.reward - cost),
        rewards=of_episode.index_add(0, table.episode, -cost.double()),
        trajectory_rewards=of_trajectory.index_add(0, table.trajectory, -cost.double()),
    )
    return base(paid, groups)  # type: ignore[no-any-return]
