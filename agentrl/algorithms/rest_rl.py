"""ReST-RL: episodes also start from the first lines of answers that were good.

Source: arXiv 2508.19576 and its code (github THUDM/ReST-RL).
Tier: A.
Certainty: code; that start states come from earlier visits of the run instead of a sampling pass
before it, one per visit, and which characters count as trailing is ours.
Differs: a group starts from the bare prompt or from a prefix of an earlier good answer; groups of
low spread are refused; tiny rewards for stopping and against trailing blanks.
Assumes: answers of several lines in the first turn, and tasks that come back.
Edges: a one-line answer is its own prefix; groups of equal rewards are refused and remembered not;
attempts from a prefix are marked as hinted, so no tracker counts them; truncated ones do not stop.
"""

import math
from collections.abc import Sequence

from agentrl.algorithms.base import part
from agentrl.algorithms.grpo import GRPO
from agentrl.keeps import spread_enough
from agentrl.prefixes import FromPrefixes
from agentrl.rewards import with_part
from agentrl.types import Episode, Finish, Group


def neat_end(groups: Sequence[Group], *, stop: float = 1e-3, trailing: float = 1e-6) -> list[Group]:
    """A little for an answer that stops, a little off for each blank character behind it.

    Formula: r + {stop} [stopped] - {trailing} (trailing characters)
    """

    def bonus(episode: Episode) -> float:
        if not episode.main.turns:
            return 0.0
        last = episode.main.turns[-1].completion
        blanks = len(last.text) - len(last.text.rstrip())
        return stop * (last.finish is Finish.STOP) - trailing * blanks

    return with_part(groups, "neat_end", bonus)


def uct(value: float, parent: int, visits: int, *, c: float = 0.2, eps: float = 0.1) -> float:
    """Which line a tree search expands next: its value and a bonus for the rarely visited.

    Formula: V + {c} sqrt((1 + ln N) / ({eps} + n))
    """
    return value + c * math.sqrt((1 + math.log(parent)) / (eps + visits))


REST_RL = GRPO.but(strategy=part(FromPrefixes), keep=part(spread_enough), shape=part(neat_end))
