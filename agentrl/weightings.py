"""Weightings: how much each token counts. The normaliser lives here and nowhere else.

Notation: N trajectories in the step (those without tokens included), len tokens of a trajectory.
"""

from __future__ import annotations

import torch

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
