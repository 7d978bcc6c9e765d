"""What M-GRPO's alignment does to advantages: copies and cuts against weights of d/d_k.

    python benchmarks/alignment.py

For given advantages both are the same on average. The paper takes mean and standard deviation of
each draw's own pool, copies included; the table shows what that adds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agentrl.teams import align, draw_picks


class Bias(NamedTuple):
    """Of the sum that a step's gradient is made of, in units of an advantage."""

    given: float
    """Between the mean over draws and the weights, advantages from the weighted pool."""
    recomputed: float
    """The same with each draw's own mean and standard deviation."""
    spread: float
    """Standard deviation over draws: the noise that weights save."""


def copies(count: int, d: int, rng: np.random.Generator) -> list[int]:
    """One draw: which invocations make d."""
    return align(count, d, draw_picks(count, d, rng))


def bias(counts: Sequence[int], *, d: int, draws: int, seed: int) -> Bias:
    """Measured on attempts with so many invocations, rewards drawn once from 0 to 1."""
    rng = np.random.default_rng(seed)
    rewards = [rng.random(count) for count in counts]
    share = np.concatenate([np.full(count, 1 / count) for count in counts]) / len(counts)
    pool = np.concatenate(rewards)
    center = share @ pool
    exact = (pool - center) / np.sqrt(share @ (pool - center) ** 2)
    starts = np.cumsum([0, *counts[:-1]])
    given, recomputed = np.zeros(len(pool)), np.zeros(len(pool))
    sums = []
    for _ in range(draws):
        drawn = [s + np.array(copies(c, d, rng)) for s, c in zip(starts, counts, strict=True)]
        places = np.concatenate(drawn)
        own = (pool - pool[places].mean()) / pool[places].std()
        weight = np.bincount(places, minlength=len(pool)) / len(places)
        given += weight * exact
        recomputed += weight * own
        sums.append(weight @ np.abs(exact))
    wanted = share * exact
    scale = np.abs(wanted).sum()
    return Bias(
        float(np.abs(given / draws - wanted).sum() / scale),
        float(np.abs(recomputed / draws - wanted).sum() / scale),
        float(np.std(sums) / scale),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100_000)
    draws = parser.parse_args().draws
    print("| invocations per attempt | d | given | recomputed | spread of a draw |")
    print("|---|---|---|---|---|")
    for counts, d in [([1, 3, 6], 4), ([1, 1, 2, 8], 4), ([2, 3, 3, 4], 3), ([1, 3, 6], 8)]:
        measured = bias(counts, d=d, draws=draws, seed=0)
        print(f"| {counts} | {d} | " + " | ".join(f"{value:.4f}" for value in measured) + " |")


if __name__ == "__main__":
    main()
