"""Calls that the AST checker accepts, read out of its own lists of possible answers.

    {"f": {"x": [1, 2], "unit": ["", "m"], "at": [{"city": ["Rome"], "zip": [""]}]}}
    f(x=1, unit="m", at={"city": "Rome"})

`""` in a list says that the parameter may be left out. Objects hold such lists too, but objects in
objects are values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.bfcl.data import Entry
from agentrl.envs.bfcl.package import written
from agentrl.types import ToolCall


def calls(entry: Entry, dots: bool) -> list[ToolCall]:
    """One call for each of the entry's gold, with the first values that are given.

    Parameters that the function's document does not know are left out: the checker refuses them.
    """
    known = {one["name"]: one["parameters"] for one in entry.functions}
    return [
        ToolCall(written(name, dots), _arguments(options, known[name]))
        for one in entry.gold
        for name, options in one.items()
    ]


def _arguments(options: Mapping[str, Sequence[Any]], known: Mapping[str, Any]) -> dict[str, Any]:
    given = _first(options).items()
    found = {name: _value(value) for name, value in given if name in known["properties"]}
    empty = [name for name in known["required"] if options.get(name) == [""]]
    return found | dict.fromkeys(empty, "")


def _first(options: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The first value of each key, without the keys that may only be left out."""
    given = {name: [value for value in values if value != ""] for name, values in options.items()}
    return {name: values[0] for name, values in given.items() if values}


def _value(value: Any) -> Any:
    """A possible answer as a value: its objects with one value for each key."""
    if isinstance(value, Mapping):
        return _first(value)
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value
