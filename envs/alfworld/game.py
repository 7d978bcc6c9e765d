"""One household game as data: what is in the rooms, what fits where, and what is asked for.

A `Game` never changes: `World` plays it, `pddl` reads and writes the official files and `rooms`
draws new ones. Things are known by the name that players read, such as `cabinet 3`; the order of
`receptacles` and `items` is the order in which texts list them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from agentrl.errors import DataError

TASKS = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""The six types of task that ALFWorld plays, by their official names."""

PROPERTIES = (
    "pickupable",
    "cleanable",
    "heatable",
    "coolable",
    "toggleable",
    "sliceable",
    "container",
)
"""What an item may be for good; a container is a plate or a pan, which nothing can be put into."""

RELEASES = ("0.3", "0.4")
"""Releases of ALFWorld that played by other words: until 0.3 (`put mug 1 in/on desk 1`), since 0.4
(`move mug 1 to desk 1`)."""

STATES = ("clean", "hot", "cool", "sliced", "toggled")
"""What may become of an item; `toggled` stays once a lamp was used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receptacle:
    """A piece of furniture or an appliance that items lie in or on."""

    name: str
    """As shown, for example `cabinet 3`."""
    kind: str
    """The kind as the official records spell it, for example `Cabinet`."""
    spot: str = ""
    """Where one stands before it, for example `loc 7`; empty if nobody can go there."""
    openable: bool = False
    open: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A thing that is not a receptacle; most can be picked up."""

    name: str
    """As shown, for example `mug 1`."""
    kind: str
    """The kind as the official records spell it, for example `Mug`."""
    inside: tuple[str, ...] = ()
    """Names of the receptacles that it lies in; official games know items in two or in none."""
    spots: tuple[str, ...] = ()
    """Where one stands to slice it; not always where its receptacle is reached from."""
    properties: frozenset[str] = frozenset()
    """Some of `PROPERTIES`."""
    states: frozenset[str] = frozenset()
    """Some of `STATES`, at the start."""
    contents: tuple[str, ...] = ()
    """Names of the items in this container; they stay listed wherever they are taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What wins: a task type and the kinds that it is about."""

    task: str
    """One of `TASKS`."""
    item: str
    """Kind of the item to bring or to look at."""
    receptacle: str = ""
    """Kind of the receptacle that it goes to; empty for `look_at_obj_in_light`."""
    lamp: str = ""
    """Kind of the lamp of `look_at_obj_in_light`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Game:
    """One game: a household, a start and a goal."""

    receptacles: tuple[Receptacle, ...]
    items: tuple[Item, ...]
    fits: Mapping[str, frozenset[str]]
    """Kinds of items that a kind of receptacle takes."""
    goal: Goal
    sentence: str
    """The task as it is said, for example `put a hot mug in shelf`, without its full stop."""
    start: str
    """The spot where the player begins."""
    held: tuple[str, ...] = ()
    """Names of the items in the player's hands at the start."""
    release: str = "0.4"
    """Whose commands and words it speaks: one of `RELEASES`."""

    def to_json(self) -> dict[str, Any]:
        """The game as plain JSON values; `from_json` reads it back to an equal game."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Game:
        """The game that `to_json` wrote.

        Raises:
            DataError: keys are missing, unknown or of the wrong kind.
        """
        try:
            return _game(data)
        except (KeyError, TypeError, AttributeError) as error:  # malformed data, told in one line
            keys = ", ".join(field.name for field in fields(cls))
            raise DataError(f"no game as `to_json` writes it ({error!r}): needs {keys}") from error

    def receptacle(self, name: str) -> Receptacle:
        """The receptacle of a name.

        Raises:
            KeyError: no receptacle has it.
        """
        return next((one for one in self.receptacles if one.name == name), None) or _missing(name)

    def item(self, name: str) -> Item:
        """The item of a name.

        Raises:
            KeyError: no item has it.
        """
        return next((one for one in self.items if one.name == name), None) or _missing(name)


def _missing(name: str) -> Any:
    raise KeyError(name)


def _plain(value: Any) -> Any:
    """A value of the data classes as JSON knows it; sets are sorted."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value


def _game(data: Mapping[str, Any]) -> Game:
    return Game(
        receptacles=tuple(Receptacle(**one) for one in data["receptacles"]),
        items=tuple(_item(one) for one in data["items"]),
        fits={kind: frozenset(kinds) for kind, kinds in data["fits"].items()},
        goal=Goal(**data["goal"]),
        sentence=data["sentence"],
        start=data["start"],
        held=tuple(data["held"]),
        release=data["release"],
    )


def _item(data: Mapping[str, Any]) -> Item:
    tuples = {key: tuple(data[key]) for key in ("inside", "spots", "contents")}
    sets = {key: frozenset(data[key]) for key in ("properties", "states")}
    return Item(**{**data, **tuples, **sets})
