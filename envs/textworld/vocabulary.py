"""What generated games are written with: the texts of TextWorld's grammars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

REFERENCE = re.compile(r"#[^#]*#|\([^)]*\)|\[[^\]]*\]|\{[^}]*\}")
COMMANDS = (
    "go north, go south, go east, go west, take, drop, open, close, lock, unlock, with, put, on, "
    "insert, into, from, eat, drink, cook, slice, chop, dice, prepare meal, look, inventory"
)


KINDS = {"obj": None, "instruction": "objective", "room": "said"}
"""Grammars by the end of their name, and what has to be shown for their words to be read."""


def vocabulary(show: Sequence[str]) -> list[str]:
    """The texts of what is shown, without their variables; imports TextWorld for its folder."""
    import textworld

    folder = Path(textworld.__file__).parent
    texts = [COMMANDS]
    for file in sorted(folder.rglob("text_grammars/*.twg")):
        needed = KINDS.get(file.stem.rpartition("_")[2], "said")
        if needed is not None and needed not in show:
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            text = REFERENCE.sub(" ", line.partition(":")[2]).replace("|", " ")
            if not line.startswith("#"):
                texts += [piece.strip() for piece in text.split(";") if piece.strip()]
    return list(dict.fromkeys(texts))
