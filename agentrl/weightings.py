"""Weightings: how much each token counts. The normaliser lives here and nowhere else.

Notation: N trajectories in the step (those without tokens included), len tokens of a trajectory.
"""

from __future__ import annotations

from typing import Literal

import torch

from agentrl.algorithms.base import Algorithm, Part, needs, part, refuses
from agentrl.segments import last_turn, sorted_within
from agentrl.table import Table, per_trajectory, per_turn


def seq_mean_token_mean(table: Table) -> torch.Tensor:
    """Mean over trajectories of the mean over their tokens.

    Formula: 1/(N len)
    """
    return per_trajectory(table, 1 / (table.count("trajectory") * table.sizes("trajectory")))


def token_mean(table: Table) -> torch.Tensor:
    """Mean over all tokens of the step.

    Formula: 1/(sum of len)
    """
    return torch.full((len(table),), 1 / max(1, len(table)))


def seq_mean_token_sum(table: Table) -> torch.Tensor:
    """Mean over trajectories of the sum over their tokens.

    Formula: 1/N
    """
    return torch.full((len(table),), 1 / max(1, table.count("trajectory")))


def constant_length(table: Table, *, constant: float = 1024.0) -> torch.Tensor:
    """Sum over tokens divided by a constant length, the same for every answer.

    `constant` is a number of tokens (the generation limit), never the padded width of a batch.

    Formula: 1/(N {constant})
    """
    return torch.full((len(table),), 1 / (max(1, table.count("trajectory")) * constant))


def trajectory_turn_token(table: Table) -> torch.Tensor:
    """Mean over trajectories of the mean over their turns of the mean over the turn's tokens.

    Formula: 1/(N T len_t), T turns of the trajectory, len_t tokens of the turn
    """
    turns = table.members("turn", "trajectory")[table.owner["turn"]]
    return per_turn(table, 1 / (table.count("trajectory") * turns * table.sizes("turn")))


TURN_MEANS = part(trajectory_turn_token)


def last_turn_only(table: Table, *, base: Part = TURN_MEANS) -> torch.Tensor:
    """Another weighting, on each trajectory's last turn alone: what broadcasting is compared with.

    Formula: {base} on the last turn, 0 before it
    """
    weight: torch.Tensor = base(table)
    return weight * last_turn(table, ())


ANSWER_MEANS = part(seq_mean_token_mean)
"""The default of a weighting that changes another one."""


def nobody_sampled(record: Algorithm, piece: Part) -> str | None:
    """Why sampler and trainer cannot be compared on tokens without a sampler's log-prob."""
    if not getattr(record.strategy.function, "without_behaviour", False):
        return None
    return (
        f"compares the policy with the engine that sampled, and {record.strategy.name} adds tokens "
        "that nobody sampled: take a weighting without it, or another strategy"
    )


@refuses(nobody_sampled)
@needs("old")
def truncated_importance(
    table: Table, *, base: Part = ANSWER_MEANS, cap: float = 2.0
) -> torch.Tensor:
    """Another weighting, corrected for a sampling engine that is not quite the policy it serves.

    The factor is the policy's probability over the engine's, at most `cap`; rows that another
    distribution sampled on purpose (`off_policy`) have `old` = `behaviour`, so a factor of 1.

    Source: Yao et al., "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training",
    2025 (truncated importance sampling).

    Formula: base min(exp(old - behaviour), {cap}), base {base}
    """
    weights: torch.Tensor = base(table)
    return weights * (table.old - table.behaviour).exp().clamp(max=cap)


@refuses(nobody_sampled)
@needs("old")
def masked_importance(
    table: Table,
    *,
    base: Part = ANSWER_MEANS,
    low: float = 0.5,
    high: float = 5.0,
    ratio: bool = True,
    renormalise: bool = False,
) -> torch.Tensor:
    """Another weighting without the tokens on which engine and policy disagree.

    A token counts where the policy's probability over the engine's is in [`low`, `high`]: by that
    `ratio`, or fully. `renormalise` gives the tokens that stay the whole step's weight; without it
    the normaliser is that of all tokens.

    Source: Ling Team, "Every Step Evolves", arXiv 2510.18855 (IcePop: low 0.5, high 5, by the
    ratio).

    Formula: base r [{low} <= r <= {high}], r = exp(old - behaviour) (the factor r: {ratio}; times
    sum of base / sum of base that stays: {renormalise}), base {base}
    """
    weights: torch.Tensor = base(table)
    logs = table.old - table.behaviour
    return inside(weights, logs, low, high, ratio=ratio, renormalise=renormalise)


Unit = Literal["trajectory", "turn"]
Over = Literal["product", "geometric"]


def unit_log_ratio(table: Table, level: Unit, over: Over) -> torch.Tensor:
    """Log of the policy's probability of a row's whole trajectory or turn over the engine's `[M]`.

    `geometric` is the mean over its tokens in place of the sum.
    """
    index = table.columns[level]
    total = torch.zeros(table.count(level), dtype=torch.float64)
    total = total.index_add(0, index, (table.old - table.behaviour).double())
    if over == "geometric":
        total = total / table.sizes(level).clamp(min=1)
    return total.float().index_select(0, index)


@refuses(nobody_sampled)
@needs("old")
def truncated_sequences(
    table: Table,
    *,
    base: Part = ANSWER_MEANS,
    level: Unit = "trajectory",
    over: Over = "product",
    cap: float = 2.0,
) -> torch.Tensor:
    """Another weighting, corrected by the ratio of whole trajectories or turns, at most `cap`.

    The product is the unbiased correction of a unit's gradient but for the cap; its variance grows
    with the unit's length, which the geometric mean avoids.

    Source: Liu, Li et al., "When Speed Kills Stability: Demystifying RL Collapse from the
    Training-Inference Mismatch", 2025 (sequence-level truncated importance sampling).

    Formula: base min(r, {cap}), r = {over} over the {level} of exp(old - behaviour), base {base}
    """
    weights: torch.Tensor = base(table)
    return weights * unit_log_ratio(table, level, over).exp().clamp(max=cap)


@refuses(nobody_sampled)
@needs("old")
def masked_sequences(
    table: Table,
    *,
    base: Part = ANSWER_MEANS,
    level: Unit = "trajectory",
    over: Over = "product",
    low: float = 0.0,
    high: float = 2.0,
    ratio: bool = True,
    renormalise: bool = False,
) -> torch.Tensor:
    """Another weighting without the trajectories or turns on which engine and policy disagree.

    One counts as a whole where its ratio is in [`low`, `high`]: by that `ratio`, or fully.
    `renormalise` gives those that stay the whole step's weight.

    Source: Liu, Li et al., "When Speed Kills Stability: Demystifying RL Collapse from the
    Training-Inference Mismatch", 2025 (masked importance sampling).

    Formula: base r [{low} <= r <= {high}], r = {over} over the {level} of exp(old - behaviour) (the
    factor r: {ratio}; times sum of base / sum of base that stays: {renormalise}), base {base}
    """
    weights: torch.Tensor = base(table)
    logs = unit_log_ratio(table, level, over)
    return inside(weights, logs, low, high, ratio=ratio, renormalise=renormalise)


def inside(
    weights: torch.Tensor,
    log_ratio: torch.Tensor,
    low: float,
    high: float,
    *,
    ratio: bool,
    renormalise: bool,
) -> torch.Tensor:
    """Weights `[M]` where a ratio lies in an interval, 0 elsewhere."""
    factor = log_ratio.exp()
    kept = (factor >= low) & (factor <= high)
    found = torch.where(kept, weights * factor if ratio else weights, 0.0)
    if not renormalise:
        return found
    return found * (weights.sum() / torch.where(kept, weights, 0.0).sum().clamp(min=1e-30))


Version = Literal["quantile", "otsu"]


def fork_thresholds(
    entropy: torch.Tensor, sizes: torch.Tensor, version: Version, share: float, bins: int
) -> torch.Tensor:
    """The entropy from which a trajectory's tokens are forks: of the top share, or Otsu's.

    `entropy [M]` holds trajectories of these sizes one behind the other; `[trajectories]`, inf for
    empty ones. Otsu's splits a histogram so that the variance between its two sides is largest; the
    first such bin's centre counts. All tokens are forks where all entropies are equal.
    """
    filled = sizes[sizes > 0]
    ordered, stops = sorted_within(entropy, filled), filled.cumsum(0)
    low, high = ordered[stops - filled].double(), ordered[stops - 1].double()
    if version == "quantile":
        found = ordered[stops - (share * filled - 1e-9).ceil().long().clamp(min=1)].double()
    else:
        spread, number = high - low, torch.arange(len(filled)).repeat_interleave(filled)
        shift = ordered.double() - low.repeat_interleave(filled)
        place = shift * (bins / spread.clamp(min=1e-12)).repeat_interleave(filled)
        cell = number * bins + place.long().clamp(max=bins - 1)
        counts = torch.bincount(cell, minlength=len(filled) * bins).view(-1, bins)
        best = otsu(counts / filled[:, None].double())
        found = torch.where(spread <= 1e-12, low, low + (best + 0.5) * spread / bins)
    limits = torch.full((len(sizes),), torch.inf, dtype=torch.float64)
    return limits.masked_scatter(sizes > 0, found).to(entropy.dtype)


def otsu(shares: torch.Tensor) -> torch.Tensor:
    """Behind which bin `[n]` each histogram `shares [n, bins]` splits best."""
    mass, moment = shares.cumsum(1), (shares * torch.arange(shares.shape[1])).cumsum(1)
    between = (moment[:, -1:] * mass - moment) ** 2 / (mass * (1 - mass)).clamp(min=1e-12)
    return between[:, :-1].argmax(1)


@needs("entropy")
def fork_tokens(
    table: Table, *, version: Version = "quantile", share: float = 0.2, bins: int = 100
) -> torch.Tensor:
    """Only tokens of high entropy count: `quantile` divides by them, `otsu` by all tokens.

    Formula: 1/(N forks) on the top {share} (quantile) or 1/(N len) above Otsu's threshold of {bins}
    bins (otsu) of each trajectory's entropies; {version}
    """
    sizes, trajectory = table.sizes("trajectory"), table.columns["trajectory"]
    limits = fork_thresholds(table.entropy, sizes, version, share, bins)
    forks = table.entropy >= limits.index_select(0, trajectory)
    over = (
        torch.bincount(trajectory[forks], minlength=len(sizes)) if version == "quantile" else sizes
    )
    weights = 1 / (max(1, table.count("trajectory")) * over.clamp(min=1))
    return per_trajectory(table, weights) * forks
