"""A perfect player's plan from the whole state, and how much of a task's sub-goals is reached.

No search: a task is a short recipe (fetch, treat, bring), and every choice of objects and places
in it is tried. Following the plan and planning anew says the same, one command shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from agentrl.envs.alfworld.expert import TREATMENTS, putting
from agentrl.envs.alfworld.game import Game, Item, Receptacle
from agentrl.envs.alfworld.world import World

STATES = {"heat": "hot", "cool": "cool", "clean": "clean"}


def plan(game: Game, world: World) -> list[str]:
    """The fewest commands that a recipe needs to win from here; none where it cannot, or has."""
    if world.won:
        return []
    recipes = {"pick_two_obj_and_place": _two, "look_at_obj_in_light": _look}
    found = recipes.get(game.goal.task, _one)(game, world)
    return min((draft.commands for draft in found), key=len, default=[])


class Draft:
    """Commands written down, and what they change: place, hand and open receptacles."""

    def __init__(self, game: Game, world: World) -> None:
        self.game, self.world = game, world
        self.commands: list[str] = []
        self.here: Sequence[str] = world.here
        self.held = world.held or ""
        self.opened: set[str] = set()
        self.moved: dict[str, str] = {}

    def go(self, place: str) -> None:
        """Stand at the receptacle."""
        if place not in self.here:
            self.commands.append(f"go to {place}")
            spot = self.game.receptacle(place).spot
            self.here = [other.name for other in self.game.receptacles if other.spot == spot]

    def reach(self, place: str) -> None:
        """Stand at the receptacle with it open."""
        self.go(place)
        if not self.world.is_open(place) and place not in self.opened:
            self.commands.append(f"open {place}")
            self.opened.add(place)

    def take(self, item: str) -> None:
        """Hold the object; what is held instead is put away first."""
        if self.held == item:
            return
        if self.held:
            fits = [place.name for place in places(self.game, self.game.item(self.held))]
            self.put(next((place for place in fits if place in self.here), fits[0]))
        place = self.moved.get(item) or str(self.world.where(item))
        self.reach(place)
        self.commands.append(f"take {item} from {place}")
        self.held = item

    def treat(self, how: str, place: str) -> None:
        """Heat, cool or clean what is held, unless that is done already."""
        if not self.world.has(self.held, STATES[how]):
            self.go(place)
            self.commands.append(f"{how} {self.held} with {place}")

    def put(self, place: str) -> None:
        """Move what is held into the receptacle."""
        self.reach(place)
        self.commands.append(putting(self.game, self.held, place))
        self.moved[self.held], self.held = place, ""


def _one(game: Game, world: World) -> Iterator[Draft]:
    """An object, treated where the task says so, brought to a receptacle."""
    how, machine = TREATMENTS.get(game.goal.task, ("", ""))
    machines = [place.name for place in reachable(game) if place.kind.lower() == machine]
    for item in wanted(game, world):
        for place in targets(game, item):
            for tool in machines if how else [""]:
                draft = Draft(game, world)
                draft.take(item.name)
                if how:
                    draft.treat(how, tool)
                draft.put(place.name)
                yield draft


def _two(game: Game, world: World) -> Iterator[Draft]:
    """Two objects of a kind brought to one receptacle, which may have one of them."""
    items = wanted(game, world)
    for place in targets(game, *items[:1]):
        away = [item for item in items if item.name not in world.contents(place.name)]
        missing = 2 - (len(items) - len(away))
        for chosen in permutations(away, max(0, missing)):
            draft = Draft(game, world)
            for item in chosen:
                draft.take(item.name)
                draft.put(place.name)
            yield draft


def _look(game: Game, world: World) -> Iterator[Draft]:
    """An object held beside a lamp that was turned on."""
    lamps = [item for item in game.items if item.kind == game.goal.lamp]
    for item in wanted(game, world):
        for lamp in lamps:
            draft = Draft(game, world)
            draft.take(item.name)
            draft.go(str(world.where(lamp.name)))
            if not world.has(lamp.name, "toggled"):
                draft.commands.append(f"use {lamp.name}")
            yield draft


def wanted(game: Game, world: World) -> list[Item]:
    """The objects of the goal's kind that a player holds or can take."""
    return [
        item
        for item in game.items
        if item.kind == game.goal.item
        and "pickupable" in item.properties
        and (item.name == world.held or world.where(item.name) is not None)
    ]


def reachable(game: Game) -> list[Receptacle]:
    """The receptacles that can be gone to."""
    return [place for place in game.receptacles if place.spot]


def places(game: Game, item: Item) -> list[Receptacle]:
    """The receptacles that may hold the object."""
    return [place for place in reachable(game) if item.kind in game.fits.get(place.kind, ())]


def targets(game: Game, *items: Item) -> list[Receptacle]:
    """The receptacles where the goal wants the object."""
    return [
        place
        for item in items
        for place in places(game, item)
        if place.kind == game.goal.receptacle
    ]


# ---- sub-goals --------------------------------------------------------------------------------


def stage(game: Game, world: World) -> int:
    """Sub-goals that are reached now, as `stages` counts them."""
    items = [item.name for item in wanted(game, world)]
    if world.won:
        return stages(game)
    if game.goal.task == "pick_two_obj_and_place":
        counts = [
            sum(name in world.contents(place.name) for name in items)
            for place in reachable(game)
            if place.kind == game.goal.receptacle
        ]
        return 2 * min(1, max(counts, default=0)) + (world.held in items)
    if game.goal.lamp:
        lamps = [item.name for item in game.items if item.kind == game.goal.lamp]
        return (world.held in items) + any(world.has(lamp, "toggled") for lamp in lamps)
    state = STATES.get(TREATMENTS.get(game.goal.task, ("", ""))[0], "")
    done = bool(state) and any(world.has(name, state) for name in items)
    return 1 + int(done) if done or world.held in items else 0


def stages(game: Game) -> int:
    """Sub-goals of a task: the object in hand, treated (or the lamp on), placed; twice for two."""
    if game.goal.task == "pick_two_obj_and_place":
        return 4
    return 3 if game.goal.task in TREATMENTS or game.goal.lamp else 2
