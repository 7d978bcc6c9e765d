"""The whole office of one user: contacts, mail, calendar and files, and the tools on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.functions.calendar import DAYS, HOURS, Calendar
from agentrl.envs.functions.contacts import Contacts
from agentrl.envs.functions.files import Files
from agentrl.envs.functions.mail import Mail
from agentrl.envs.functions.words import (
    DOMAINS,
    FILES,
    FOLDERS,
    NAMES,
    PHONES,
    TEXTS,
    TITLES,
    Pick,
)
from agentrl.functions import Tool, tool_of

State = Mapping[str, Sequence[Mapping[str, Any]]]
"""Everything in the office, as JSON: people, inbox, outbox, events, files."""
PEOPLE, LETTERS, EVENTS, ENTRIES = 5, 3, 5, 5
"""How much of everything there is at the beginning."""


class Desk:
    """Four small applications; `load` begins anew, `state` is all that they hold."""

    def __init__(self) -> None:
        self.contacts = Contacts()
        self.mail = Mail()
        self.calendar = Calendar()
        self.files = Files()
        self.tools: dict[str, Tool] = {
            made.name: made
            for application in (self.contacts, self.mail, self.calendar, self.files)
            for made in methods(application)
        }

    def load(self, state: State) -> None:
        """Put a copy of this state in place of what was there."""
        loaded: Any = json.loads(json.dumps(state))
        self.contacts.people = loaded["people"]
        self.mail.inbox, self.mail.outbox = loaded["inbox"], loaded["outbox"]
        self.calendar.events = loaded["events"]
        self.files.entries = loaded["files"]

    def state(self) -> State:
        """Everything as it is, not a copy."""
        return {
            "people": self.contacts.people,
            "inbox": self.mail.inbox,
            "outbox": self.mail.outbox,
            "events": self.calendar.events,
            "files": self.files.entries,
        }

    def run(self, calls: Sequence[Sequence[Any]]) -> None:
        """Make `[name, arguments]` calls whose results don't matter."""
        for name, arguments in calls:
            self.tools[name].call(arguments)


def methods(application: object) -> list[Tool]:
    """The public methods of an object, as tools."""
    names = [name for name in vars(type(application)) if not name.startswith("_")]
    return [tool_of(getattr(application, name)) for name in names]


def comparable(state: State) -> dict[str, list[str]]:
    """A state as success compares it.

    Order, numbers of events, upper case, spaces and the full stop that ends a text don't count.
    """
    return {name: sorted(map(_record, records)) for name, records in state.items()}


def _record(record: Mapping[str, Any]) -> str:
    kept = {name: _plain(value) for name, value in record.items() if name != "number"}
    return json.dumps(kept, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(str, map(_plain, value)))
    return " ".join(value.casefold().split()).rstrip(".") if isinstance(value, str) else value


def furnished(pick: Pick) -> State:
    """The state of a random office; every person and every file name is in it once."""
    people = [
        {
            "name": name,
            "address": f"{name.lower()}@{pick.one(pick.words(DOMAINS))}",
            "phone": phone,
        }
        for name, phone in zip(
            pick.some(pick.words(NAMES), PEOPLE),
            pick.some(pick.words(PHONES), PEOPLE),
            strict=False,
        )
    ]
    folders = pick.some(pick.words(FOLDERS), 2)
    texts = pick.some(pick.words(TEXTS), len(TEXTS))
    return {
        "people": people,
        "inbox": [
            {"number": number, "sender": person["name"], "subject": title, "text": text}
            for number, person, title, text in zip(
                pick.some(range(1, 10), LETTERS), people, _titles(pick), texts, strict=False
            )
        ],
        "outbox": [],
        "events": _events(pick),
        "files": [
            {"file": name, "folder": folders[place % 2], "text": text}
            for place, (name, text) in enumerate(
                zip(pick.some(pick.words(FILES), ENTRIES), texts[::-1], strict=False)
            )
        ],
    }


def _titles(pick: Pick) -> list[str]:
    return pick.some(pick.words(TITLES), EVENTS)


def _events(pick: Pick) -> list[dict[str, Any]]:
    days = pick.some(DAYS, 2)
    hours = pick.some(HOURS, EVENTS)
    numbers = pick.some(range(1, 10), EVENTS)
    return [
        {"number": number, "day": days[place % 2], "hour": hour, "title": title, "guests": []}
        for place, (number, hour, title) in enumerate(
            zip(numbers, hours, _titles(pick), strict=False)
        )
    ]
