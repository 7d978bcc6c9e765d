"""The levels that games are generated at, by name; a name says everything but the seed.

    w2-o3-q4              2 rooms, 3 objects, a quest of 4 commands: the family of arXiv 2510.01132
    coin-5                coin collector: a chain of 5 rooms; 101 and 201 begin again with 2 and 3
                          rooms a step
    treasure-12           treasure hunter: level 1 to 29
    cooking-3             cooking: from 1 in one room to 4, a recipe of three things in six rooms
    cooking-recipe2-take1-go6-open-cook-cut-drop     the same with its skills spelt out
    simple-dense-brief    the fixed house: rewards dense, balanced or sparse; the goal detailed,
                          brief or none

Other sizes and numbers are other levels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agentrl.errors import ConfigError, suggestion

MAX_ROOMS = 100
"""Of a Z-machine game in TextWorld 1.7, which lost the format of the bigger ones."""
SLOW_TREASURE = 30
"""The level at which the search for a quest takes minutes."""
REWARDS = ("dense", "balanced", "sparse")
GOALS = ("detailed", "brief", "none")
COOKING = {
    "1": "recipe1-cut",
    "2": "recipe1-cook-cut",
    "3": "recipe1-take1-go9-open",
    "4": "recipe3-take3-go6-open-cook-cut",
}
COUNTS = {"recipe": (1, 2, 3, 4, 5), "take": (1, 2, 3, 4, 5), "go": (1, 6, 9, 12)}
SKILLS = ("open", "cook", "cut", "drop")
EXAMPLES = ("w2-o3-q4", "coin-5", "treasure-12", "cooking-1", "simple-dense-brief")


class Level(NamedTuple):
    """What a game of one level is made of."""

    family: str
    """`custom`, or the name of the challenge in TextWorld."""
    settings: Mapping[str, Any]
    commands: int | None = None
    """Length of the shortest solution, where the name says it."""


def level(name: str) -> Level:
    """The level of a name. Raises: ConfigError, with the closest name."""
    kind = re.match(r"[a-z]*", str(name)).group()  # type: ignore[union-attr]  # matches nothing too
    if kind not in KINDS:
        raise ConfigError(f"unknown level {name!r}: {suggestion(str(name), [*EXAMPLES])}", "levels")
    return KINDS[kind](str(name))


def _custom(name: str) -> Level:
    found = re.fullmatch(r"w([1-9]\d*)-o([1-9]\d*)-q([1-9]\d*)", name)
    if not found:
        raise _unknown(name, "w2-o3-q4", "rooms, objects and quest length, each at least 1")
    rooms, objects, quest = (int(number) for number in found.groups())
    if rooms > MAX_ROOMS:
        raise ConfigError(f"level {name!r}: TextWorld 1.7 has at most {MAX_ROOMS} rooms", "levels")
    return Level("custom", {"rooms": rooms, "objects": objects, "quest": quest}, quest)


def _coin(name: str) -> Level:
    number = _number(name, "coin", 300)
    length = (number - 1) % 100 + 1
    rooms = ((number - 1) // 100 + 1) * length
    if rooms > MAX_ROOMS:
        most = f"coin-{number - length + MAX_ROOMS * length // rooms}"
        raise ConfigError(
            f"level {name!r} has {rooms} rooms and TextWorld 1.7 at most {MAX_ROOMS}: use {most}",
            "levels",
        )
    return Level("tw-coin_collector", {"level": number}, length)


def _treasure(name: str) -> Level:
    number = _number(name, "treasure", 30)
    if number >= SLOW_TREASURE:
        raise ConfigError(
            f"level {name!r} takes minutes a game to generate: use treasure-{SLOW_TREASURE - 1}",
            "levels",
        )
    return Level("tw-treasure_hunter", {"level": number})


def _cooking(name: str) -> Level:
    skills = COOKING.get(name.removeprefix("cooking-"), name.removeprefix("cooking-"))
    settings: dict[str, Any] = {"recipe": 1, "take": 0, "go": 1, "split": None}
    settings |= dict.fromkeys(SKILLS, False)
    for skill in skills.split("-"):
        found = re.fullmatch(r"([a-z]+)(\d*)", skill)
        word, number = found.groups() if found else ("", "")
        if word in SKILLS and not number:
            settings[word] = True
        elif number and int(number) in COUNTS.get(word, ()):
            settings[word] = int(number)
        else:
            raise _unknown(name, "cooking-recipe2-take1-go6", f"{skill!r} is none of its skills")
    if settings["take"] > settings["recipe"]:
        raise _unknown(name, "cooking-recipe2-take2", "it takes more than its recipe has")
    return Level("tw-cooking", settings)


def _simple(name: str) -> Level:
    found = re.fullmatch(rf"simple-({'|'.join(REWARDS)})-({'|'.join(GOALS)})", name)
    if not found:
        raise _unknown(name, "simple-dense-brief", f"rewards {REWARDS}, goals {GOALS}")
    return Level("tw-simple", {"rewards": found[1], "goal": found[2], "test": False})


KINDS: Mapping[str, Callable[[str], Level]] = {
    "w": _custom,
    "coin": _coin,
    "treasure": _treasure,
    "cooking": _cooking,
    "simple": _simple,
}


def _number(name: str, kind: str, most: int) -> int:
    found = re.fullmatch(rf"{kind}-(\d+)", name)
    if not found or not 1 <= int(found[1]) <= most:
        raise _unknown(name, f"{kind}-1", f"levels 1 to {most}")
    return int(found[1])


def _unknown(name: str, example: str, why: str) -> ConfigError:
    return ConfigError(f"unknown level {name!r}: write it like {example} ({why})", "levels")
