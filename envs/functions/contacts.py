"""The user's contacts: who there is, and how to reach them."""

from __future__ import annotations

from typing import TypedDict


class Contact(TypedDict):
    """One person."""

    name: str
    address: str
    phone: str


class Contacts:
    """The people that the user knows."""

    def __init__(self) -> None:
        self.people: list[Contact] = []

    def find_address(self, name: str) -> str:
        """Look up the mail address of a contact.

        Args:
            name: The first name, for example Ann.
        """
        return self._person(name)["address"]

    def find_phone(self, name: str) -> str:
        """Look up the phone number of a contact.

        Args:
            name: The first name, for example Ann.
        """
        return self._person(name)["phone"]

    def list_contacts(self) -> list[str]:
        """List the names of all contacts."""
        return [person["name"] for person in self.people]

    def change_phone(self, name: str, phone: str) -> str:
        """Change the phone number of a contact.

        Args:
            name: The first name, for example Ann.
            phone: The new number.
        """
        self._person(name)["phone"] = phone
        return "changed"

    def _person(self, name: str) -> Contact:
        for person in self.people:
            if person["name"].casefold() == name.strip().casefold():
                return person
        raise LookupError(f"there is no contact named {name}")
