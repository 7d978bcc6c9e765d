"""Research over a knowledge graph by a main agent and those it sends: `agentrl/Research-v0`."""

from agentrl.envs.research.env import Research

__all__ = ["Research"]
