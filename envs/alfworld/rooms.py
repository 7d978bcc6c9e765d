"""Households of our own: games of all six task types, drawn from a seed, every one solvable.

Which kinds of things a kitchen has and what fits where are facts of the public domain; what is
drawn from them, how many and where, is decided here. Larger sizes are like official games; a small
model learns on the small ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from agentrl.envs.alfworld.game import TASKS, Game, Goal, Item, Receptacle
from agentrl.envs.alfworld.goals import TREATED
from agentrl.envs.alfworld.household import LAMP, LAMP_PLACES, OPENABLE, ROOMS, THINGS, fits_of
from agentrl.envs.alfworld.pddl import as_id
from agentrl.errors import ConfigError, suggestion


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large a household is: ranges are inclusive.

    What the goal needs is there in any case, and a room has only so many receptacles (29 to 40).

    Raises:
        ConfigError: a range is empty, or a room or a thing is unknown.
    """

    receptacles: tuple[int, int]
    items: tuple[int, int]
    kinds: int = 99
    """How many kinds of items there are at most, lamps aside."""
    rooms: tuple[str, ...] = tuple(ROOMS)
    """Rooms that there are at all; each task needs one of its own."""
    things: tuple[str, ...] = tuple(THINGS)
    """Kinds of items that there are at all, lamps aside; each task needs one of its own."""

    def __post_init__(self) -> None:
        for name in ("receptacles", "items"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ConfigError(f"{name}=({low}, {high}): write (fewest, most), from 1", name)
        if self.kinds < 1:
            raise ConfigError(f"kinds={self.kinds}: at least 1, the goal's", "kinds")
        for key, names, known in (("rooms", self.rooms, ROOMS), ("things", self.things, THINGS)):
            for name in sorted(set(names) - known.keys()):
                raise ConfigError(f"{key}: {name!r}: {suggestion(name, list(known))}", key)


SIZES = {
    "tiny": Size(
        receptacles=(5, 6),
        items=(3, 5),
        kinds=4,
        rooms=("kitchen", "bedroom"),
        things=("Apple", "Book", "CellPhone", "Egg", "Fork", "Mug", "Pencil", "Plate", "Vase"),
    ),
    "small": Size(receptacles=(8, 10), items=(6, 9), kinds=8),
    "medium": Size(receptacles=(13, 17), items=(10, 15)),
    "official": Size(receptacles=(20, 35), items=(14, 30)),
}
"""Sizes by name."""

SENTENCES = {
    "pick_and_place_simple": ("put a {item} in {receptacle}", "put some {item} on {receptacle}"),
    "look_at_obj_in_light": (
        "look at {item} under the {lamp}",
        "examine the {item} with the {lamp}",
    ),
    "pick_clean_then_place_in_recep": (
        "put a clean {item} in {receptacle}",
        "clean some {item} and put it in {receptacle}",
    ),
    "pick_heat_then_place_in_recep": (
        "put a hot {item} in {receptacle}",
        "heat some {item} and put it in {receptacle}",
    ),
    "pick_cool_then_place_in_recep": (
        "put a cool {item} in {receptacle}",
        "cool some {item} and put it in {receptacle}",
    ),
    "pick_two_obj_and_place": (
        "put two {item} in {receptacle}",
        "find two {item} and put them in {receptacle}",
    ),
}
"""How the six tasks are said."""

ROOMS_OF = {
    "pick_and_place_simple": tuple(ROOMS),
    "look_at_obj_in_light": ("bedroom", "livingroom"),
    "pick_clean_then_place_in_recep": ("kitchen", "bathroom"),
    "pick_heat_then_place_in_recep": ("kitchen",),
    "pick_cool_then_place_in_recep": ("kitchen",),
    "pick_two_obj_and_place": tuple(ROOMS),
}
"""Rooms that a task is set in."""
APPLIANCE_OF = {
    "pick_clean_then_place_in_recep": "SinkBasin",
    "pick_heat_then_place_in_recep": "Microwave",
    "pick_cool_then_place_in_recep": "Fridge",
}
MOST_COPIES = 3
"""Items of one kind that a household has at most."""


class Plan(NamedTuple):
    """What a household must have, so that its goal can be reached."""

    room: str
    goal: Goal
    source: str
    """Kind of the receptacle that the goal's items start in."""
    lamp: str
    """Kind of the receptacle that the lamp stands on; empty without a lamp."""


def make_game(task: str, seed: int, size: str | Size = "official") -> Game:
    """The game of a task type that a seed draws: the same for the same arguments, everywhere.

    Raises:
        ConfigError: the task type or the size is unknown.
    """
    if task not in TASKS:
        raise ConfigError(f"no task type {task!r}: {suggestion(task, list(TASKS))}")
    if isinstance(size, str) and size not in SIZES:
        raise ConfigError(f"no size {size!r}: {suggestion(size, list(SIZES))}")
    limits = SIZES[size] if isinstance(size, str) else size
    rng = Random(f"{task}/{seed}/{limits.receptacles}/{limits.items}/{limits.kinds}")
    plan = _plan(rng, task, limits)
    receptacles = _furnish(rng, plan, rng.randint(*limits.receptacles))
    placed = _fill(rng, plan, receptacles, limits)
    words = {"item": plan.goal.item, "receptacle": plan.goal.receptacle, "lamp": plan.goal.lamp}
    said = rng.choice(SENTENCES[task])
    return Game(
        receptacles=receptacles,
        items=_items(placed, receptacles),
        fits=fits_of((one.kind for one in receptacles), (kind for kind, _ in placed)),
        goal=plan.goal,
        sentence=said.format(**{word: kind.lower() for word, kind in words.items()}),
        start="loc 1",
    )


def _plan(rng: Random, task: str, limits: Size) -> Plan:
    """Draw a room and a goal that can be set in it.

    Raises:
        ConfigError: the size's rooms and things allow none.
    """
    goals = {room: _goals(task, room, limits.things) for room in ROOMS_OF[task]}
    rooms = [room for room in ROOMS_OF[task] if room in limits.rooms and goals[room]]
    if not rooms:
        told = f"{', '.join(limits.rooms)} with {', '.join(limits.things)}"
        raise ConfigError(f"no {task} in {told}: it is set in {', '.join(ROOMS_OF[task])}")
    room = rng.choice(rooms)
    kind, here = rng.choice(goals[room])
    if task == "look_at_obj_in_light":
        lamp = rng.choice([place for place in LAMP_PLACES if place in ROOMS[room]])
        return Plan(room, Goal(task=task, item=kind, lamp=LAMP), rng.choice(here), lamp)
    target = rng.choice([place for place in here if place != APPLIANCE_OF.get(task)])
    source = rng.choice([place for place in here if place != target])
    return Plan(room, Goal(task=task, item=kind, receptacle=target), source, "")


def _goals(task: str, room: str, things: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The kinds that a task can ask for in a room, each with the kinds of its places there."""
    needed = TREATED[task][0] if task in TREATED else "pickupable"
    found = []
    for kind in things:
        thing = THINGS[kind]
        here = sorted(thing.places & ROOMS[room].keys())
        if room in thing.rooms and needed in thing.properties and len(here) > 1:
            found.append((kind, here))
    return found


def _furnish(rng: Random, plan: Plan, count: int) -> tuple[Receptacle, ...]:
    """Draw a room's receptacles: what the plan needs first, then rather kinds not yet there."""
    most = ROOMS[plan.room]
    needed = {plan.source, plan.goal.receptacle, plan.lamp, APPLIANCE_OF.get(plan.goal.task, "")}
    kinds = Counter(needed - {""})
    while kinds.total() < min(count, sum(most.values())):
        free = [kind for kind in most if kinds[kind] < most[kind]]
        weights = [(most[kind] - kinds[kind]) * (1 if kinds[kind] else 3) for kind in free]
        kinds[rng.choices(free, weights)[0]] += 1
    names = _named(kinds.elements())
    spots = rng.sample(range(2, len(names) + 2), len(names))
    return tuple(
        Receptacle(name=name, kind=kind, spot=f"loc {spot}", openable=kind in OPENABLE)
        for (name, kind), spot in zip(names, spots, strict=True)
    )


def _named(kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Names and kinds of things, in the order that texts list them."""
    seen: Counter[str] = Counter()
    named = []
    for kind in kinds:
        seen[kind] += 1
        named.append((f"{kind.lower()} {seen[kind]}", kind))
    return sorted(named, key=lambda one: as_id(one[0]))


def _fill(
    rng: Random, plan: Plan, receptacles: Sequence[Receptacle], limits: Size
) -> list[tuple[str, str]]:
    """Draw the items: kind and name of the receptacle of each, the goal's first."""
    goal, names = plan.goal, _by_kind(receptacles)
    placed = [(goal.item, rng.choice(names[plan.source]))]
    if goal.task == "pick_two_obj_and_place":
        placed.append((goal.item, _place(rng, goal, goal.item, names)))
    if plan.lamp:
        placed.append((LAMP, rng.choice(names[plan.lamp])))
    left = Counter(dict.fromkeys(_vocabulary(rng, plan, names, limits), MOST_COPIES))
    left -= Counter(kind for kind, _ in placed)
    for _ in range(rng.randint(*limits.items) - len(placed)):
        if left:
            kind = rng.choice(sorted(left.elements()))
            left -= Counter([kind])
            placed.append((kind, _place(rng, goal, kind, names)))
    return placed


def _by_kind(receptacles: Sequence[Receptacle]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for one in receptacles:
        names.setdefault(one.kind, []).append(one.name)
    return names


def _place(rng: Random, goal: Goal, kind: str, names: Mapping[str, list[str]]) -> str:
    """A receptacle for an item; none of the goal's kind for the goal's items."""
    legal = sorted(THINGS[kind].places & names.keys())
    if kind == goal.item:
        legal = [one for one in legal if one != goal.receptacle]
    return rng.choice([name for one in legal for name in names[one]])


def _vocabulary(rng: Random, plan: Plan, names: Mapping[str, list[str]], limits: Size) -> list[str]:
    """The kinds of items in a household: the goal's and others of its room."""
    things = {kind: THINGS[kind] for kind in limits.things if kind != plan.goal.item}
    others = [
        kind
        for kind, thing in things.items()
        if plan.room in thing.rooms and thing.places & names.keys()
    ]
    return [plan.goal.item, *rng.sample(others, min(limits.kinds - 1, len(others)))]


def _items(
    placed: Sequence[tuple[str, str]], receptacles: Sequence[Receptacle]
) -> tuple[Item, ...]:
    """The items in the order of texts; of a kind, those placed first have the low numbers."""
    spots = {one.name: one.spot for one in receptacles}
    waiting: dict[str, list[str]] = {}
    for kind, place in placed:
        waiting.setdefault(kind, []).append(place)
    items = []
    for name, kind in _named(kind for kind, _ in placed):
        place = waiting[kind].pop()
        properties = {"toggleable"} if kind == LAMP else THINGS[kind].properties
        items.append(
            Item(
                name=name,
                kind=kind,
                inside=(place,),
                spots=(spots[place],),
                properties=frozenset(properties),
            )
        )
    return tuple(items)
