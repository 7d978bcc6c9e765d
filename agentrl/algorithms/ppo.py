"""PPO: a learned value per token replaces the group.

Source: arXiv 1707.06347 (eqs 7, 9, 11); multi-turn form as in pearls-lab/meow-tea-taro.
Tier: A.
Certainty: paper; multi-turn form: code.
Differs: advantage (GAE over action tokens, whitened over the batch), penalty (the critic's error),
weighting (mean over tokens). The critic is a head on the policy's last layer, not a model of its
own, so both share one learning rate; `coef` is ours. Its clip is off (`penalty.clip`).
Assumes: rewards lie where they were earned (turn rewards; what shaping adds on the last token).
Edges: equal rewards still teach, there is no group; one attempt is enough; a trajectory of one
token gets r - V; a batch of one token is not whitened; an empty attempt has no rows; a truncated
one ends with the value 0.
"""

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.returns import gae_advantage, value_loss
from agentrl.weightings import token_mean

PPO = GRPO.but(
    advantage=part(gae_advantage, gamma=1.0, lam=0.95),
    weighting=part(token_mean),
    penalty=part(value_loss, coef=0.5),
)
