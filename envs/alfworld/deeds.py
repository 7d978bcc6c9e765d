"""What each command does to a household, and what is said about it: one function a verb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from agentrl.envs.alfworld.texts import ARRIVED, HELP, PUT, item_text, listed, row

if TYPE_CHECKING:
    from agentrl.envs.alfworld.commands import Action
    from agentrl.envs.alfworld.world import World

BECOMES = {"clean": ("clean", ""), "heat": ("hot", "cool"), "cool": ("cool", "hot")}
"""By verb, the state that an item gets and the one that it loses."""


def _look(world: World, action: Action) -> str:
    # From the middle of the room the official text lists nothing, though it did at the start: its
    # rule then asks for receptacles at the very spot.
    return view(world, ())


def _inventory(world: World, action: Action) -> str:
    held = listed(world.in_hands)
    return f"You are carrying: {held}." if world.in_hands else "You are not carrying anything."


def _help(world: World, action: Action) -> str:
    return HELP


def _go(world: World, action: Action) -> str:
    world.spot = world.receptacles[action.first].spot
    arrived = ARRIVED[world.game.release].format(place=action.first, spot=world.spot)
    return f"{arrived} {_seen(world, action.first)}"


def _open(world: World, action: Action) -> str:
    world.open |= {action.first}
    return f"You open the {action.first}. {_seen(world, action.first)}"


def _close(world: World, action: Action) -> str:
    world.open -= {action.first}
    return f"You close the {action.first}."


def _examine(world: World, action: Action) -> str:
    return _seen(world, action.first)


def _examine_item(world: World, action: Action) -> str:
    item = world.items[action.first]
    if "container" in item.properties:
        return f"This is a normal {item.name}. In it, you see {listed(item.contents)}."
    return item_text(item.name, world.states[item.name], item.properties)


def _take(world: World, action: Action) -> str:
    item, place = action.first, action.second
    world.inside[item] -= {place}
    world.left[item] |= {place}
    world.spots[item] -= {world.spot}
    world.in_hands += (item,)
    return f"You pick up the {item} from the {place}."


def _put(world: World, action: Action) -> str:
    item, place = action.first, action.second
    world.in_hands = tuple(held for held in world.in_hands if held != item)
    world.inside[item] |= {place}
    world.left[item] -= {place}
    world.spots[item] |= {world.spot}
    return PUT[world.game.release].format(item=item, place=place)


def _use(world: World, action: Action) -> str:
    # Nothing turns a lamp off: a second use says that it turns it on again.
    world.states[action.first] |= {"toggled"}
    return f"You turn on the {action.first}."


def _slice(world: World, action: Action) -> str:
    world.states[action.first] |= {"sliced"}
    return f"You sliced the {action.first} with the {action.second}."


def _treat(world: World, action: Action) -> str:
    gets, loses = BECOMES[action.verb]
    world.states[action.first] = world.states[action.first] - {loses} | {gets}
    return f"You {action.verb} the {action.first} using the {action.second}."


DEEDS: Mapping[str, Callable[[World, Action], str]] = {
    "look": _look,
    "inventory": _inventory,
    "help": _help,
    "go": _go,
    "open": _open,
    "close": _close,
    "examine": _examine,
    "examine item": _examine_item,
    "take": _take,
    "put": _put,
    "use": _use,
    "slice": _slice,
    **dict.fromkeys(BECOMES, _treat),
}
"""By verb, what changes the world and tells it."""


def view(world: World, around: Iterable[str]) -> str:
    """What one sees where one stands; in the middle of the room, the receptacles around."""
    here = world.here
    if not here:
        quickly = "You are in the middle of a room. Looking quickly around you, you see"
        return f"{quickly} {listed(around)}."
    fallen = [
        name
        for name, spots in world.spots.items()
        for place in here
        if world.spot in spots and place in world.left[name]
    ]
    return f"You are facing the {row(here)}. Next to it, you see {listed(fallen)}."


def _seen(world: World, place: str) -> str:
    """What one sees of a receptacle."""
    if not world.receptacles[place].openable:
        return f"On the {place}, you see {listed(world.contents(place))}."
    if place in world.open:
        return f"The {place} is open. In it, you see {listed(world.contents(place))}."
    return f"The {place} is closed."
