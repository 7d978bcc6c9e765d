"""One call as a JSON object: what the JSON formats have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentrl.calls.literals import Json, MalformedError, Member, shown
from agentrl.types import ToolCall

ARGUMENTS = ("arguments", "parameters")
"""Models mix up the two names; one of them must be there, and not both."""
KEYS = frozenset(("name", *ARGUMENTS, "id", "type"))


def call_object(reader: Json) -> ToolCall:
    """The call at the cursor: `{"name": .., "arguments": {..}}`, with an `id` or without.

    An unknown key is a flaw, because it may be an argument that was written one level too high.
    """
    start = reader.skip()
    members = reader.members()
    for key, member in members.items():
        if key not in KEYS:
            raise MalformedError(member.position, f"a call has no key {shown(key)}")
    name = words(members, "name", start)
    if not name:
        raise MalformedError(members["name"].position, "the name is empty")
    if "type" in members and members["type"].value != "function":
        raise MalformedError(members["type"].position, "the type is not 'function'")
    given = [members[key] for key in ARGUMENTS if key in members]
    if len(given) != 1:
        why = "both arguments and parameters" if given else "no arguments"
        raise MalformedError(start, f"the call has {why}")
    mark = words(members, "id", start) if "id" in members else ""
    return ToolCall(name, arguments(given[0]), mark)


def words(members: Mapping[str, Member], key: str, start: int) -> str:
    """The member `key` of the object at `start`, which has to be text."""
    if key not in members:
        raise MalformedError(start, f"the call has no {key}")
    position, value = members[key]
    if not isinstance(value, str):
        raise MalformedError(position, f"the {key} is not text")
    return value


def arguments(given: Member) -> dict[str, Any]:
    """An object, or a text that holds one, as the OpenAI interface writes it."""
    position, value = given
    if isinstance(value, str):
        inner = Json(value)
        try:
            value = inner.value()
            if not inner.ended():
                raise inner.expected("the end")
        except MalformedError as flaw:  # its place counts inside the string
            raise MalformedError(position, f"arguments as text: {flaw}") from None
    if not isinstance(value, dict):
        raise MalformedError(position, "the arguments are not an object")
    return value


def written_object(call: ToolCall, arguments: str = "arguments") -> str:
    """A call as JSON that no parser takes for the end of a thought."""
    fields = {"name": call.name, arguments: dict(call.arguments)}
    return written_json({**fields, "id": call.id} if call.id else fields)


def written_json(value: Any) -> str:
    """A value as one line of JSON, `</think>` escaped."""
    return json.dumps(value, ensure_ascii=False).replace("</think>", r"<\/think>")
