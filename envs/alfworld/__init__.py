"""Household tasks in text: ALFWorld's games and our own, played by a simulator of its rules."""

from agentrl.envs.alfworld.env import AlfWorld

__all__ = ["AlfWorld"]
