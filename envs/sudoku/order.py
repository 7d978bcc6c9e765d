"""How well one order of things agrees with another: a coarse reward for acting as a solver would.

It knows nothing of Sudoku, so any environment that can name its steps may use it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations


def order_score(emitted: Sequence[Hashable], canonical: Sequence[Hashable]) -> float:
    """Pairwise agreement in [0, 1]: pairs emitted in canonical order / pairs.

    Of a repeated item the first occurrence counts, items that `canonical` lacks are ignored, and
    fewer than two comparable items score 0. Items that were never emitted cost nothing.

    Source: arXiv 2512.04277, R_order.
    Differs: the paper leaves the statistic open; pairwise agreement is our choice.
    """
    rank = {item: place for place, item in reversed(list(enumerate(canonical)))}
    ranks = [rank[item] for item in dict.fromkeys(emitted) if item in rank]
    pairs = list(combinations(ranks, 2))
    return sum(first < second for first, second in pairs) / len(pairs) if pairs else 0.0
