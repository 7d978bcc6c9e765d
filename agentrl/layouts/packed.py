"""Prefix Grouper: samples of one group compute the prefix that they share once.

Source: arXiv 2506.05433; released code github johncaged/PrefixGrouper.
Tier: A.
Certainty: code; identities of masks and gradients are checked here against the padded layout.
Differs: the learner only: one line holds a prefix and the suffixes behind it, each suffix sees the
    prefix and itself, and positions go on from the prefix's end in every suffix. The release takes
    the prompt as the prefix; here it is the longest one that saves the most tokens.
Assumes: full attention with a mask per pair (sdpa, eager); no dropout, no losses on the prompt.
Edges: identical samples are one line without suffixes; a group with nothing in common is one line
    per sample; a sample without rows is not computed; a line never exceeds the token budget
    unless one sample does.
"""

from __future__ import annotations

from agentrl.layouts.paths import Paths, Piece


class Packed(Paths):
    """One shared prefix per line; deeper forks repeat what they share."""

    def cut(self, lengths: list[int], common: list[int], token_budget: int) -> list[Piece]:
        """Neighbours go into one line where one prefix for all of them saves the most tokens."""
        saved, cuts = [0], [Piece(0, 0)]
        for stop in range(1, len(lengths) + 1):
            options = [
                (saved[piece.start] + gain, piece)
                for piece, gain in endings(lengths, common, stop, token_budget)
            ]
            best = max(options, key=lambda option: option[0])
            saved.append(best[0])
            cuts.append(best[1])
        return backwards(cuts)


def endings(
    lengths: list[int], common: list[int], stop: int, token_budget: int
) -> list[tuple[Piece, int]]:
    """Every line that ends before sample `stop` and fits the budget, and the tokens it saves."""
    found = [(Piece(stop - 1, stop, 0), 0)]
    prefix, tokens = lengths[stop - 1], lengths[stop - 1]
    for start in range(stop - 2, -1, -1):
        prefix, tokens = min(prefix, common[start + 1]), tokens + lengths[start]
        gain = (stop - start - 1) * prefix
        if not prefix or tokens - gain > token_budget:
            break
        found.append((Piece(start, stop, prefix), gain))
    return found


def backwards(cuts: list[Piece]) -> list[Piece]:
    """The chosen lines, first to last: `cuts[i]` is the best last line of the first i samples."""
    pieces, stop = [], len(cuts) - 1
    while stop:
        pieces.append(cuts[stop])
        stop = cuts[stop].start
    return pieces[::-1]
