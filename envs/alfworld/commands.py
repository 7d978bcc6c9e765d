"""What can be done in a household now: every admissible command with what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from agentrl.envs.alfworld.game import Item, Receptacle
from agentrl.envs.alfworld.texts import COMMON, PUTTING

if TYPE_CHECKING:
    from agentrl.envs.alfworld.world import World

APPLIANCES = {
    "clean": ("cleanable", "SinkBasin"),
    "heat": ("heatable", "Microwave"),
    "cool": ("coolable", "Fridge"),
}
"""By verb, the property that an item needs and the kind of receptacle that does it."""
KNIVES = ("Knife", "ButterKnife")


class Action(NamedTuple):
    """An admissible command, understood."""

    verb: str
    """A key of `DEEDS`."""
    first: str = ""
    """Name of what it acts on."""
    second: str = ""
    """Name of the receptacle or the knife that it acts with."""


def possible(world: World) -> Iterator[tuple[str, Action]]:
    """Every admissible command of a world with its meaning."""
    for verb in COMMON[world.game.release]:
        yield verb, Action(verb)
    for receptacle in world.game.receptacles:
        if receptacle.spot == world.spot:
            yield from _before(world, receptacle)
        elif receptacle.spot:
            yield f"go to {receptacle.name}", Action("go", receptacle.name)
    # Only what is held can be examined: the official rule for the rest has a comma too many.
    for name in world.in_hands:
        yield f"examine {name}", Action("examine item", name)
        if world.items[name].kind in KNIVES:
            yield from _slicing(world, name)


def _before(world: World, receptacle: Receptacle) -> Iterator[tuple[str, Action]]:
    """What can be done with a receptacle before the player."""
    place = receptacle.name
    yield f"examine {place}", Action("examine", place)
    if receptacle.openable:
        verb = "close" if place in world.open else "open"
        yield f"{verb} {place}", Action(verb, place)
    for name in world.contents(place):
        yield from _with_content(world, world.items[name], place)
    for name in world.in_hands:
        yield from _with_held(world, world.items[name], receptacle)


def _with_content(world: World, item: Item, place: str) -> Iterator[tuple[str, Action]]:
    """What can be done with an item in a receptacle before the player."""
    name = item.name
    if "toggleable" in item.properties:
        yield f"use {name}", Action("use", name)
    if "pickupable" in item.properties and not world.in_hands and world.is_open(place):
        yield f"take {name} from {place}", Action("take", name, place)


def _with_held(world: World, item: Item, receptacle: Receptacle) -> Iterator[tuple[str, Action]]:
    """What can be done with a held item and a receptacle before the player."""
    name, place = item.name, receptacle.name
    if world.is_open(place) and item.kind in world.game.fits.get(receptacle.kind, ()):
        put = PUTTING[world.game.release].format(item=name, place=place)
        yield put, Action("put", name, place)
    for verb, (needed, kind) in APPLIANCES.items():
        if needed in item.properties and receptacle.kind == kind:
            yield f"{verb} {name} with {place}", Action(verb, name, place)


def _slicing(world: World, knife: str) -> Iterator[tuple[str, Action]]:
    """What a held knife can slice: closed doors are no hindrance."""
    for name, item in world.items.items():
        if "sliceable" in item.properties and world.spot in world.spots[name]:
            yield f"slice {name} with {knife}", Action("slice", name, knife)
