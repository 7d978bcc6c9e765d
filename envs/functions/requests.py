"""What users ask for: one class a kind, from a question to a chain of dependent calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from agentrl.envs.functions.desk import Desk
from agentrl.envs.functions.words import PHONES, TEXTS, Pick

Slots = dict[str, Any]
"""What the user says, by name; `THINGS` says of which sort each is."""
Call = list[Any]
"""`[name, arguments]`."""
Steps = list[list[Call]]
"""Calls that depend on each other's results, one list after the other; parallel inside a list."""

THINGS = {
    "sender": "person",
    "other": "person",
    "target": "folder",
    "new_day": "day",
}
"""The sort of those slots whose name is not their sort."""


class Answer(NamedTuple):
    """What the last text of a request has to say."""

    value: str
    others: tuple[str, ...]
    """Values that would be wrong."""


class Request:
    """One kind of request."""

    says: ClassVar[tuple[str, ...]]
    """Wordings; the first is the plainest."""
    without: ClassVar[Mapping[str, str]] = {}
    """Wordings that leave out a slot that is necessary."""
    tools: ClassVar[tuple[str, ...]]
    """The tools it takes; without the last one it cannot be done."""
    rivals: ClassVar[tuple[str, ...]] = ()
    """Tools that could stand in for the last one."""

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """What to ask for in this office; nothing where there is nothing to ask for."""
        raise NotImplementedError

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """The calls that do it."""
        raise NotImplementedError

    def answer(self, desk: Desk, slots: Slots) -> Answer | None:
        """What to say in the end; None where any word will do."""
        return None


def person(desk: Desk, pick: Pick) -> str:
    """The name of any contact."""
    return pick.one(desk.contacts.list_contacts())


def find(name: str) -> Call:
    """The call that looks up an address."""
    return ["find_address", {"name": name}]


class AskPhone(Request):
    """A question that one look-up answers."""

    says = ("What is the phone number of {person}?", "How do I reach {person} by phone?")
    without: ClassVar = {"person": "What is the phone number?"}
    tools = ("find_phone",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A contact."""
        return {"person": person(desk, pick)}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Look it up."""
        return [[[self.tools[-1], {"name": slots["person"]}]]]

    def answer(self, desk: Desk, slots: Slots) -> Answer:
        """That contact's value and nobody else's."""
        look_up = desk.tools[self.tools[-1]].call
        values = {name: look_up({"name": name}) for name in desk.contacts.list_contacts()}
        right = values.pop(slots["person"])
        return Answer(right, tuple(values.values()))


class AskAddress(AskPhone):
    """Another question that one look-up answers."""

    says = ("What is the mail address of {person}?", "Where can I write to {person}?")
    without: ClassVar = {"person": "What is the mail address?"}
    tools = ("find_address",)


class ChangePhone(Request):
    """A single call with both of its arguments given."""

    says = (
        "Change the phone number of {person} to {phone}.",
        "{person} has a new phone number, {phone}: please note it.",
    )
    without: ClassVar = {
        "phone": "Change the phone number of {person}.",
        "person": "Change a phone number to {phone}.",
    }
    tools = ("change_phone",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A contact and a new number."""
        taken = {person["phone"] for person in desk.contacts.people}
        phone = pick.one([number for number in pick.words(PHONES) if number not in taken])
        return {"person": person(desk, pick), "phone": phone}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Change it."""
        return [[["change_phone", {"name": slots["person"], "phone": slots["phone"]}]]]


class Write(Request):
    """A chain: the address, then the mail."""

    says = ("Write to {person}: {text}", "Send {person} a mail that says {text}")
    without: ClassVar = {"person": "Send a mail that says {text}", "text": "Write to {person}."}
    tools = ("find_address", "send_mail")
    rivals = ("reply_to_mail",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A contact and a text."""
        return {"person": person(desk, pick), "text": pick.one(pick.words(TEXTS))}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Look up, then send."""
        to = desk.contacts.find_address(slots["person"])
        return [[find(slots["person"])], [["send_mail", {"to": to, "text": slots["text"]}]]]


class WriteBoth(Write):
    """A chain of parallel calls: two addresses, then two mails."""

    says = ("Write to {person} and {other}: {text}", "Let {person} and {other} know: {text}")
    without: ClassVar = {"text": "Write to {person} and {other}."}

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """Two contacts and a text."""
        one, other = pick.some(desk.contacts.list_contacts(), 2)
        return {"person": one, "other": other, "text": pick.one(pick.words(TEXTS))}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Both look-ups, then both mails."""
        first, second = (
            super(WriteBoth, self).steps(desk, {**slots, "person": slots[name]})
            for name in ("person", "other")
        )
        return [[*one, *two] for one, two in zip(first, second, strict=True)]


class Forward(Request):
    """Two look-ups that don't need each other, then the call that needs both."""

    says = ("Forward the mail from {sender} to {person}.", "{person} should see {sender}'s mail.")
    without: ClassVar = {
        "person": "Forward the mail from {sender}.",
        "sender": "Forward a mail to {person}.",
    }
    tools = ("search_mail", "find_address", "forward_mail")
    rivals = ("send_mail",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A letter and another contact."""
        sender = pick.one(desk.mail.inbox)["sender"]
        names = [name for name in desk.contacts.list_contacts() if name != sender]
        return {"sender": sender, "person": pick.one(names)}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Find the mail and the address, then forward."""
        arguments = {
            "number": letter(desk, slots),
            "to": desk.contacts.find_address(slots["person"]),
        }
        search = ["search_mail", {"sender": slots["sender"]}]
        return [[search, find(slots["person"])], [["forward_mail", arguments]]]


class ReplyTo(Request):
    """A chain: the mail's number, then the answer to it."""

    says = ("Reply to the mail from {sender}: {text}", "Answer {sender}'s mail with {text}")
    without: ClassVar = {
        "text": "Reply to the mail from {sender}.",
        "sender": "Reply to a mail: {text}",
    }
    tools = ("search_mail", "reply_to_mail")
    rivals = ("send_mail",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A letter and a text."""
        sender = pick.one(desk.mail.inbox)["sender"]
        return {"sender": sender, "text": pick.one(pick.words(TEXTS))}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Find the mail, then answer."""
        arguments = {"number": letter(desk, slots), "text": slots["text"]}
        search = ["search_mail", {"sender": slots["sender"]}]
        return [[search], [["reply_to_mail", arguments]]]


def letter(desk: Desk, slots: Slots) -> int:
    """The number of the mail that the sender sent."""
    return desk.mail.search_mail(slots["sender"])[0]["number"]
