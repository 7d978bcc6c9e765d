"""Hermes and Qwen: `<tool_call>` around a JSON object, one block per call, text between them."""

from __future__ import annotations

from collections.abc import Sequence

from agentrl.calls.base import CallFormat, Pieces
from agentrl.calls.literals import Json, MalformedError
from agentrl.calls.objects import call_object, written_object
from agentrl.types import ToolCall

OPENING, CLOSING = "<tool_call>", "</tool_call>"


def read(text: str, start: int) -> Pieces:
    """The blocks, and the text around them."""
    reader = Json(text, start)
    opened = text.find(OPENING, start)
    while opened >= 0:
        yield text[reader.at : opened]
        reader.at = opened + len(OPENING)
        call = call_object(reader)
        if reader.ended():
            raise MalformedError(opened, f"{OPENING} is not closed")
        reader.take(CLOSING)
        yield call
        opened = text.find(OPENING, reader.at)
    yield text[reader.at :]


def written(calls: Sequence[ToolCall]) -> str:
    """Blocks of three lines."""
    return "\n".join(f"{OPENING}\n{written_object(call)}\n{CLOSING}" for call in calls)


HERMES = CallFormat("hermes", read, written, ids=True)
