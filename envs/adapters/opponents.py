"""A player that knows the format and nothing else: it makes any move that it was told of."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

MOVE = re.compile(r"\[([^\[\]\n]{1,32})\]")
ROLES = re.compile(r"(GAME|Player( \d+)?)$", re.IGNORECASE)
NUMBER = re.compile(r"\d{1,6}")


def any_move(heard: Sequence[str], rng: np.random.Generator) -> str:
    """One of the bracketed moves in the newest of some messages that names any.

    A single number is an example: any number up to the greatest in that message will do.
    """
    for message in reversed(heard):
        moves = [move for move in MOVE.findall(message) if move.strip() and not ROLES.match(move)]
        if not moves:
            continue
        if len(set(moves)) == 1 and moves[0].isdigit():
            greatest = max(int(number) for number in NUMBER.findall(message))
            return f"[{rng.integers(greatest + 1)}]"
        return f"[{rng.choice(moves)}]"
    return "[0]"
