"""Sudoku as a conversation: `agentrl/Sudoku-v0`, and the order score of the mixed-reward paper."""

from __future__ import annotations

from agentrl.envs.sudoku.env import Sudoku
from agentrl.envs.sudoku.order import order_score

__all__ = ["Sudoku", "order_score"]
