"""The user's calendar: one working week."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict, get_args

Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
DAYS: tuple[Day, ...] = get_args(Day)
HOURS = range(9, 17)


class Event(TypedDict):
    """One hour of one day."""

    number: int
    day: Day
    hour: int
    title: str
    guests: list[str]


class Calendar:
    """Events of an hour each, never two at a time."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def list_events(self, day: Day) -> list[Event]:
        """List the events of a day.

        Args:
            day: The day of the week.
        """
        return [event for event in self.events if event["day"] == day]

    def free_hours(self, day: Day) -> list[int]:
        """List the hours of a day at which nothing is planned yet, the earliest first.

        Args:
            day: The day of the week.
        """
        taken = {event["hour"] for event in self.list_events(day)}
        return [hour for hour in HOURS if hour not in taken]

    def add_event(self, day: Day, hour: int, title: str, guests: Sequence[str] = ()) -> str:
        """Plan an event of one hour.

        Args:
            day: The day of the week.
            hour: The hour at which it begins, from 9 to 16.
            title: What it is called.
            guests: The mail addresses of those to invite.
        """
        self._check_free(day, hour)
        number = 1 + max((event["number"] for event in self.events), default=0)
        self.events.append(
            {"number": number, "day": day, "hour": hour, "title": title, "guests": list(guests)}
        )
        return f"added as event {number}"

    def move_event(self, number: int, day: Day, hour: int) -> str:
        """Move an event to another time.

        Args:
            number: The number of the event.
            day: The new day of the week.
            hour: The new hour, from 9 to 16.
        """
        event = self._event(number)
        self._check_free(day, hour)
        event["day"], event["hour"] = day, hour
        return "moved"

    def cancel_event(self, number: int) -> str:
        """Cancel an event.

        Args:
            number: The number of the event.
        """
        self.events.remove(self._event(number))
        return "cancelled"

    def _event(self, number: int) -> Event:
        for event in self.events:
            if event["number"] == number:
                return event
        raise LookupError(f"there is no event {number}")

    def _check_free(self, day: Day, hour: int) -> None:
        if hour not in self.free_hours(day):
            raise ValueError(f"{day} at {hour} is not free")
