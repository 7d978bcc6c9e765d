"""Observations that are no text, written as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

COLOURS = ("gray", "red", "green", "yellow", "blue", "magenta", "cyan", "white", "crimson")
PAINTED = re.compile("\x1b\\[([0-9;]*)m([^\x1b]*)\x1b\\[0m")


def ansi(rendered: Any) -> Any:
    r"""A terminal rendering without escape codes: what was painted stands in brackets.

    `[S]` where one colour is used, `[S:blue]` where several are; anything but a string as it is.
    """
    if not isinstance(rendered, str):
        return rendered
    colours = {colour(found.group(1)) for found in PAINTED.finditer(rendered)}

    def bracketed(found: re.Match[str]) -> str:
        name = f":{colour(found.group(1))}" if len(colours) > 1 else ""
        return f"[{found.group(2)}{name}]"

    return PAINTED.sub(bracketed, rendered).strip("\n")


def colour(codes: str) -> str:
    """The name of a painted text's colour; a background is a colour too."""
    for code in codes.split(";"):
        if code.isdigit() and int(code) % 10 < len(COLOURS) and int(code) >= 30:
            return COLOURS[int(code) % 10]
    return "plain"


def value(seen: Any) -> str:
    """Numbers, and what is made of them, written out; fractions to four digits."""
    if isinstance(seen, Mapping):
        return ", ".join(f"{key}: {value(item)}" for key, item in seen.items())
    if isinstance(seen, (tuple, list, np.ndarray)) and np.ndim(np.asarray(seen, object)):
        return " ".join(value(item) for item in seen)
    if isinstance(seen, (float, np.floating)):
        return f"{seen:.4g}"
    return str(seen)
