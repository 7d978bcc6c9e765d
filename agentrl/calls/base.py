"""What a format of tool calls is: a reader that never repairs, and a writer that proves itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentrl.calls.literals import MalformedError
from agentrl.errors import DataError, boundary
from agentrl.types import Parse, ToolCall

LIMIT = 1 << 20
"""Characters of one assistant's text that are looked at; a longer one is MALFORMED."""
THINK, THOUGHT = "<think>", "</think>"

Pieces = Iterator[str | ToolCall]
"""What a text is made of, in order: calls, and the text outside of them."""


class Called(NamedTuple):
    """What a format found in one assistant's text."""

    status: Parse
    calls: tuple[ToolCall, ...] = ()
    """In order; all of them or, unless OK, none."""
    content: str = ""
    """The text outside of calls and thinking, stripped; unless OK, all of it but the thinking."""
    thinking: str = ""
    """What stands before `</think>`, stripped."""
    reason: str = ""
    """Why it is MALFORMED: which call, at which character, what is wrong."""
    position: int = -1
    """The character of the whole text at which it is malformed; its length where it ends early."""


@dataclass(frozen=True, slots=True)
class CallFormat:
    """One way to write tool calls in text."""

    name: str
    read: Callable[[str, int], Pieces]
    """The pieces of a text from a character on. Raises: MalformedError."""
    written: Callable[[Sequence[ToolCall]], str]
    ids: bool = False
    """Whether the format has a place for a call's id; one that has none leaves it out."""

    def parse(self, text: str) -> Called:
        """The calls of an assistant's text; never raises."""
        if len(text) > LIMIT:
            why = f"{len(text)} characters are more than {LIMIT}"
            return Called(Parse.MALFORMED, content=text.strip(), reason=why, position=LIMIT)
        thought, rest, closed = thinking(text)
        if not closed:
            at = text.find(THINK)
            why = f"character {at}: {THINK} is not closed"
            return Called(Parse.MALFORMED, thinking=thought, reason=why, position=at)
        return self._called(text, len(text) - len(rest), thought)

    def write(self, calls: Sequence[ToolCall]) -> str:
        """The canonical text of these calls, which `parse` reads back as the same; "" for none.

        Raises:
            DataError: this format cannot carry them, for example arguments that are not JSON, a
                name that it has no way to write, a closing tag inside of a tag.
        """
        doing = f"cannot write the calls of {[call.name for call in calls]} as {self.name}"
        with boundary(DataError, doing):
            text = self.written(calls) if calls else ""
            wanted = tuple(
                ToolCall(call.name, dict(call.arguments), call.id if self.ids else "")
                for call in calls
            )
        found = self.parse(text)
        if found.calls != wanted:
            raise DataError(
                f"{doing}: {found.reason or 'they would be read back as something else'}; "
                "change the arguments or take another format"
            )
        return text

    def _called(self, text: str, start: int, thought: str) -> Called:
        calls: list[ToolCall] = []
        content: list[str] = []
        try:
            for piece in self.read(text, start):
                if isinstance(piece, ToolCall):
                    calls.append(piece)
                else:
                    content.append(piece.strip())
        except MalformedError as flaw:  # how readers leave a text that they cannot read
            position, why = flaw.position, str(flaw)
        except RecursionError:  # the caller's own stack is nearly full; DEPTH alone never fills it
            position, why = start, "nested too deep for the stack that is left"
        else:
            status = Parse.OK if calls else Parse.NO_CALL
            return Called(status, tuple(calls), "\n".join(filter(None, content)), thought)
        reason = f"call {len(calls) + 1}, character {position}: {why}"
        return Called(Parse.MALFORMED, (), text[start:].strip(), thought, reason, position)


def thinking(text: str) -> tuple[str, str, bool]:
    """What an assistant thought, stripped, the text after it, as it stands, and whether it closed.

    The opening tag may stand in the prompt, so everything before the first `</think>` is thinking;
    a text with neither tag has none and is closed. The rest of an unclosed thought is empty.
    """
    before, thought, after = text.partition(THOUGHT)
    opened = before.lstrip().startswith(THINK)
    if thought:
        return before.strip().removeprefix(THINK).strip(), after, True
    if opened:
        return before.strip().removeprefix(THINK).strip(), "", False
    return "", text, True
