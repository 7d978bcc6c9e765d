"""A hand-coded expert: looks where the object may be, then does the task, by what it was told.

It reads the texts that a player reads, the goal in its formal form, and which kinds fit where
(which everybody knows who has seen a kitchen); nothing of the state that the game hides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import numpy as np

from agentrl.envs.alfworld.game import Game
from agentrl.envs.alfworld.said import NAME, names_in
from agentrl.envs.alfworld.texts import PUTTING

N = NAME.pattern
SEEN = re.compile(rf"(?:On the|The) ({N})(?: is open\. In it)?, you see (.*?)\.", re.DOTALL)
CLOSED = re.compile(rf"The ({N}) is closed\.")
DEED = re.compile(rf"(\S+|go to) ({N})(?: \S+ ({N}))?")
"""A command: verb, what it is done to, and where or with what."""
TREATMENTS = {
    "pick_heat_then_place_in_recep": ("heat", "microwave"),
    "pick_cool_then_place_in_recep": ("cool", "fridge"),
    "pick_clean_then_place_in_recep": ("clean", "sinkbasin"),
}
"""Task -> what is done to the object before it is placed, and with which kind of receptacle."""


UNDOES = {"heat": "cool", "cool": "heat", "clean": None}
"""Treatment -> the other one whose effect it ends."""


def putting(game: Game, item: str, place: str) -> str:
    """The command that moves what is held into a receptacle, in the game's wording."""
    return PUTTING[game.release].format(item=item, place=place)


def kind_of(name: str) -> str:
    """The kind of `mug 2`: `mug`."""
    return name.split()[0]


class Explorer:
    """What a player knows of a game in play, and what it would do next.

    Tell it the opening, and by `hear` every reply; `choose` says the next command.
    """

    def __init__(self, game: Game, opening: str) -> None:
        goal = game.goal
        self.game = game
        self.task = goal.task
        self.wanted, self.target = goal.item.lower(), goal.receptacle.lower()
        self.lamp = goal.lamp.lower()
        self.fits = {
            place.lower(): {kind.lower() for kind in kinds} for place, kinds in game.fits.items()
        }
        self.receptacles = names_in(opening.partition("Your task is to:")[0])
        self.at = ""
        self.held = ""
        self.known: dict[str, str] = {}
        """Object -> receptacle where it was last seen."""
        self.closed: set[str] = set()
        self.looked: set[str] = set()
        self.treated: set[str] = set()

    # ---- what it is told ----

    def hear(self, command: str, text: str) -> None:
        """Learn from the reply to a command that did something."""
        if (deed := DEED.fullmatch(command)) is not None:
            self._did(*deed.groups(default=""))
        if (shut := CLOSED.search(text)) is not None:
            self.closed.add(shut.group(1))
        if (seen := SEEN.search(text)) is not None:
            self._saw(seen.group(1), names_in(seen.group(2)))

    def _did(self, verb: str, first: str, second: str) -> None:
        """Take note of what a command changed."""
        deeds = {
            "go to": self._went,
            "open": self.closed.discard,
            "close": self.closed.add,
            "take": self._took,
        }
        if verb in deeds:
            deeds[verb](first)
        elif verb in ("move", "put"):
            self.known[first], self.held = second, ""
        elif verb in UNDOES:
            self._treat(verb, first)

    def _went(self, place: str) -> None:
        self.at = place

    def _took(self, item: str) -> None:
        self.held = item
        self.known.pop(item, None)

    def _saw(self, place: str, items: Collection[str]) -> None:
        self.known = {item: there for item, there in self.known.items() if there != place}
        self.known |= dict.fromkeys(items, place)
        self.looked.add(place)

    def _treat(self, how: str, item: str) -> None:
        wanted, _ = TREATMENTS.get(self.task, ("", ""))
        if how == wanted:
            self.treated.add(item)
        elif UNDOES[how] == wanted:
            self.treated.discard(item)

    # ---- what it does ----

    def choose(self, rng: np.random.Generator) -> str:
        """The next command; `look` when it knows nothing more to do."""
        if not self.held:
            return self._fetch(rng)
        if kind_of(self.held) != self.wanted:
            return self._put_away()
        how, machine = TREATMENTS.get(self.task, ("", ""))
        if how and self.held not in self.treated:
            place = self._nearest(machine)
            return self._at(place, f"{how} {self.held} with {place}") if place else "look"
        if self.lamp:
            return self._light(rng)
        place = self._goal_place()
        return self._into(place, putting(self.game, self.held, place)) if place else "look"

    def _fetch(self, rng: np.random.Generator) -> str:
        """Take an object that is wanted, or look for one."""
        done = self._placed()
        for item, place in self.known.items():
            if kind_of(item) == self.wanted and item not in done:
                return self._into(place, f"take {item} from {place}")
        return self._search(self.wanted, rng)

    def _light(self, rng: np.random.Generator) -> str:
        """Use the lamp, or look for one."""
        for item, place in self.known.items():
            if kind_of(item) == self.lamp:
                return self._at(place, f"use {item}")
        return self._search(self.lamp, rng)

    def _search(self, kind: str, rng: np.random.Generator) -> str:
        """Look into a receptacle not yet seen, first into those that may hold the kind."""
        if self.at in self.closed and self.at not in self.looked:
            return f"open {self.at}"
        left = [place for place in self.receptacles if place not in self.looked]
        likely = [place for place in left if kind in self.fits.get(kind_of(place), ())]
        choice = likely or left
        return f"go to {choice[int(rng.integers(len(choice)))]}" if choice else "look"

    def _put_away(self) -> str:
        """Move what is held and not wanted to where it fits, here if it fits here."""
        fits = [
            place
            for place in self.receptacles
            if kind_of(self.held) in self.fits.get(kind_of(place), ())
        ]
        place = self.at if self.at in fits else next(iter(fits), "")
        return self._into(place, putting(self.game, self.held, place)) if place else "look"

    def _into(self, place: str, deed: str) -> str:
        """The deed, or what comes before it: going there and opening it."""
        return self._at(place, f"open {place}" if place in self.closed else deed)

    def _at(self, place: str, deed: str) -> str:
        return deed if self.at == place else f"go to {place}"

    def _nearest(self, kind: str) -> str:
        """A receptacle of a kind: where the player stands, or the first."""
        places = self._of_kind(kind)
        return self.at if self.at in places else next(iter(places), "")

    def _of_kind(self, kind: str) -> list[str]:
        return [place for place in self.receptacles if kind_of(place) == kind]

    def _goal_place(self) -> str:
        """The receptacle that takes the object: with two of them, the one that has the first."""
        places = self._of_kind(self.target)
        if self.task == "pick_two_obj_and_place":
            return max(places, key=lambda place: len(list(self._wanted_at(place))), default="")
        return self._nearest(self.target)

    def _placed(self) -> set[str]:
        """The objects that lie where the goal wants them."""
        if self.task == "pick_two_obj_and_place":
            return set(self._wanted_at(self._goal_place()))
        if self.lamp:
            return set()
        there = {item for place in self._of_kind(self.target) for item in self._wanted_at(place)}
        return there & self.treated if self.task in TREATMENTS else there

    def _wanted_at(self, place: str) -> Iterator[str]:
        for item, there in self.known.items():
            if there == place and kind_of(item) == self.wanted:
                yield item
