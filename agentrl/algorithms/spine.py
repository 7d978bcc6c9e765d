"""SPINE: a majority vote instead of labels; only undecided tokens train, in an entropy band.

Source: arXiv 2511.17938 (both versions).
Tier: B.
Certainty: second-hand; the weights of band and KL are open.
Differs: the reward is agreement with the group's most frequent answer; only fork tokens (high
entropy) are weighed; the penalty holds their entropy in a band and them at the reference. `spine`
takes the top fifth and divides by it, `spine_otsu` Otsu's threshold and all tokens of the answer.
Assumes: canonical answers (`plain: true` takes what was said last where there is none). Open: the
coefficients `band` and `kl`; thresholds are per trajectory; ties take the first answer seen.
Edges: a group without answers is sampled again; when all agree only the band acts; constant entropy
selects every token; empty turns have no row; a truncated attempt votes if it has an answer.
"""

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.keeps import any_reward
from agentrl.penalties import entropy_band
from agentrl.rewards import majority_vote
from agentrl.weightings import fork_tokens

SPINE = GRPO.but(
    shape=part(majority_vote),
    keep=part(any_reward),
    advantage=part(group_advantage, ddof=0),
    weighting=part(fork_tokens, version="quantile"),
    penalty=part(entropy_band, version="quantile"),
)

SPINE_OTSU = SPINE.but(
    weighting=part(fork_tokens, version="otsu"), penalty=part(entropy_band, version="otsu")
)
