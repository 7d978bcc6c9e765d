"""Mistral: `[TOOL_CALLS]` before a JSON list of calls or, in newer models, before each call."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentrl.calls.base import CallFormat, Pieces
from agentrl.calls.literals import Json
from agentrl.calls.objects import call_object, written_object
from agentrl.types import ToolCall

MARK, ID, ARGUMENTS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
WORD = re.compile(r"[^\s\[\]{}]++")


def read(text: str, start: int) -> Pieces:
    """The text before the first mark, and the calls; no text follows them."""
    opened = text.find(MARK, start)
    if opened < 0:
        yield text[start:]
        return
    yield text[start:opened]
    reader = Json(text, opened + len(MARK))
    if reader.taken("["):
        reader.skip()
        yield call_object(reader)
        while not reader.taken("]"):
            reader.take(",", "']'")
            yield call_object(reader)
    else:
        yield named_call(reader)
        while reader.taken(MARK):
            yield named_call(reader)
    if not reader.ended():
        raise reader.expected("the end")


def named_call(reader: Json) -> ToolCall:
    """The call at the cursor: `name{..}`, `name[ARGS]{..}` or `name[CALL_ID]id[ARGS]{..}`."""
    name = word(reader, "a function's name")
    call = word(reader, "an id") if reader.taken(ID) else ""
    reader.taken(ARGUMENTS)
    return ToolCall(name, reader.mapping(), call)


def word(reader: Json, what: str) -> str:
    """The characters up to white space or a bracket."""
    found = WORD.match(reader.text, reader.skip())
    if found is None:
        raise reader.expected(what)
    reader.at = found.end()
    return found.group()


def written(calls: Sequence[ToolCall]) -> str:
    """The list, which every version reads and which has ids."""
    return f"{MARK}[{', '.join(map(written_object, calls))}]"


MISTRAL = CallFormat("mistral", read, written, ids=True)
