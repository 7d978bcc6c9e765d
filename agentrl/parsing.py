"""Assistant text -> what it asks for.

A parser never raises and never invents: it answers OK, NO_CALL or MALFORMED.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agentrl.types import Parse


class Parsed(NamedTuple):
    """What a parser found."""

    status: Parse
    name: str = ""
    """The tag or tool that was called."""
    value: str = ""
    """Its content."""
    reason: str = ""
    """Why it is malformed, and where."""


def tagged(text: str, *names: str) -> Parsed:
    """The first `<name>content</name>` among `names`.

    NO_CALL when none of the tags opens; MALFORMED when one opens and never closes, or is empty.
    """
    opened = re.search("<(" + "|".join(map(re.escape, names)) + ")>", text)
    if opened is None:
        return Parsed(Parse.NO_CALL, reason="no " + " or ".join(f"<{name}>" for name in names))
    name, start = opened.group(1), opened.end()
    end = text.find(f"</{name}>", start)
    if end < 0:
        return Parsed(
            Parse.MALFORMED, name, reason=f"<{name}> at character {opened.start()} is not closed"
        )
    value = text[start:end].strip()
    if not value:
        return Parsed(
            Parse.MALFORMED, name, reason=f"<{name}> at character {opened.start()} is empty"
        )
    return Parsed(Parse.OK, name, value)
