"""Conflicts: tokens that stand at the same place in better and in worse answers of one group.

Places are counted within a turn, so that what the environment says in between breaks no run.
"""

from __future__ import annotations

from typing import Literal

import torch

from agentrl.advantages import group_normalize, group_sums, joint
from agentrl.table import Table, per_episode, per_trajectory


def raw_signs(table: Table) -> torch.Tensor:
    """The sign of each attempt's reward against its group's mean, `[episodes]`: -1, 0 or 1."""
    index, count = table.owner["episode"], table.num_groups
    return group_normalize(table.rewards, index, count, scale="none").sign()


def shared_run(table: Table, *, backward: bool = False) -> torch.Tensor:
    """Rows `[M]` of the unbroken run from a turn's first token that both signs share.

    A token is shared if the same id stands at its place in an answer with a positive sign and in
    one with a negative sign. `backward` counts places from the turn's last token.
    """
    sizes = table.sizes("turn")
    stop = sizes.cumsum(0)
    start, length, place = stop - sizes, torch.zeros_like(sizes), 0
    rival, sign = rivals(table, start)
    turns = (sign != 0).nonzero()[:, 0]
    while len(turns := turns[sizes[turns] > place]):  # as far as any run goes
        rows = stop[turns] - 1 - place if backward else start[turns] + place
        key, count = joint(rival[turns], table.ids[rows])
        better, worse = (group_sums((sign[turns] == s).long(), key, count) > 0 for s in (1, -1))
        going = turns[(better & worse)[key] & (length[turns] == place)]
        length[going] += 1
        turns = turns[torch.isin(rival[turns], rival[going])]
        place += 1
    rows = torch.arange(len(table))
    if backward:
        return rows >= (stop - length).repeat_interleave(sizes)
    return rows < (start + length).repeat_interleave(sizes)


def rivals(table: Table, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which turns compare with each other, `[turns]` numbers, and their attempts' signs.

    Those are the turns of one group, agent and number in their trajectory; `start` is each one's
    first row. A turn without rows has the sign 0.
    """
    of = table.owner["turn"]
    first = torch.searchsorted(of, torch.arange(table.count("trajectory")))
    spoken = table.sizes("turn") > 0
    row = torch.where(spoken, start, 0)
    keys = (table.group[row], table.agent[row], torch.arange(len(of)) - first[of])
    sign = raw_signs(table)[table.owner["trajectory"][of]]
    return joint(*keys)[0], torch.where(spoken, sign, 0.0)


def conflict_counts(
    table: Table, forward: torch.Tensor, backward: torch.Tensor, rule: str
) -> torch.Tensor:
    """Tokens of each trajectory in either run (`union`) or in the longer one, at least 1."""
    index, count = table.columns["trajectory"], table.count("trajectory")
    runs = [forward | backward] if rule == "union" else [forward, backward]
    sums = torch.stack([group_sums(run.double(), index, count) for run in runs])
    return sums.amax(0).clamp(min=1)


def conflict_weights(
    table: Table,
    *,
    boost: float = 2.0,
    overlap: Literal["max", "product"] = "max",
    divide_by_conflicts: bool = False,
    count_rule: Literal["union", "longer"] = "union",
    reduce: Literal["mean", "sum"] = "mean",
) -> torch.Tensor:
    """In a shared run, better answers count more and worse ones nothing; elsewhere all count 1.

    Formula: lambda / len, the {reduce} over a group; lambda = {boost} or 0 in a run from either end
    that both signs share, their {overlap} in both runs, else 1; divided by the conflicts of the
    answer ({count_rule}, at least 1): {divide_by_conflicts}
    """
    forward, backward = shared_run(table), shared_run(table, backward=True)
    times = forward.float() + backward.float()
    factor = per_episode(table, torch.where(raw_signs(table) > 0, boost, 0.0))
    factor = factor ** (times if overlap == "product" else times.clamp(max=1))
    number = table.count("trajectory") if reduce == "mean" else table.num_groups
    share = 1 / (table.sizes("trajectory").clamp(min=1).double() * max(1, number))
    if divide_by_conflicts:
        share = share / conflict_counts(table, forward, backward, count_rule)
    return factor * per_trajectory(table, share)
