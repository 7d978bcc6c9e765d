"""GRIT, a text analogue: rewards for a grounded form, with quoted evidence lines for boxes.

Source: arXiv 2505.15879 and its code (eric-ai-lab/GRIT).
Tier: C.
Certainty: code for judge, BLEU and tags; evidence in place of image boxes and the count are ours.
Differs: shape: a sum of separate parts, each readable by name. Text analogue: ids of observation
lines are quoted as `[id]` before `<rethink>`; never the paper's result.
Assumes: a judge's part in [0, 1]; for evidence, the task's data lists the ids of the lines.
Edges: a text of fewer than 16 words cannot repeat and keeps 0.5; without lines no evidence; a count
is compared for each item (the release looks at the first of a batch).
"""

import re
from collections.abc import Collection, Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import final_text, given_answer, gold_answers
from agentrl.parsing import repeated_share, unigram_bleu
from agentrl.penalties import kl
from agentrl.rewards import with_parts
from agentrl.types import Episode, Group

TAGS = ("<think>", "</think>", "<rethink>", "</rethink>")
PARTS = ("judge", "bleu", "answer", "think", "evidence", "repetition")
QUOTE = re.compile(r"\[(\w{1,32})\]")


def grounded(
    groups: Sequence[Group],
    *,
    judge: str = "judge",
    gold: str = "answer",
    lines: str = "lines",
    count: str = "count",
) -> list[Group]:
    """The parts judge, bleu, answer, think, evidence and repetition, all with weight 1.

    Formula: r = part '{judge}' + 0.1 BLEU-1 to '{gold}' + answer tag + 0.1 per tag in order
    + evidence (0.5 if all quoted are in '{lines}', 1 more if they are '{count}') + repetition
    """

    def parts(episode: Episode) -> dict[str, float]:
        text, data = final_text(episode), episode.task.data
        said = given_answer(episode, "answer") or ""
        return {
            "judge": episode.main.parts.get(judge, 0.0),
            "bleu": 0.1 * unigram_bleu(said, gold_answers(episode, gold)),
            "answer": (0.0, 0.5, 0.25)[min(2, text.count("<answer>"))],
            "think": think(text),
            "evidence": evidence(text, data.get(lines, ()), data.get(count)),
            "repetition": 0.5 - repeated_share(text, size=8),
        }

    return with_parts(groups, parts, dict.fromkeys(PARTS, 1.0))


def think(text: str) -> float:
    """0.1 for each tag found behind the one before, 0.1 more for all and two words of thought."""
    place, found = 0, 0
    for tag in TAGS:
        at = text.find(tag, place)
        found, place = (found + 1, at + len(tag)) if at >= 0 else (found, place)
    thought = text.partition(TAGS[0])[2].partition(TAGS[1])[0]
    return 0.1 * (found + (found == len(TAGS) and len(thought.split()) >= 2))


def evidence(text: str, lines: Collection[object], count: int | None) -> float:
    """0.5 if ids are quoted before the second thought and all exist, 1 more if they are `count`."""
    before, rethought, _ = text.partition("<rethink>")
    quoted = set(QUOTE.findall(before)) if rethought else set()
    exist = bool(quoted) and quoted <= set(map(str, lines))
    return 0.5 * exist + 1.0 * (exist and len(quoted) == count)


GRIT = GRPO.but(shape=part(grounded), penalty=part(kl, coef=0.01))
