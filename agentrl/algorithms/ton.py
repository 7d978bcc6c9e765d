"""TON: imitation with thoughts dropped at random, then GRPO learns when to think.

Source: arXiv 2505.16854 and its code (kokolerk/TON).
Tier: A.
Certainty: paper and code; results on texts are published too.
Differs: shape: outcome plus format, where an empty thought is well-formed; nothing in the update.
Before it, `drop_thoughts` empties demonstrations, for example in an environment's `expert(rng)`.
Assumes: demonstrations and answers of the form think block, answer block.
Edges: no bonus for skipping, so length falls only where thoughts do not help; a text without a
think block is left as it is; all equal gives zero.
"""

from collections.abc import Sequence

import numpy as np

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import final_text, is_right
from agentrl.parsing import blocks, thinks_then_answers
from agentrl.rewards import with_parts
from agentrl.types import Episode, Group

EMPTY = "\n\n"
"""What a dropped thought becomes."""


def outcome_and_format(
    groups: Sequence[Group],
    *,
    gold: str = "answer",
    read: str = "answer",
    format_weight: float = 1.0,
) -> list[Group]:
    """A right answer, and a text that is a think block and an answer block and nothing else.

    Formula: r = 1['{read}' holds one of '{gold}'] + {format_weight} 1[think block, answer block]
    """

    def parts(episode: Episode) -> dict[str, float]:
        right, form = is_right(episode, gold, read), thinks_then_answers(final_text(episode))
        return {**episode.main.parts, "right": float(right), "format": float(form)}

    return with_parts(groups, parts, {"right": 1.0, "format": format_weight})


def drop_thoughts(
    texts: Sequence[str], rng: np.random.Generator, *, rate: float = 0.5
) -> list[str]:
    """Demonstrations in which each thought is emptied with probability `rate`.

    One draw per text, in order, whether it has a thought or not.
    """
    draws = rng.random(len(texts))
    return [without_thought(t) if d < rate else t for t, d in zip(texts, draws, strict=True)]


def without_thought(text: str) -> str:
    """The text with its first think block emptied, untouched without one."""
    thought = next(iter(blocks(text, "think")), None)
    if thought is None:
        return text
    return text.replace(f"<think>{thought}</think>", f"<think>{EMPTY}</think>", 1)


def skip_ratio(episodes: Sequence[Episode]) -> float:
    """The share of episodes whose last turn thinks nothing, of those with a think block."""
    thoughts = [found[0] for e in episodes if (found := blocks(final_text(e), "think"))]
    return sum(not thought.strip() for thought in thoughts) / max(1, len(thoughts))


TON = GRPO.but(shape=part(outcome_and_format))
