"""The Berkeley Function Calling Leaderboard through its own package."""

from agentrl.envs.bfcl.data import CATEGORIES, GROUPS, NOT_RUN, UNSOLVABLE
from agentrl.envs.bfcl.env import Bfcl

__all__ = ["CATEGORIES", "GROUPS", "NOT_RUN", "UNSOLVABLE", "Bfcl"]
