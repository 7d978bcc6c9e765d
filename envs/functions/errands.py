"""Requests about the calendar and the files."""

from __future__ import annotations

from typing import Any, ClassVar

from agentrl.envs.functions.calendar import DAYS, Event
from agentrl.envs.functions.desk import Desk
from agentrl.envs.functions.requests import (
    Answer,
    Request,
    Slots,
    Steps,
    find,
    person,
)
from agentrl.envs.functions.words import FILES, FOLDERS, TEXTS, TITLES, Pick


class AskEvent(Request):
    """A question that a list answers."""

    says = ("What is planned on {day} at {hour}?", "On {day} at {hour}, what do I have?")
    without: ClassVar = {"day": "What is planned at {hour}?"}
    tools = ("list_events",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """The time of an event."""
        event = an_event(desk, pick)
        return {"day": event["day"], "hour": event["hour"]} if event else {}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """List the day."""
        return [[["list_events", {"day": slots["day"]}]]]

    def answer(self, desk: Desk, slots: Slots) -> Answer:
        """The title of that event and of no other one of the day."""
        titles = {e["hour"]: e["title"] for e in desk.calendar.list_events(slots["day"])}
        right = titles.pop(slots["hour"])
        return Answer(right, tuple(title for title in titles.values() if title != right))


class Meet(Request):
    """Two look-ups that don't need each other, then the call that needs both."""

    says = (
        "Plan {title} with {person} at the first free hour on {day}.",
        "Invite {person} to {title} on {day}, as early as I am free.",
    )
    without: ClassVar = {
        "day": "Plan {title} with {person} at the first free hour.",
        "person": "Plan {title} with someone at the first free hour on {day}.",
    }
    tools = ("free_hours", "find_address", "add_event")
    rivals = ("send_mail",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A title, a guest and a day."""
        return {
            "title": pick.one(pick.words(TITLES)),
            "person": person(desk, pick),
            "day": pick.one(DAYS),
        }

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Find the hour and the address, then plan."""
        arguments = {
            "day": slots["day"],
            "hour": desk.calendar.free_hours(slots["day"])[0],
            "title": slots["title"],
            "guests": [desk.contacts.find_address(slots["person"])],
        }
        free = ["free_hours", {"day": slots["day"]}]
        return [[free, find(slots["person"])], [["add_event", arguments]]]


class Cancel(Request):
    """A chain: the event's number, then the call."""

    says = ("Cancel {title} on {day}.", "I can't make it to {title} on {day}: cancel it.")
    tools = ("list_events", "cancel_event")

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """An event whose title its day has once."""
        event = an_event(desk, pick)
        return {"title": event["title"], "day": event["day"]} if event else {}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """List the day, then cancel."""
        number = number_of(desk, slots)
        listed = ["list_events", {"day": slots["day"]}]
        return [[listed], [["cancel_event", {"number": number}]]]


class Postpone(Cancel):
    """A chain whose last call takes two more arguments."""

    says = (
        "Move {title} from {day} to {new_day} at {hour}.",
        "Please put {title} on {new_day} at {hour}, not on {day}.",
    )
    without: ClassVar = {"hour": "Move {title} from {day} to another hour on {new_day}."}
    tools = ("list_events", "move_event")
    rivals = ("add_event", "cancel_event")

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """An event and a free hour of another day."""
        slots = super().draw(desk, pick)
        if not slots:
            return {}
        day = pick.one([day for day in DAYS if day != slots["day"]])
        return {**slots, "new_day": day, "hour": pick.one(desk.calendar.free_hours(day))}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """List the day, then move."""
        arguments = {
            "number": number_of(desk, slots),
            "day": slots["new_day"],
            "hour": slots["hour"],
        }
        listed = ["list_events", {"day": slots["day"]}]
        return [[listed], [["move_event", arguments]]]


def an_event(desk: Desk, pick: Pick) -> Event | None:
    """An event whose title its day has once; None where there is none."""
    names = [(event["day"], event["title"]) for event in desk.calendar.events]
    known = [e for e in desk.calendar.events if names.count((e["day"], e["title"])) == 1]
    return pick.one(known) if known else None


def number_of(desk: Desk, slots: Slots) -> int:
    """The number of the event with this title on this day."""
    events = desk.calendar.list_events(slots["day"])
    return next(event["number"] for event in events if event["title"] == slots["title"])


class MoveFile(Request):
    """A single call with both of its arguments given."""

    says = ("Move the file {file} to {folder}.", "Put {file} into the folder {folder}.")
    without: ClassVar = {"folder": "Move the file {file}.", "file": "Move a file to {folder}."}
    tools = ("move_file",)
    rivals = ("write_file",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A file and another folder than its own."""
        entry = a_file(desk, pick)
        if entry is None:
            return {}
        return {"file": entry["file"], "folder": folder_but(entry["folder"], pick)}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Move it."""
        return [[["move_file", {"file": slots["file"], "folder": slots["folder"]}]]]


class Rename(Request):
    """A single call."""

    says = ("Rename the file {file} to {new_name}.", "Call the file {file} {new_name} from now on.")
    without: ClassVar = {"new_name": "Rename the file {file}."}
    tools = ("rename_file",)
    rivals = ("write_file",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A file and a name that none has."""
        entry, name = a_file(desk, pick), new_file(desk, pick)
        return {"file": entry["file"], "new_name": name} if entry and name else {}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Rename it."""
        return [[["rename_file", dict(slots)]]]


class Delete(Request):
    """A single call that cannot be undone."""

    says = ("Delete the file {file}.", "I don't need {file} any more: delete the file.")
    without: ClassVar = {"file": "Delete a file."}
    tools = ("delete_file",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A file."""
        entry = a_file(desk, pick)
        return {"file": entry["file"]} if entry else {}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Delete it."""
        return [[["delete_file", dict(slots)]]]


class Read(Delete):
    """A question that one call answers."""

    says = ("What does the file {file} say?", "Read me the file {file}.")
    without: ClassVar = {"file": "What does the file say?"}
    tools = ("read_file",)

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Read it."""
        return [[["read_file", dict(slots)]]]

    def answer(self, desk: Desk, slots: Slots) -> Answer:
        """Its text and no other file's."""
        texts: dict[str, str] = {entry["file"]: entry["text"] for entry in desk.files.entries}
        right = texts.pop(slots["file"])
        return Answer(right, tuple(text for text in texts.values() if text != right))


class Note(Request):
    """A single call with three arguments."""

    says = (
        "Write a file {new_name} in {folder} that says {text}",
        "Note this in a new file {new_name} in the folder {folder}: {text}",
    )
    without: ClassVar = {
        "folder": "Write a file {new_name} that says {text}",
        "text": "Write a file {new_name} in {folder}.",
    }
    tools = ("write_file",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A new name, a folder and a text."""
        name = new_file(desk, pick)
        if not name:
            return {}
        return {
            "new_name": name,
            "folder": pick.one(pick.words(FOLDERS)),
            "text": pick.one(pick.words(TEXTS)),
        }

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """Write it."""
        arguments: dict[str, Any] = {name: slots[name] for name in ("folder", "text")}
        return [[["write_file", {"file": slots["new_name"], **arguments}]]]


class Tidy(Request):
    """A chain: a list, then a parallel call for each of its files."""

    says = ("Move all files of {folder} to {target}.", "Empty {folder}: its files go to {target}.")
    without: ClassVar = {"target": "Move all files of {folder} to another folder."}
    tools = ("list_files", "move_file")
    rivals = ("write_file",)

    def draw(self, desk: Desk, pick: Pick) -> Slots:
        """A folder that holds something, and another one."""
        entry = a_file(desk, pick)
        if entry is None:
            return {}
        return {"folder": entry["folder"], "target": folder_but(entry["folder"], pick)}

    def steps(self, desk: Desk, slots: Slots) -> Steps:
        """List the folder, then move every file."""
        names = desk.files.list_files(slots["folder"])
        moves = [["move_file", {"file": name, "folder": slots["target"]}] for name in names]
        return [[["list_files", {"folder": slots["folder"]}]], moves]


def a_file(desk: Desk, pick: Pick) -> Any:
    """Any file; None where there is none."""
    return pick.one(desk.files.entries) if desk.files.entries else None


def new_file(desk: Desk, pick: Pick) -> str:
    """A name that no file has; empty where all are taken."""
    taken = {entry["file"] for entry in desk.files.entries}
    free = [name for name in pick.words(FILES) if name not in taken]
    return pick.one(free) if free else ""


def folder_but(folder: str, pick: Pick) -> str:
    """Any folder but this one."""
    return pick.one([name for name in pick.words(FOLDERS) if name != folder])
