"""TextWorld's games as environments: `agentrl/TextWorld-v0`."""

from agentrl.envs.textworld.env import TextWorld

__all__ = ["TextWorld"]
