"""What households hold: rooms with their furniture, and things with their places and properties.

Facts of the public domain, as tables: one line a room or a thing. Spelling is the official one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

ROOMS: Mapping[str, Mapping[str, int]] = {
    "kitchen": {
        "Cabinet": 12, "CoffeeMachine": 1, "CounterTop": 3, "DiningTable": 2, "Drawer": 9,
        "Fridge": 1, "GarbageCan": 1, "Microwave": 1, "Shelf": 3, "SideTable": 1, "SinkBasin": 1,
        "StoveBurner": 4, "Toaster": 1,
    },
    "bedroom": {
        "ArmChair": 1, "Bed": 1, "Cabinet": 4, "Desk": 2, "Drawer": 10, "Dresser": 1,
        "GarbageCan": 1, "LaundryHamper": 1, "Safe": 1, "Shelf": 8, "SideTable": 2,
    },
    "livingroom": {
        "ArmChair": 2, "Cabinet": 6, "CoffeeTable": 2, "Desk": 1, "DiningTable": 1, "Drawer": 8,
        "Dresser": 1, "GarbageCan": 1, "Ottoman": 1, "Safe": 1, "Shelf": 7, "SideTable": 3,
        "Sofa": 2, "TVStand": 1,
    },
    "bathroom": {
        "BathtubBasin": 1, "Cabinet": 6, "Cart": 1, "CounterTop": 1, "Drawer": 6, "GarbageCan": 1,
        "HandTowelHolder": 2, "Shelf": 4, "SideTable": 1, "SinkBasin": 2, "Toilet": 1,
        "ToiletPaperHanger": 1, "TowelHolder": 2,
    },
}  # fmt: skip
"""By room, its kinds of receptacles with how many of each there are at most."""

OPENABLE = frozenset({"Cabinet", "Drawer", "Fridge", "Microwave", "Safe"})

GROUPS = {
    "Table": "CounterTop DiningTable SideTable CoffeeTable",
    "Seat": "Sofa ArmChair Ottoman",
    "Study": "Desk Dresser",
    "Cooking": "Fridge Microwave SinkBasin",
    "all": "heatable coolable cleanable",
}
"""Words of the table below that stand for several."""
_COLUMN = " | "
_TABLE = """
Apple        | kitchen                     | Table Cooking GarbageCan                    | all sliceable
Bread        | kitchen                     | Table Fridge Microwave GarbageCan           | heatable coolable sliceable
Egg          | kitchen                     | Table Cooking GarbageCan                    | all sliceable
Lettuce      | kitchen                     | Table Fridge SinkBasin GarbageCan           | coolable cleanable sliceable
Potato       | kitchen                     | Table Cooking GarbageCan                    | all sliceable
Tomato       | kitchen                     | Table Cooking GarbageCan                    | all sliceable
Bowl         | kitchen bedroom livingroom  | Table Study Cooking Cabinet Shelf           | coolable cleanable container
Cup          | kitchen                     | Table Study Cooking Cabinet Shelf           | all container
Mug          | kitchen bedroom             | Table Study Cooking Cabinet Shelf CoffeeMachine Cart | all container
Plate        | kitchen livingroom          | Table Study Cooking Cabinet Shelf           | all container
Pan          | kitchen                     | Table StoveBurner Fridge SinkBasin Cabinet  | coolable cleanable container
Pot          | kitchen                     | Table StoveBurner Fridge SinkBasin Cabinet Shelf | coolable cleanable container
Kettle       | kitchen                     | Table StoveBurner SinkBasin Cabinet Shelf   | cleanable
Fork         | kitchen                     | Table Drawer SinkBasin                      | cleanable
Spoon        | kitchen                     | Table Drawer SinkBasin                      | cleanable
Knife        | kitchen                     | Table Drawer SinkBasin                      | cleanable
ButterKnife  | kitchen                     | Table Drawer SinkBasin                      | cleanable
Ladle        | kitchen                     | Table Drawer SinkBasin Cabinet              | cleanable
Spatula      | kitchen                     | Table Drawer SinkBasin                      | cleanable
DishSponge   | kitchen bathroom            | Table Drawer Shelf SinkBasin BathtubBasin Cabinet Toilet Cart GarbageCan | cleanable
Cloth        | bedroom bathroom            | Table Study Seat Drawer Shelf SinkBasin BathtubBasin Cabinet Toilet Cart LaundryHamper GarbageCan | cleanable
SoapBar      | bathroom                    | Table Drawer Shelf SinkBasin BathtubBasin Cabinet Toilet Cart GarbageCan | cleanable
HandTowel    | bathroom                    | Table Drawer Shelf SinkBasin BathtubBasin Cabinet Toilet Cart HandTowelHolder GarbageCan |
Towel        | bathroom                    | TowelHolder                                 |
Glassbottle  | kitchen                     | Table Study Cooking Cabinet Shelf           |
WineBottle   | kitchen                     | Table Study Fridge Cabinet Shelf GarbageCan | coolable
PepperShaker | kitchen                     | Table Drawer Cabinet Shelf                  |
SaltShaker   | kitchen                     | Table Drawer Cabinet Shelf                  |
SoapBottle   | kitchen bathroom            | Table Desk Drawer Cabinet Shelf Toilet Cart GarbageCan |
SprayBottle  | kitchen bathroom            | Table Study Drawer Cabinet Shelf Toilet Cart GarbageCan |
ToiletPaper  | bathroom                    | Table Study Drawer Cabinet Shelf Toilet ToiletPaperHanger Cart GarbageCan |
TissueBox    | bedroom livingroom bathroom | Table Study Drawer Cabinet Shelf Toilet Cart TVStand GarbageCan |
Candle       | livingroom bathroom         | Table Study Drawer Cabinet Shelf Toilet Cart |
Plunger      | bathroom                    | Cabinet Cart                                |
AlarmClock   | bedroom                     | Table Study Shelf                           |
BaseballBat  | bedroom                     | Table Bed                                   |
BasketBall   | bedroom livingroom          | Table Study Seat Bed                        |
Book         | bedroom livingroom kitchen  | Table Study Seat Bed Drawer Cabinet Shelf   |
Box          | livingroom bedroom          | Table Study Seat Cabinet Shelf              | container
CD           | bedroom                     | Table Study Drawer Cabinet Shelf Safe GarbageCan |
CellPhone    | bedroom livingroom          | Table Study Seat Bed Drawer Shelf Safe      |
CreditCard   | bedroom livingroom kitchen  | Table Study Seat Drawer Shelf Safe          |
KeyChain     | bedroom livingroom          | Table Study Seat Drawer Shelf Safe          |
Laptop       | bedroom livingroom          | Table Study Seat Bed                        |
Newspaper    | livingroom                  | Table Study Seat Bed Drawer Cabinet Shelf Toilet GarbageCan |
Pen          | bedroom livingroom          | Table Study Drawer Shelf GarbageCan         |
Pencil       | bedroom livingroom          | Table Study Drawer Shelf GarbageCan         |
Pillow       | bedroom livingroom          | Seat Bed                                    |
RemoteControl| livingroom bedroom          | Table Study Seat Drawer Shelf               |
Statue       | livingroom bedroom kitchen  | Table Study Shelf Safe Cart                 |
TennisRacket | bedroom                     | Table Study Bed                             |
Vase         | livingroom bedroom kitchen  | Table Study Cabinet Shelf Safe Cart         |
Watch        | livingroom bedroom          | Table Study Drawer Shelf Safe               |
WateringCan  | livingroom                  | Table Study Drawer Cabinet Shelf            |
"""  # noqa: E501


class Thing(NamedTuple):
    """What is true of every item of a kind."""

    rooms: frozenset[str]
    places: frozenset[str]
    """Kinds of receptacles that it fits in or on."""
    properties: frozenset[str]


def _words(cell: str) -> frozenset[str]:
    """The words of a cell, groups spelled out."""
    return frozenset(" ".join(GROUPS.get(word, word) for word in cell.split()).split())


def _things() -> dict[str, Thing]:
    rows = [[cell.strip() for cell in row.split("|")] for row in _TABLE.strip().splitlines()]
    return {
        kind: Thing(_words(rooms), _words(places), _words(properties) | {"pickupable"})
        for kind, rooms, places, properties in rows
    }


THINGS: Mapping[str, Thing] = _things()
"""Every kind of item but lamps."""

LAMP = "DeskLamp"
"""The lamp that tasks look under; it stays where it stands."""
LAMP_PLACES = ("Desk", "SideTable", "Dresser", "Shelf")


def fits_of(places: Iterable[str], items: Iterable[str]) -> dict[str, frozenset[str]]:
    """Which of some kinds of items each of some kinds of receptacles takes, if any."""
    here = {kind: THINGS[kind].places for kind in set(items) & THINGS.keys()}
    found = {
        place: frozenset(kind for kind, fitting in here.items() if place in fitting)
        for place in sorted(set(places))
    }
    return {place: kinds for place, kinds in found.items() if kinds}
