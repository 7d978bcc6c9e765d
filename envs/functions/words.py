"""What the office's people, files and mails are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

NAMES = (
    *("Ann", "Bob", "Cem", "Dora", "Eli", "Fay", "Gus", "Hana", "Ivo", "June", "Karl", "Lena"),
    *("Max", "Nora", "Omar", "Pia", "Quin", "Rosa", "Sven", "Tara", "Uma", "Vito", "Wren", "Yara"),
)
DOMAINS = ("oak.org", "elm.org", "fir.org", "ash.org")
FOLDERS = ("drafts", "archive", "plans", "photos", "taxes", "travel", "letters", "projects")
FILES = (
    *("notes", "budget", "agenda", "report", "invoice", "summary", "contract", "minutes"),
    *("slides", "recipe", "survey", "poster", "manual", "menu", "essay", "ledger"),
)
TEXTS = (
    *("See you at noon", "The train is late", "Please call me back", "Thanks for your help"),
    *("The order has arrived", "We won the bid", "Bring your laptop", "The room is too small"),
    *("I am out until Friday", "The key is at the desk", "Lunch is on me", "The plan has changed"),
    *("Read the last page", "Dinner is cancelled", "The code works again", "Take the other door"),
)
TITLES = (
    *("standup", "review", "lunch", "interview", "training", "planning", "workshop", "demo"),
    *("retrospective", "kickoff", "briefing", "rehearsal"),
)
PHONES = tuple(str(number) for number in range(200, 296))

Item = TypeVar("Item")


class Pick:
    """Draws from the lists; `vocabulary` is how many of each are used, 0 for all."""

    def __init__(self, rng: np.random.Generator, vocabulary: int = 0) -> None:
        self.rng = rng
        self.vocabulary = vocabulary

    def one(self, items: Sequence[Item]) -> Item:
        """Any one of the items."""
        return items[int(self.rng.integers(len(items)))]

    def some(self, items: Sequence[Item], count: int) -> list[Item]:
        """Different items; all of them, in random order, where there are no more."""
        order = self.rng.permutation(len(items))[:count]
        return [items[int(place)] for place in order]

    def words(self, items: Sequence[str]) -> Sequence[str]:
        """The items that are used at all."""
        return items[: self.vocabulary or None]
