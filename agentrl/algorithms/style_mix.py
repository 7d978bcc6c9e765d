"""Authorial style: long stories rewarded for style, content and completeness at once.

Source: arXiv 2512.05747 and its code (Vince-Liuss/literary_style_model, the second version).
Tier: A.
Certainty: code.
Differs: the reward is a mixture with a length curve; the advantage is centred only; one ratio per
sequence, under a mean over all tokens that is corrected for the sampling engine; KL 0.1. The clip
is not recorded, so gspo's is taken.
Assumes: the environment names `style` (a cosine, calibrated to [0, 1]) and `content` (the judge's
0 to 9 divided by 10); the story is the last turn's text.
Edges: below 500 words completeness is 0, and 500 words is a jump; an empty or unended story has 0;
a truncated one is unended; all equal or one attempt leaves only the KL.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch

from agentrl.advantages import group_advantage
from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.losses import sequence_clipped
from agentrl.penalties import kl
from agentrl.rewards import with_parts
from agentrl.table import Table
from agentrl.types import Episode, Group
from agentrl.weightings import truncated_importance

WEIGHTS = {"style": 0.6, "content": 0.3, "completeness": 0.1}
WORD = re.compile("\\w+(?:['\u2019-]\\w+)*")


def story_reward(
    groups: Sequence[Group], *, weights: Mapping[str, float], ending: str = "THE END"
) -> list[Group]:
    """A weighted sum with `completeness`, which is read off the story unless the parts name it.

    Formula: r = sum of {weights} over the parts; completeness(words), 0 without {ending} at the end
    """

    def change(episode: Episode) -> Mapping[str, float]:
        story = episode.main.turns[-1].completion.text if episode.main.turns else ""
        ended = story.rstrip().endswith(ending)
        return {"completeness": completeness(len(WORD.findall(story)), ended), **episode.main.parts}

    return with_parts(groups, change, weights)


def completeness(words: int, ended: bool) -> float:
    """0 below 500 words, then words/1200, 1 from 1200 to 1600, and falling by a root beyond."""
    if words < 500 or not ended:
        return 0.0
    late = max(0, words - 1600) / 1500
    return min(1.0, words / 1200, max(0.0, 1 - math.sqrt(late)))


def length_weighted(table: Table) -> torch.Tensor:
    """Every token counts the same, so long answers count more: on purpose, also under one ratio.

    Formula: 1/(sum of len)
    """
    return torch.full((len(table),), 1 / max(1, len(table)))


STYLE_MIX = GRPO.but(
    advantage=part(group_advantage, scale="none"),
    weighting=part(truncated_importance, base=part(length_weighted)),
    loss=part(sequence_clipped),
    penalty=part(kl, coef=0.1),
    shape=part(story_reward, weights=WEIGHTS),
)
