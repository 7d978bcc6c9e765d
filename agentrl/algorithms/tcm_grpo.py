"""Ladder-base: plain GRPO on multiple choice, rewarded for the exact option letter.

Source: arXiv 2510.17402.
Tier: B.
Certainty: paper (setup); reward and hyperparameters unknown.
Differs: shape: 1 for the option letter, else 0. The reward and where it stands are ours.
Assumes: the task's data holds the letter under `gold`; the last turn holds it in an answer tag.
Edges: no answer gives 0; the letter is trimmed and may be lower case; all equal gives zero.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import answer_match

TCM_GRPO = GRPO.but(shape=part(answer_match, ignore_case=True))
