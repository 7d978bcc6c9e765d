"""The ids that a policy may sample for a text: not only those that its tokenizer would make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from agentrl.certify.conversations import Act, Rng
from agentrl.types import Ids


class Alphabet(NamedTuple):
    """What turns an act's text into sampled ids."""

    encode: Callable[[str], Iterable[int]]
    """A text's ids as the tokenizer makes them, without an end token."""
    size: int
    """Ids are below this."""
    end: int
    """The token that ends a turn."""
    ends: frozenset[int]
    """All tokens that do."""


def sampled_ids(turn: Act, alphabet: Alphabet) -> Ids:
    """The ids that a policy samples in a turn: up to its first end token, which an engine obeys.

    A cut turn loses a random share of its ids; it may still have none of its own.
    """
    rng = np.random.default_rng(turn.seed)
    ids = SPLITS[turn.split](turn.text, alphabet, rng)
    if not turn.closed:
        ids = [token for token in ids if token not in alphabet.ends]
        return np.array(ids[: int(rng.integers(len(ids) + 1))] if len(ids) > 1 else ids, np.int64)
    stop = next((place for place, token in enumerate(ids) if token in alphabet.ends), len(ids))
    return np.array([*ids[:stop], *(ids[stop : stop + 1] or [alphabet.end])], np.int64)


def in_pieces(text: str, alphabet: Alphabet, rng: Rng) -> list[int]:
    """The ids of a text cut at random places: a policy need not say it as the tokenizer would."""
    cuts = sorted(rng.integers(0, len(text) + 1, int(rng.integers(1, 6))).tolist())
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [token for piece in pieces if piece for token in alphabet.encode(piece)]


def any_ids(text: str, alphabet: Alphabet, rng: Rng) -> list[int]:
    """Ids from the whole vocabulary: half characters, control tokens, anything but an end."""
    ids = rng.integers(0, alphabet.size, min(len(text), 12)).tolist()
    return [token for token in ids if token not in alphabet.ends]


SPLITS: Mapping[str, Callable[[str, Alphabet, Rng], list[int]]] = {
    "whole": lambda text, alphabet, rng: list(alphabet.encode(text)),
    "pieces": in_pieces,
    "any": any_ids,
    "nothing": lambda text, alphabet, rng: [],
}
"""By name: as the tokenizer does; the same text by other ids; other ids; nothing at all."""
