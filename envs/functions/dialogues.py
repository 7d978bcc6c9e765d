"""Seeded dialogues: what the user says turn by turn, what is offered, and what would be right.

A dialogue is data (JSON):

    office   the state at the beginning
    tools    names of what is offered from the first turn on
    turns    each with
      says     the user's words
      known    `[sort, value]` of everything the user has said of this request
      new      names of tools that are offered from this turn on
      steps    the right calls, see `requests.Steps`
      wanted   what the turn's last text should be, see `manners`

An argument that is left out costs two turns: one to ask, one with the user's answer. A tool that is
left out is missing from the beginning, together with what could stand in for it, so no other
request of the dialogue needs it; either that is all, or the user offers it later and asks again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from agentrl.envs.functions.desk import Desk, State, furnished
from agentrl.envs.functions.errands import (
    AskEvent,
    Cancel,
    Delete,
    Meet,
    MoveFile,
    Note,
    Postpone,
    Read,
    Rename,
    Tidy,
)
from agentrl.envs.functions.requests import (
    THINGS,
    AskAddress,
    AskPhone,
    ChangePhone,
    Forward,
    ReplyTo,
    Request,
    Slots,
    Write,
    WriteBoth,
)
from agentrl.envs.functions.words import Pick

REQUESTS: Mapping[str, Request] = MappingProxyType(
    {
        "ask_phone": AskPhone(),
        "ask_address": AskAddress(),
        "ask_event": AskEvent(),
        "read": Read(),
        "change_phone": ChangePhone(),
        "move": MoveFile(),
        "rename": Rename(),
        "delete": Delete(),
        "note": Note(),
        "write": Write(),
        "write_both": WriteBoth(),
        "forward": Forward(),
        "reply": ReplyTo(),
        "meet": Meet(),
        "cancel": Cancel(),
        "postpone": Postpone(),
        "tidy": Tidy(),
    }
)
"""Every kind of request by the name that configurations know."""
QUOTED = frozenset({"text", "title"})
"""Sorts that users put into quotation marks."""
MAX_TEXTS = 4
"""Assistant's texts that a request takes at most: to ask or decline, two of calls, and the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What dialogues are like."""

    requests: tuple[str, ...]
    turns: tuple[int, int]
    """Fewest and most requests of a dialogue."""
    tools: int
    """Offered, needed or not; more where more are needed."""
    missing_argument: float
    """Chance of each request that the user leaves something out."""
    missing_tool: float
    """Chance of each request, one of a dialogue at most, that it cannot be done."""
    offered_later: float
    """Chance that a missing tool comes later."""
    plain: bool
    """One wording of every request, each value as a Python literal, for tiny models."""
    vocabulary: int


Turn = dict[str, Any]


def dialogue(rng: np.random.Generator, plan: Plan) -> dict[str, Any]:
    """A random dialogue."""
    pick = Pick(rng, plan.vocabulary)
    office = furnished(pick)
    writer = Writer(pick, plan, office)
    turns = writer.turns()
    return {"office": office, "tools": writer.offered(turns), "turns": turns}


class Writer:
    """Writes one dialogue; `desk` is the office as it is after the turns so far."""

    def __init__(self, pick: Pick, plan: Plan, office: State) -> None:
        self.pick = pick
        self.plan = plan
        self.desk = Desk()
        self.desk.load(office)
        self.hidden: set[str] = set()
        """Tools that are not offered at the beginning."""

    def turns(self) -> list[Turn]:
        """All the user's turns."""
        twists = self._twists()
        lacking = REQUESTS[self.pick.one(self.plan.requests)]
        if "tool" in twists:
            self.hidden = {lacking.tools[-1], *lacking.rivals}
        kinds = [REQUESTS[name] for name in self.plan.requests]
        others = [kind for kind in kinds if not self.hidden & set(kind.tools)]
        turns: list[Turn] = []
        for twist in twists:
            turns += self._turns([lacking] if twist == "tool" else others, twist)
        return turns

    def offered(self, turns: Sequence[Turn]) -> list[str]:
        """Names of the tools from the first turn on, in random order: needed ones and others."""
        needed = {name for turn in turns for step in turn["steps"] for name, _ in step}
        names = sorted(needed - self.hidden)
        others = [name for name in self.desk.tools if name not in needed | self.hidden]
        names += self.pick.some(others, max(0, self.plan.tools - len(names)))
        return self.pick.some(names, len(names))

    def _twists(self) -> list[str]:
        """What is missing from each request: `argument`, `tool` (once at most) or nothing."""
        fewest, most = self.plan.turns
        twists: list[str] = []
        for draw in self.pick.rng.random(int(self.pick.rng.integers(fewest, most + 1))):
            lacks_tool = draw < self.plan.missing_tool and "tool" not in twists
            lacks_argument = draw > 1 - self.plan.missing_argument
            twists.append("tool" if lacks_tool else "argument" if lacks_argument else "")
        return twists

    def _turns(self, kinds: Sequence[Request], twist: str) -> list[Turn]:
        """The turns of a request of one of these kinds, plain if need be; none at worst."""
        able = [kind for kind in kinds if kind.without or twist != "argument"]
        for kind in self.pick.some(able, len(able)):
            if slots := kind.draw(self.desk, self.pick):
                return self._written(kind, slots, twist)
        return self._turns(kinds, "") if twist == "argument" else []

    def _written(self, kind: Request, slots: Slots, twist: str) -> list[Turn]:
        last = self._turn(self._words(self._wording(kind), slots), slots)
        last["steps"] = kind.steps(self.desk, slots)
        if answer := kind.answer(self.desk, slots):
            last["wanted"] = {
                "kind": "answer",
                "value": answer.value,
                "others": list(answer.others),
            }
        first = []
        if twist == "argument":
            slot = self.pick.one(list(kind.without))
            left = {name: value for name, value in slots.items() if name != slot}
            first = [self._turn(self._words(kind.without[slot], left), left)]
            first[0]["wanted"] = {"kind": "ask", "value": THINGS.get(slot, slot)}
            last["says"] = self._words(f"{{{slot}}}, please.", slots)
        if twist == "tool":
            first = [{**last, "steps": [], "wanted": {"kind": "decline"}}]
            if self.pick.rng.random() >= self.plan.offered_later:
                return first
            last["new"] = [kind.tools[-1]]
            last["says"] = f"You have the tool {kind.tools[-1]} now. {last['says']}"
        for step in last["steps"]:
            self.desk.run(step)
        return [*first, last]

    def _wording(self, kind: Request) -> str:
        return kind.says[0] if self.plan.plain else self.pick.one(kind.says)

    def _words(self, wording: str, slots: Slots) -> str:
        return wording.format_map({name: self._shown(name, slots[name]) for name in slots})

    def _shown(self, name: str, value: Any) -> str:
        """A value as the user writes it."""
        if self.plan.plain:
            return repr(value)
        return f'"{value}"' if THINGS.get(name, name) in QUOTED else str(value)

    def _turn(self, says: str, slots: Slots) -> Turn:
        known = [[THINGS.get(name, name), value] for name, value in slots.items()]
        return {"says": says, "known": known, "new": [], "steps": [], "wanted": {"kind": "done"}}
