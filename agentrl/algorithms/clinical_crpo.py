"""Clinical-R1, CRPO: a rule-based reward for one boxed option letter, its form and its language.

Source: arXiv 2512.00601 and its code (BoyangGu1/Clinical-R1-3B).
Tier: A.
Certainty: code for the released reward; the paper's consistency and faithfulness terms are unknown.
Differs: shape: ten times the answer, plus format, plus half the share of ASCII characters.
Assumes: options are single capital letters, the answer is boxed once, thoughts stand in think tags.
Edges: no box gives 0, n > 1 boxes -n; a box that never closes -1; an empty text 0 in all parts.
"""

import string
from collections.abc import Mapping, Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import final_text, gold_answers
from agentrl.parsing import blocks, boxes, thinks_then_answers
from agentrl.penalties import kl
from agentrl.rewards import with_parts
from agentrl.types import Episode, Group


def clinical(
    groups: Sequence[Group],
    *,
    weights: Mapping[str, float],
    gold: str = "answer",
    options: tuple[str, ...] = tuple(string.ascii_uppercase),
    boxed: bool = True,
) -> list[Group]:
    """The parts `accuracy`, `format` and `english`, weighted with those the environment names.

    `boxed: false` takes the whole text for the content of its one box.

    Formula: r = sum of {weights} over the parts; accuracy 1 for '{gold}', 0 for another of
    {options}, less for anything else than one box (boxed: {boxed})
    """

    def parts(episode: Episode) -> dict[str, float]:
        text = final_text(episode).replace("<\\think>", "</think>")
        score = accuracy(boxes(text) if boxed else [text], gold_answers(episode, gold), options)
        scores = {"accuracy": score, "format": form(text), "english": english(text)}
        return {**episode.main.parts, **scores}

    return with_parts(groups, parts, weights)


def accuracy(found: Sequence[str | None], right: Sequence[str], options: Sequence[str]) -> float:
    """One box: right 1, another option 0, no option -0.5, unclosed -1; else minus the boxes."""
    if len(found) != 1:
        return -float(len(found))
    if found[0] is None:
        return -1.0
    letter = found[0].strip()
    return float(letter in right) if letter in (*right, *options) else -0.5


def form(text: str) -> float:
    """1 for think block and answer block, 0.5 more if the answer is one box and other text."""
    if not thinks_then_answers(text):
        return 0.0
    answer = blocks(text, "answer")[-1].strip()
    found = [box for box in boxes(answer) if box is not None]
    return 1.5 if len(found) == 1 and answer != f"\\boxed{{{found[0]}}}" else 1.0


def english(text: str) -> float:
    """The share of ASCII characters, 0 of an empty text."""
    return sum(map(str.isascii, text)) / max(1, len(text))


RELEASED = {"accuracy": 10.0, "format": 1.0, "english": 0.5}
UNKNOWN = {"consistency": 0.0, "faithfulness": 0.0}
"""Terms of the paper that are not in the release: parts of the environment, off by default."""

CLINICAL_CRPO = GRPO.but(
    shape=part(clinical, weights={**RELEASED, **UNKNOWN}), penalty=part(kl, coef=0.001)
)
