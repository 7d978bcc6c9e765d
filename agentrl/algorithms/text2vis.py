"""RL-Text2Vis: a reward after execution, for the answer, the code and the picture.

Source: arXiv 2601.04582 and its code (vis-nlp/RL-Text2Vis).
Tier: A.
Certainty: code. The paper describes the format as a gate, the release adds it: `form`.
Differs: shape: a weighted sum of scores; `text2vis_release` adds the format with weight 1.
Assumes: an environment that runs the code outside of this process and names the parts `executes`,
`intent`, `readable` and `correct` (1 to 5), and `answer` where a judge matched it; replies in JSON.
Edges: what did not run has no visual score; an absent part is 0; without a judged answer closeness
to the gold number counts, the absolute error where that is 0.
"""

import math
from collections.abc import Sequence
from typing import Literal

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.answers import final_text, task_value
from agentrl.parsing import json_object, number
from agentrl.rewards import with_rewards
from agentrl.types import Episode, Group


def executed_answer(
    groups: Sequence[Group],
    *,
    answer: str = "answer",
    gold: str = "answer",
    ending: str = "plt.show()",
    form: Literal["gate", "add"] = "gate",
) -> list[Group]:
    """Answer, code and picture; the format is a JSON object with texts `answer` and `code`.

    `answer` names the part with the judge's match; where it is absent, the number in the reply is
    compared with the task's `gold`. The code has to end with `ending`.

    Formula: 0.5 (0.6 s + 0.4 [s >= 0.999]) + 0.25 (0.5 runs + 0.5 intent) + 0.25 visual, format
    in front of it: {form}; s = part '{answer}' or closeness to '{gold}'; code ends '{ending}'
    """

    def reward(episode: Episode) -> float:
        parts, reply = episode.main.parts, json_object(final_text(episode))
        code = reply.get("code")
        runs = parts.get("executes", 0.0)
        given, ends = reply.get("answer"), isinstance(code, str) and code.rstrip().endswith(ending)
        well_formed = float(isinstance(given, str) and ends)
        if answer in parts:
            match = parts[answer]
        else:
            match = closeness(number(task_value(episode, gold)), number(given))
        scores = (parts.get("readable", 0.0), parts.get("correct", 0.0))
        total = 0.5 * (0.6 * match + 0.4 * (match >= 0.999))
        total += 0.25 * (0.5 * runs + 0.5 * parts.get("intent", 0.0))
        total += 0.25 * visual(*scores) if runs else 0.0
        return well_formed * total if form == "gate" else total + well_formed

    return with_rewards(groups, reward)


def visual(readable: float, correct: float) -> float:
    """Two scores from 1 to 5: both at least 4 is 1, both 3 is 0.5, one 3 is 0.25."""
    low, high = sorted((readable, correct))
    return 1.0 if low >= 4 else 0.5 if low >= 3 else 0.25 if high >= 3 else 0.0


def closeness(gold: float, value: float) -> float:
    """1 minus the relative error (absolute where gold is 0), at least 0; 0 for no number."""
    error = abs(gold - value) / (abs(gold) or 1.0)
    return 1 - min(1.0, error) if math.isfinite(error) else 0.0


TEXT2VIS = GRPO.but(shape=part(executed_answer))

TEXT2VIS_RELEASE = TEXT2VIS.but(shape=part(executed_answer, form="add"))
