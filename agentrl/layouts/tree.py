"""Tree Training: every prefix that samples of one group share is computed once, at any depth.

Source: arXiv 2511.00413.
Tier: B.
Certainty: abstract level; the identities (mask, coefficients) are derived and checked here.
Differs: the learner only: a line is the tree of a group's samples in depth-first order, a token
    sees itself and its ancestors, and its position is its depth. A shared trained token has one
    row per sample that trains it: ratios are clipped row by row, gradients add up behind that.
Assumes: full attention with a mask per pair (sdpa, eager); no dropout, no losses on contexts.
Edges: one sample is an ordinary line; identical samples are one path; a sample without rows is not
    computed; a tree beyond the token budget is cut into several, which repeat what they share.
"""

from __future__ import annotations

from agentrl.layouts.paths import Paths, Piece


class Tree(Paths):
    """One tree per line; nothing that a line holds is computed twice."""

    def cut(self, lengths: list[int], common: list[int], token_budget: int) -> list[Piece]:
        """As many sorted neighbours as the budget holds go into one tree."""
        starts, size = [0], 0
        for i, (length, known) in enumerate(zip(lengths, common, strict=True)):
            if i > starts[-1] and size + length - known > token_budget:
                starts.append(i)
                size = 0
            size += length if i == starts[-1] else length - known
        stops = [*starts[1:], len(lengths)]
        return [Piece(start, stop) for start, stop in zip(starts, stops, strict=True)]
