"""A typed function as a tool: its signature is the schema, its docstring the description.

    def book(room: Literal["red", "blue"], people: int = 2) -> str: ...

    tool_of(book).schema     what chat templates and servers are told
    tool_of(book).call       checked arguments -> what the function returns, awaitable or not

Whatever pydantic understands is a type: literals, enums, dataclasses, models, constraints.
"""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, NotRequired, Protocol, get_type_hints

import docstring_parser
from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError, with_config
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json
from typing_extensions import TypedDict

from agentrl.errors import ConfigError, ToolInputError

MARK = "__agentrl_tool__"
"""The attribute of a method that `tool` marks."""
MAX_FLAWS = 4
"""Wrong arguments that one message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """Something that an agent may call."""

    name: str
    schema: Mapping[str, Any]
    """`{"type": "function", "function": {"name", "description", "parameters"}}`, as OpenAI's API
    and chat templates know it."""
    call: Callable[[Mapping[str, Any]], Any]
    """Arguments by name -> the result, or an awaitable of it; raises what it likes."""


class ToolSource(Protocol):
    """Where several tools come from, for example a server."""

    def tools(self) -> Sequence[Tool]:
        """What it offers now."""


Offer = Callable[..., Any] | Tool | ToolSource
"""What can be offered to an agent."""


def tool(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method of a `ToolEnv` as a tool that its agents may call."""
    setattr(method, MARK, True)
    return method


def marked(instance: object) -> list[Tool]:
    """The methods of an object that `tool` marks, as they are defined, base classes first."""
    names = dict.fromkeys(itertools.chain(*(vars(kind) for kind in type(instance).__mro__[::-1])))
    methods = [getattr(type(instance), name) for name in names]
    return [
        tool_of(getattr(instance, name))
        for name, method in zip(names, methods, strict=True)
        if getattr(method, MARK, False)
    ]


def tools_of(offers: Sequence[Offer]) -> list[Tool]:
    """Functions, tools and what sources offer, as tools."""
    found: list[Tool] = []
    for offer in offers:
        if isinstance(offer, Tool):
            found.append(offer)
        elif hasattr(offer, "tools"):
            found += offer.tools()
        else:
            found.append(tool_of(offer))
    return found


def tool_of(function: Callable[..., Any]) -> Tool:
    """A typed function, or a bound method, as a tool.

    Raises:
        ConfigError: a parameter without a type, one that cannot be given by name, or one whose type
            has no JSON schema.
    """
    signature = signature_of(getattr(function, "__func__", function))

    def call(arguments: Mapping[str, Any]) -> Any:
        try:
            given = signature.arguments.validate_python(dict(arguments))
        except ValidationError as error:
            raise ToolInputError(f"{signature.name}: {flaws(error)}") from error
        return function(**given)

    return Tool(name=signature.name, schema=signature.schema, call=call)


class Signature(NamedTuple):
    """What a function takes, worked out once."""

    name: str
    schema: Mapping[str, Any]
    arguments: TypeAdapter[Any]


@lru_cache(maxsize=1024)
def signature_of(function: Callable[..., Any]) -> Signature:
    """The schema and the validator of a function's arguments. Raises: ConfigError."""
    name = function.__name__
    told = docstring_parser.parse(inspect.getdoc(function) or "")
    about = {one.arg_name: " ".join((one.description or "").split()) for one in told.params}
    hints = get_type_hints(function, include_extras=True)
    fields = {
        parameter.name: field(name, parameter, hints, about.get(parameter.name, ""))
        for parameter in parameters(function)
    }
    record: Any = TypedDict(name, fields)  # type: ignore[misc]
    try:
        arguments = TypeAdapter(with_config({"extra": "forbid"})(record))
        schema = arguments.json_schema(schema_generator=Untitled)
    except PydanticUserError as error:
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(f"the tool {name} cannot be described as JSON: {reason}") from error
    described = {
        "name": name,
        "description": (told.description or "").strip(),
        "parameters": inlined(schema),
    }
    return Signature(name, {"type": "function", "function": described}, arguments)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What can be given by name, without `self`. Raises: ConfigError."""
    found = list(inspect.signature(function).parameters.values())
    if found and found[0].name == "self":
        found = found[1:]
    for parameter in found:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"the tool {function.__name__} has the parameter {str(parameter)!r}: tools take "
                "arguments by name only"
            )
    return found


def field(
    function: str, parameter: inspect.Parameter, hints: Mapping[str, Any], description: str
) -> Any:
    """One parameter as a field of a TypedDict. Raises: ConfigError."""
    if parameter.name not in hints:
        raise ConfigError(
            f"the tool {function} says no type for {parameter.name!r}: write one, such as "
            f"{parameter.name}: str"
        )
    optional = parameter.default is not parameter.empty
    extra = {"default": plain(parameter.default)} if optional else None
    told = Field(description=description or None, json_schema_extra=extra)
    kind: Any = Annotated[hints[parameter.name], told]
    return NotRequired[kind] if optional else kind


class Untitled(GenerateJsonSchema):
    """Schemas without a title for every field: it repeats the name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its definitions where they are used, for templates that follow no `$ref`.

    Definitions that hold themselves stay apart.
    """
    shared = schema.get("$defs", {})
    recursive = {name for name in shared if _reaches(shared, name, name)}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if name in shared and name not in recursive:
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return walk({**shared[name], **beside})
        return {key: walk(value) for key, value in node.items() if not _title(key, value)}

    kept = {name: walk(shared[name]) for name in shared if name in recursive}
    whole = walk({key: value for key, value in schema.items() if key != "$defs"})
    return {**whole, **({"$defs": kept} if kept else {})}


def _title(key: str, value: Any) -> bool:
    """Whether this is a schema's own title, and no property of that name."""
    return key == "title" and isinstance(value, str)


def _reaches(shared: Mapping[str, Any], start: str, wanted: str) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        text = json.dumps(shared[waiting.pop()])
        found = {name for name in shared if f'"#/$defs/{name}"' in text}
        if wanted in found:
            return True
        waiting += found - seen
        seen |= found
    return False


def flaws(error: ValidationError) -> str:
    """What is wrong with arguments, in one line."""
    found = error.errors(include_url=False, include_context=False)
    told = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in found]
    more = [f"{len(told) - MAX_FLAWS} more"] if len(told) > MAX_FLAWS else []
    return "; ".join([*told[:MAX_FLAWS], *more])


def shown(value: Any) -> str:
    """A tool's result as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value, fallback=str).decode()


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return json.loads(to_json(value, fallback=str))
