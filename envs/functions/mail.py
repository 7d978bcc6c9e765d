"""The user's mail: what came, and what was sent."""

from __future__ import annotations

from typing import TypedDict


class Letter(TypedDict):
    """A mail that came."""

    number: int
    sender: str
    subject: str
    text: str


class Sent(TypedDict):
    """A mail that went out."""

    to: str
    text: str


class Mail:
    """An inbox and an outbox."""

    def __init__(self) -> None:
        self.inbox: list[Letter] = []
        self.outbox: list[Sent] = []

    def search_mail(self, sender: str) -> list[Letter]:
        """Find the mails in the inbox that a person sent.

        Args:
            sender: The first name of the sender, for example Ann.
        """
        wanted = sender.strip().casefold()
        return [letter for letter in self.inbox if letter["sender"].casefold() == wanted]

    def send_mail(self, to: str, text: str) -> str:
        """Send a mail.

        Args:
            to: The mail address of the recipient.
            text: What the mail says.
        """
        self.outbox.append({"to": checked_address(to), "text": text})
        return "sent"

    def forward_mail(self, number: int, to: str) -> str:
        """Forward a mail of the inbox.

        Args:
            number: The number of the mail.
            to: The mail address of the recipient.
        """
        letter = self._letter(number)
        self.outbox.append({"to": checked_address(to), "text": f"Fwd: {letter['text']}"})
        return "forwarded"

    def reply_to_mail(self, number: int, text: str) -> str:
        """Answer a mail of the inbox.

        Args:
            number: The number of the mail.
            text: What the answer says.
        """
        letter = self._letter(number)
        self.outbox.append({"to": letter["sender"], "text": f"Re: {text}"})
        return "sent"

    def delete_mail(self, number: int) -> str:
        """Delete a mail of the inbox.

        Args:
            number: The number of the mail.
        """
        self.inbox.remove(self._letter(number))
        return "deleted"

    def _letter(self, number: int) -> Letter:
        for letter in self.inbox:
            if letter["number"] == number:
                return letter
        raise LookupError(f"there is no mail {number}")


def checked_address(address: str) -> str:
    """A mail address. Raises: ValueError for a text that is none."""
    if "@" not in address:
        raise ValueError(f"{address} is no mail address")
    return address
