"""Question answering over a knowledge graph by writing SPARQL: `agentrl/Sparql-v0`."""

from agentrl.envs.sparql.env import Sparql
from agentrl.envs.sparql.graph import KnowledgeGraph
from agentrl.envs.sparql.graph_env import GraphEnv

__all__ = ["GraphEnv", "KnowledgeGraph", "Sparql"]
