"""When a household's goal holds, one function a task type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrl.envs.alfworld.world import World

TREATED = {
    "pick_clean_then_place_in_recep": ("cleanable", "clean"),
    "pick_heat_then_place_in_recep": ("heatable", "hot"),
    "pick_cool_then_place_in_recep": ("coolable", "cool"),
}
"""By task, the property that the item must have and the state that it must be in."""


def _delivered(world: World) -> Iterator[tuple[str, str]]:
    """Every (item, receptacle) of the goal's kinds where the item lies in the receptacle."""
    goal = world.game.goal
    for receptacle in world.game.receptacles:
        if receptacle.kind == goal.receptacle:
            for name in world.contents(receptacle.name):
                if world.items[name].kind == goal.item:
                    yield name, receptacle.name


def _placed(world: World) -> bool:
    return any(_delivered(world))


def _treated(world: World) -> bool:
    needed, state = TREATED[world.game.goal.task]
    return any(
        world.has(name, state) and needed in world.items[name].properties
        for name, _ in _delivered(world)
    )


def _two(world: World) -> bool:
    """Two items in the same receptacle."""
    places = [place for _, place in _delivered(world)]
    return len(places) > len(set(places))


def _lit(world: World) -> bool:
    """The item in hands, before a receptacle with a lamp that was used."""
    goal = world.game.goal
    holds = any(world.items[name].kind == goal.item for name in world.in_hands)
    return holds and any(
        world.items[name].kind == goal.lamp
        and "toggleable" in world.items[name].properties
        and world.has(name, "toggled")
        for place in world.here
        for name in world.contents(place)
    )


WON: Mapping[str, Callable[[World], bool]] = {
    "pick_and_place_simple": _placed,
    "look_at_obj_in_light": _lit,
    "pick_two_obj_and_place": _two,
    **dict.fromkeys(TREATED, _treated),
}
"""By task type, whether its goal holds in a world."""
