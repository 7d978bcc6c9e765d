"""When calls equal their reference, and when a text has EGPO's form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.calls import Called, CallFormat
from agentrl.types import Parse, ToolCall

THINK, THOUGHT = "<think>", "</think>"
Defaults = Mapping[str, Mapping[str, Any]]
"""Default values: by tool, by parameter."""


def well_formed(text: str, heard: Called) -> bool:
    """Whether a text is one thought block, which may be empty, then calls, and nothing else."""
    single = text.count(THINK) == text.count(THOUGHT) == 1
    begins = text.lstrip().startswith(THINK)
    return single and begins and heard.status is Parse.OK and not heard.content


def same_values(
    calls: Sequence[ToolCall], reference: Sequence[ToolCall], defaults: Defaults
) -> bool:
    """Whether two lists hold the same calls by value, in any order.

    An argument that is left out equals its default; 1 equals 1.0, and never true.
    """
    first, second = (sorted(canonical(c, defaults) for c in some) for some in (calls, reference))
    return first == second


def same_text(text: str, reference: Sequence[ToolCall], form: CallFormat) -> bool:
    """Whether what follows the thought is the reference as `form` writes it, but for spaces."""
    said = text.rpartition(THOUGHT)[2]
    return said.split() == form.write(reference).split()


def canonical(call: ToolCall, defaults: Defaults) -> str:
    """A call as text, equal for equal calls."""
    known = defaults.get(call.name, {})
    given = {name: plain(value) for name, value in call.arguments.items()}
    kept = {
        name: value
        for name, value in given.items()
        if name not in known or json.dumps(value) != json.dumps(plain(known[name]))
    }
    return json.dumps([call.name, kept], sort_keys=True)


def plain(value: Any) -> Any:
    """A JSON value in which whole numbers are integers and keys are in order."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value)}
    return [plain(item) for item in value] if isinstance(value, list) else value


def defaults_of(schemas: Sequence[Mapping[str, Any]]) -> Defaults:
    """The default values that schemas of functions say."""
    return {
        schema["name"]: {
            name: field["default"]
            for name, field in schema["parameters"].get("properties", {}).items()
            if "default" in field
        }
        for schema in schemas
    }
