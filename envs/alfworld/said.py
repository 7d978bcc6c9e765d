"""What is said in a household: commands read from an assistant's text, texts made short.

The texts are those of ALFWorld's grammar. Commands are read leniently: the last `<action>` where
there is one, else the first line, after any thought.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentrl.calls.base import thinking
from agentrl.envs.alfworld.texts import NOTHING
from agentrl.parsing import blocks

MAX_COMMAND = 200
"""Characters; no command of the game is as long."""
PROMPT = (
    "You act in a household that is described to you in words. Every turn, write one command and "
    "nothing else: go to (receptacle), open (receptacle), close (receptacle), take (object) from "
    "(receptacle), move (object) to (receptacle), use (lamp), heat (object) with (receptacle), "
    "cool (object) with (receptacle), clean (object) with (receptacle), examine (something), "
    "inventory, look. Names carry a number: go to drawer 2."
)
NAME = re.compile(r"[a-z]+ \d+")
"""A receptacle or an object: `drawer 2`."""
LIST = re.compile(r"you see (.*?)\.", re.DOTALL)
ACKNOWLEDGED = re.compile(r"You (?:pick up|move|put|heat|cool|clean|turn on|close|slice)")
STATUS = re.compile(r"You are (?:facing|carrying|not carrying)\b")
ENDINGS = {" is closed.": "closed", NOTHING: "nothing happens", "\n": "help"}
"""Short words for texts that end so; only the help ends its last line."""


def read_command(text: str) -> str | None:
    """The command that a text gives, lower case and single spaces; None where it gives none."""
    _, rest, closed = thinking(text)
    actions = blocks(rest, "action")
    if not closed or ("<action>" in rest and not actions):
        return None
    lines = (actions[-1] if actions else rest).strip().splitlines()
    first = lines[0][: 2 * MAX_COMMAND] if lines else ""
    command = " ".join(first.lower().strip(" \t>`'\".").split())
    return command if 0 < len(command) <= MAX_COMMAND else None


def names_in(text: str) -> list[str]:
    """The receptacles and objects that a text names, in order."""
    return NAME.findall(text)


def brief(text: str, here: Sequence[str] = (), held: str | None = None) -> str:
    """A reply of the game in as few words as a tiny model needs: `at shelf 1 hold mug 2 see pan 1`.

    Place and hand are told every time, for a tiny model keeps no track of them; a deed that
    succeeded is `ok`, a closed receptacle `closed`. No name begins a line: to a tokenizer that
    spells the space it would be another word.
    """
    words = [f"at {' '.join(here)}"] if here else []
    words += [f"hold {held}"] if held else []
    seen = LIST.search(text)
    if ACKNOWLEDGED.match(text):
        words.append("ok")
    elif STATUS.match(text):
        pass
    elif seen is not None:
        words.append(f"see {' '.join(names_in(seen.group(1))) or 'nothing'}")
    else:
        words.append(next((word for end, word in ENDINGS.items() if text.endswith(end)), text))
    return " ".join(words) or "see nothing"


def brief_opening(text: str, goal: str) -> str:
    """The opening of a game as two lines: its goal and its receptacles."""
    return f"{goal}\n{brief(text)}" if LIST.search(text) else goal
