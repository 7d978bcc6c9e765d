"""A game's text without its decoration, and a player's text as one command."""

from __future__ import annotations

import re

BANNER = "$$$$$$$"
STATUS = "\n>"
"""Begins the line at the bottom of the screen: a prompt, then the room, the score and the moves."""
ENDING = "Would you like to RESTART, RESTORE a saved game"
LINES = re.compile(r"\s*\n\s*")
COMMANDS = re.compile(r"[.;\n]|\bthen\b")
"""What the engine takes for the end of a command: only the first of several is played."""
META = re.compile(
    r"(.*,\s*)?(tw-.*|restart|restore|save|quit|q|undo|script|transcript|noscript|(un)?record|"
    r"replay|(super)?brief|normal|long|short|verbose|version|verify|pronouns|notify)\b",
    re.IGNORECASE,
)
"""Commands to the engine, not in the game: they would reset it, write files or look behind it.

`me, save` is one too: whatever stands before the comma is asked to do it."""
MAX_COMMAND = 190
"""Characters; the engine reads 198 bytes and warns of more."""


def told(feedback: str, compact: bool) -> str:
    """What the game said, without banner, status line and the closing question.

    `compact` puts it on one line.
    """
    text, prompt, status = feedback.rpartition(STATUS)
    if not prompt or (status.strip() and "=-" not in status):
        text = feedback
    text = text.partition(ENDING)[0]
    if BANNER in text:
        text = text[text.rindex(BANNER) :].partition("\n")[2]
    return " ".join(text.split()) if compact else LINES.sub("\n", text).strip()


def command(text: str) -> str:
    """The first command of an assistant's text, as the engine is told it; empty if there is none.

    Backslashes are stripped, and what is neither a letter nor a mark of ASCII is left out.
    """
    plain = text.replace("\\", "")[: 4 * MAX_COMMAND].strip()
    first = COMMANDS.split(plain, maxsplit=1)[0]
    said = " ".join(first.split())
    if not (said.isascii() and said.isprintable()):
        said = " ".join("".join(one for one in said if " " <= one <= "~").split())
    return "" if META.match(said) else said[:MAX_COMMAND]
