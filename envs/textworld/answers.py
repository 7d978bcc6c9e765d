"""How a player says a command: in words, or as the number of one that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentrl.envs.textworld.texts import command

Answer = Literal["command", "number"]
PROMPTS = {
    "command": "You play a text adventure. Answer with one command, for example: open chest, "
    "take key from shelf, unlock door with key, go north, inventory, look.",
    "number": "You play a text adventure. Answer with the number of a command.",
}


def listed(commands: Sequence[str], answer: Answer) -> list[str]:
    """The commands as observations show them, a line each."""
    if answer == "command":
        return list(commands)
    return [f"{number} {one}" for number, one in enumerate(commands, 1)]


def meant(text: str, commands: Sequence[str], answer: Answer) -> str:
    """The command of a player's text; empty where there is none."""
    if answer == "command":
        return command(text)
    return {str(number): one for number, one in enumerate(commands, 1)}.get(text.strip(), "")


def written(said: str, commands: Sequence[str], answer: Answer) -> str:
    """The text for a command; the first number where the command is not shown."""
    if answer == "command":
        return said
    return str(commands.index(said) + 1 if said in commands else 1)
