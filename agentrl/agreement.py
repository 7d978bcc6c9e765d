"""Agreement: how far the attempts of a group said the same, and weights of groups from it.

The weights are for `group_weighted`, on a base that no std divides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from agentrl.advantages import episode_sums, group_means, group_sums, joint, live_episodes
from agentrl.rewards import vote
from agentrl.table import Table
from agentrl.types import Group


def answers(groups: Sequence[Group]) -> list[str]:
    """Every attempt's answer `[episodes]`: its canonical form, else what it said last."""
    return [vote(episode, plain=True) or "" for episode in live_episodes(groups)]


def clusters(groups: Sequence[Group], index: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Attempts of one group with equal answers share a number `[episodes]`; and how many exist."""
    names: dict[str, int] = {}
    codes = [names.setdefault(answer, len(names)) for answer in answers(groups)]
    return joint(index, torch.tensor(codes, dtype=torch.int64))


def agreement(
    table: Table,
    groups: Sequence[Group],
    *,
    alpha: float = 1.0,
    form: Literal["linear", "exponential"] = "linear",
    entropy: Literal["mean_log", "shannon"] = "mean_log",
    mass: Literal["count", "probability"] = "count",
) -> torch.Tensor:
    """A weight per group that falls with the semantic entropy of its answers.

    Formula: w = f({alpha} SE / log G), f {form}: max(0, 1 - x) or e^-x; SE the {entropy} entropy of
    clusters of equal answers, their mass a {mass}; of a base without std
    """
    size = torch.bincount(table.owner["episode"], minlength=table.num_groups)
    most = size.clamp(min=2).double().log()
    level = alpha * semantic_entropy(table, groups, mass, entropy) / most
    return (-level).exp() if form == "exponential" else (1 - level).clamp(min=0)


def half_solved(
    table: Table,
    groups: Sequence[Group],
    *,
    peak: float = 4.0,
    gamma: float = 0.5,
    diversity: Literal["distinct", "entropy"] = "distinct",
    classes: int = 2,
) -> torch.Tensor:
    """A weight per group: largest at mean reward 1/2, times the diversity of its answers.

    Formula: w = {peak} d (1 - d) D^{gamma}, d the mean reward, D the {diversity} diversity:
    (kinds - 1)/(G - 1), or the entropy of answers / log {classes}; of a base without std
    """
    index, count = table.owner["episode"], table.num_groups
    size = torch.bincount(index, minlength=count)
    mean = group_means(table.rewards, index, count)
    if diversity == "distinct":
        kinds = torch.bincount(cluster_masses(groups, index, table.rewards)[1], minlength=count)
        spread = (kinds - 1) / (size - 1).clamp(min=1).double()
    else:
        spread = semantic_entropy(table, groups) / math.log(classes)
    return peak * (mean * (1 - mean)).clamp(min=0) * spread.clamp(min=0) ** gamma


def semantic_entropy(
    table: Table, groups: Sequence[Group], mass: str = "count", form: str = "shannon"
) -> torch.Tensor:
    """Entropy in nats of the answers of each group `[num_groups]`: over equal answers' masses.

    `mass` is an answer's `count` or its attempts' `probability`; `form` is `shannon`, or `mean_log`
    for the mean of -log mass over the kinds of answers.
    """
    index, count = table.owner["episode"], table.num_groups
    logs = episode_sums(table, table.behaviour) if mass == "probability" else table.rewards * 0
    top = torch.full((count,), -torch.inf, dtype=torch.float64)
    odds = (logs - top.scatter_reduce(0, index, logs, "amax")[index]).exp()
    masses, owner = cluster_masses(groups, index, odds / group_sums(odds, index, count)[index])
    logs = masses.clamp(min=1e-300).log()
    if form == "shannon":
        return group_sums(-masses * logs, owner, count)
    return group_means(-logs, owner, count)


def cluster_masses(
    groups: Sequence[Group], index: torch.Tensor, mass: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mass `[episodes]` of each set of equal answers of one group, and that group: `[K]`."""
    cluster, count = clusters(groups, index)
    owner = torch.zeros(count, dtype=torch.int64).scatter(0, cluster, index)
    return group_sums(mass, cluster, count), owner


def token_distance(table: Table) -> torch.Tensor:
    """One minus the mean overlap (Jaccard, sampled ids) with the group's others `[episodes]`."""
    of, total = table.owner["episode"], table.count("episode")
    if len(table) == 0:
        return torch.ones(total)
    size = table.members("episode", "group")
    most = int(size.max())
    first = size.cumsum(0) - size
    width = int(table.ids.max()) + 1
    said = (table.group * width + table.ids) * most + table.episode - first[table.group]
    said = torch.unique_consecutive(torch.from_numpy(np.sort(said.numpy())))
    word = said // most  # a group's words, and for each the attempts in order
    number = said - word * most
    speaker = word // width * most + number
    shared = torch.zeros(len(size) * most * most, dtype=torch.int64)
    for lag in range(most):  # 0: with itself
        met = (word[: len(word) - lag] == word[lag:]).nonzero()[:, 0]
        pair = speaker[met] * most + number[met + lag]
        shared += torch.bincount(pair, minlength=len(shared))
    both = shared.view(-1, most, most)
    kinds = both.diagonal(dim1=1, dim2=2)
    both = both.triu(1) + both.triu(1).transpose(1, 2)
    either = kinds[:, :, None] + kinds[:, None] - both
    overlap = (both / either.clamp(min=1).double()).sum(2)
    place = of * most + torch.arange(total) - first[of]
    return (1 - overlap.flatten()[place] / (size[of] - 1).clamp(min=1)).float()
