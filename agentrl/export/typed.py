"""A tool's JSON schema as a typed Python function: what libraries read tools from that take these.

They read names, types and descriptions of the parameters from the signature and from a docstring in
Google's form, so both are written here from the schema.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any, Literal

from agentrl.errors import ConfigError
from agentrl.functions import Tool

KINDS: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "object": dict,
    "null": type(None),
}


def method(tool: Tool, call: Callable[..., str]) -> Callable[..., str]:
    """A method with a tool's name, signature and description; it calls `call(self, arguments)`.

    Optional parameters default to None, which is not passed on.

    Raises:
        ConfigError: a name that Python cannot hold.
    """
    told = tool.schema["function"]
    schema = told.get("parameters") or {}
    if wrong := [name for name in (tool.name, *_fields(schema)) if not _is_name(name)]:
        raise ConfigError(
            f"the tool {tool.name!r} has the name {wrong[0]!r}, which is none in Python: export "
            "the environment with native=False"
        )
    required = set(schema.get("required", ()))
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name, field in sorted(_fields(schema).items(), key=lambda item: item[0] not in required):
        default = inspect.Parameter.empty if name in required else None
        kind = hint(field) if name in required else hint(field) | None
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
        )

    def called(self: Any, **arguments: Any) -> str:
        given = {name: value for name, value in arguments.items() if value is not None}
        return call(self, given)

    called.__name__ = called.__qualname__ = tool.name
    called.__doc__ = _docstring(told, _fields(schema))
    called.__annotations__ = {one.name: one.annotation for one in parameters[1:]} | {"return": str}
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        parameters, return_annotation=str
    )
    return called


def hint(schema: Mapping[str, Any]) -> Any:
    """The Python type of a JSON schema; `Any` where Python has no word for it."""
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if choices := schema.get("anyOf"):
        found = hint(choices[0])
        for choice in choices[1:]:
            found |= hint(choice)
        return found
    if schema.get("type") == "array":
        items = hint(schema.get("items", {}))
        return list if items is Any else list.__class_getitem__(items)
    return KINDS.get(schema.get("type", ""), Any)


def _fields(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return schema.get("properties") or {}


def _docstring(told: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]]) -> str:
    """Every parameter needs a line; readers take what follows a colon, so a name stands in."""
    lines = [_line(told.get("description") or told["name"])]
    if fields:
        lines += ["", "Args:"]
        lines += [
            f"    {name}: {_line(one.get('description') or name)}" for name, one in fields.items()
        ]
    return "\n".join([*lines, "", "Returns:", "    What it says."])


def _is_name(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name) and name != "self"


def _line(text: str) -> str:
    return " ".join(text.split())
