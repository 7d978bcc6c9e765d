"""A household being played: its state, what can be done in it, and what is known of it.

It plays the rules, texts and admissible commands of ALFWorld's domain without a planner: the same
texts and commands as the reference (TextWorld's `PddlEnv` on alfworld's domain), character for
character, at some thousand times its speed. Service tests walk both side by side.
"""

from __future__ import annotations

from typing import NamedTuple

from agentrl.envs.alfworld.commands import Action, possible
from agentrl.envs.alfworld.deeds import DEEDS, view
from agentrl.envs.alfworld.game import Game, Item, Receptacle
from agentrl.envs.alfworld.goals import WON
from agentrl.envs.alfworld.texts import NOTHING, WELCOME

_NONE: frozenset[str] = frozenset()


class Step(NamedTuple):
    """What one command did."""

    text: str
    won: bool
    """The goal holds now; the game goes on all the same."""
    valid: bool
    """The command was admissible; else nothing happened."""


class World:
    """A game being played: it starts at `reset` and takes one command after the other.

    Deterministic. Copies (`copy.copy`) and pickles are independent worlds in the same state.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.items: dict[str, Item] = {one.name: one for one in game.items}
        self.receptacles: dict[str, Receptacle] = {one.name: one for one in game.receptacles}
        self.reset()

    def reset(self) -> str:
        """Start again; the opening text, with the task in its last line."""
        game = self.game
        self.spot = game.start
        """Where the player stands; more than one receptacle, or none, may be reached from it."""
        self.in_hands = game.held
        """Names of the held items: one at most, but for games that start with more."""
        self.open = frozenset(one.name for one in game.receptacles if one.open)
        """Names of the receptacles that are open."""
        self.inside = {one.name: frozenset(one.inside) for one in game.items}
        """By item, the receptacles that it lies in."""
        self.left = dict.fromkeys(self.items, _NONE)
        """By item, the receptacles that it was taken from and not brought back to."""
        self.spots = {one.name: frozenset(one.spots) for one in game.items}
        """By item, where one must stand to slice it."""
        self.states = {one.name: one.states for one in game.items}
        """By item, some of `STATES`."""
        self._actions: dict[str, Action] | None = None
        around = [one.name for one in game.receptacles if one.spot]
        return f"{WELCOME}\n\n{view(self, around)}\n\nYour task is to: {game.sentence}."

    def __copy__(self) -> World:
        """An independent world in the same state; the game itself is shared."""
        twin = object.__new__(World)
        twin.__dict__.update(self.__dict__)
        twin.inside, twin.left = dict(self.inside), dict(self.left)
        twin.spots, twin.states = dict(self.spots), dict(self.states)
        return twin

    def step(self, command: str) -> Step:
        """Do a command; one that is not admissible does nothing, and says so."""
        action = self.actions().get(command.strip())
        if action is None:
            return Step(NOTHING, self.won, valid=False)
        self._actions = None
        text = DEEDS[action.verb](self, action)
        return Step(text, self.won, valid=True)

    def admissible(self) -> list[str]:
        """Every command that does something now, sorted."""
        return sorted(self.actions())

    def actions(self) -> dict[str, Action]:
        """Every admissible command with what it means, unsorted; not to be changed."""
        if self._actions is None:
            self._actions = dict(possible(self))
        return self._actions

    @property
    def won(self) -> bool:
        """The goal holds now."""
        return WON[self.game.goal.task](self)

    @property
    def here(self) -> tuple[str, ...]:
        """Names of the receptacles before the player; empty in the middle of the room."""
        return tuple(one.name for one in self.game.receptacles if one.spot == self.spot)

    @property
    def held(self) -> str | None:
        """Name of the item in the player's hands."""
        return self.in_hands[0] if self.in_hands else None

    def where(self, item: str) -> str | None:
        """Name of the receptacle that an item lies in; None in hands and outside of all."""
        return min(self.inside[item], default=None)

    def contents(self, receptacle: str) -> list[str]:
        """Names of the items in a receptacle, open or not, in the order of texts."""
        return [name for name, places in self.inside.items() if receptacle in places]

    def is_open(self, receptacle: str) -> bool:
        """True of a receptacle whose contents can be seen and taken."""
        return receptacle in self.open or not self.receptacles[receptacle].openable

    def has(self, item: str, state: str) -> bool:
        """True of an item in one of `STATES`."""
        return state in self.states[item]
