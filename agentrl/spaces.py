"""The space of what environments read and say, any text up to a length, and ranges of rewards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from gymnasium import spaces

MAX_CHARS = 1 << 20
SAMPLE_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n.,:;?!<>{}()[]='\"é中"
)


class NaturalText(spaces.Text):
    """A Gymnasium text space of every string up to a length, unicode and line breaks included."""

    def __init__(self, max_length: int = MAX_CHARS, seed: int | None = None) -> None:
        super().__init__(max_length=max_length, min_length=0, charset=SAMPLE_ALPHABET, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string no longer than `max_length`."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random string of at most 64 characters; masks make no sense here and are refused."""
        if mask is not None or probability is not None:
            raise ValueError("NaturalText.sample takes no mask")
        length = int(self.np_random.integers(0, 64))
        return "".join(self.np_random.choice(list(SAMPLE_ALPHABET), size=length))


def weighted_range(weights: Mapping[str, float], parts: Iterable[str]) -> tuple[float, float]:
    """Least and greatest weighted sum of parts that are each from 0 to 1 in an episode.

    A part that is none of `parts` may be anything: with a weight on it nothing is known.
    """
    if any(weight for name, weight in weights.items() if name not in parts):
        return -math.inf, math.inf
    return sum(min(w, 0.0) for w in weights.values()), sum(max(w, 0.0) for w in weights.values())
