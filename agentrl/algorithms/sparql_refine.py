"""Learning to refine: an agent queries, reads results or errors, and is paid for the outcome.

Source: arXiv 2511.11770 (CEUR Vol-4079).
Tier: B.
Certainty: paper (task, result); second-hand (masking); reconstructed (the exact reward).
Differs: shape: 1 when the answer set is the gold set; the update is GRPO's. The value of the reward
and both side terms, off by default, are ours.
Assumes: an environment that runs queries and names the part `executed`, such as Sparql-v0;
observations are never rows of the table, so they are not trained.
Edges: no final answer, a superset or a subset of the gold set gives 0; a query error is an
observation and the episode goes on; the turn limit gives 0.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import result_set

SPARQL_REFINE = GRPO.but(shape=part(result_set))
