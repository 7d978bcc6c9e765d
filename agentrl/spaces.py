"""What environments read and write as a Gymnasium space: any text up to a length."""

from __future__ import annotations

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
