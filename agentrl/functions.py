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
from functools import lru_cache, partial
from types import MethodType
from typing import Annotated, Any, NamedTuple, NotRequired, Protocol, get_type_hints

import docstring_parser
from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError, with_config
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_json
from typing_extensions import TypedDict

from agentrl.errors import ConfigError, ToolInputError, boundary

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
    setattr(getattr(method, "__func__", method), MARK, True)  # static and class methods hold it
    return method


def marks(kind: type) -> list[str]:
    """The names of a class's methods that `tool` marks, as defined, base classes first."""
    names = dict.fromkeys(itertools.chain(*(vars(base) for base in kind.__mro__[::-1])))
    return [name for name in names if getattr(getattr(kind, name, None), MARK, False)]


def marked(instance: object) -> list[Tool]:
    """The methods of an object that `tool` marks."""
    return [tool_of(getattr(instance, name)) for name in marks(type(instance))]


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
    """A typed function as a tool, or anything else that is called: methods, partials, instances.

    Raises:
        ConfigError: a parameter without a type, one that cannot be given by name, or one whose type
            is not found or has no JSON schema; something without a name or a signature.
    """
    call = Checked(function)
    return Tool(name=call.signature.name, schema=call.signature.schema, call=call)


@dataclass(frozen=True, slots=True)
class Checked:
    """A function behind its signature; it pickles wherever the function does."""

    function: Callable[..., Any]

    @property
    def signature(self) -> Signature:
        """What it takes, without `self` where it is bound to it."""
        bound = isinstance(self.function, MethodType)
        plain = getattr(self.function, "__func__", self.function) if bound else self.function
        return signature_of(plain, bound)

    def __call__(self, arguments: Mapping[str, Any]) -> Any:
        """The result. Raises: ToolInputError where the arguments are none of its."""
        signature = self.signature
        try:
            given = signature.arguments.validate_python(dict(arguments))
        except ValidationError as error:
            raise ToolInputError(f"{signature.name}: {flaws(error)}") from error
        return self.function(**given)


class Signature(NamedTuple):
    """What a function takes, worked out once."""

    name: str
    schema: Mapping[str, Any]
    arguments: TypeAdapter[Any]


@lru_cache(maxsize=1024)
def signature_of(function: Callable[..., Any], bound: bool = False) -> Signature:
    """The schema and the validator of a function's arguments, `bound` without the first one.

    Raises: ConfigError.
    """
    source = origin(function)
    name = getattr(source, "__name__", type(source).__name__)
    if not name.isidentifier():
        raise ConfigError(f"a tool needs a name that calls can hold, not {name!r}: use def")
    undefined = f"the tool {name} has no signature, or a type that its module does not define"
    with boundary(ConfigError, undefined):
        hints = get_type_hints(typed(source), include_extras=True)
        taken = list(inspect.signature(function).parameters.values())[int(bound) :]
    text = inspect.getdoc(typed(source)) or inspect.getdoc(source)
    told = docstring_parser.parse(text or "")
    about = {one.arg_name: " ".join((one.description or "").split()) for one in told.params}
    fields = {
        parameter.name: field(name, parameter, hints, about.get(parameter.name, ""))
        for parameter in parameters(name, taken, getattr(function, "keywords", {}))
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


def origin(function: Any) -> Any:
    """What a partial was made of, else the function itself."""
    return origin(function.func) if isinstance(function, partial) else function


def typed(function: Any) -> Any:
    """Where the types of something that can be called are written."""
    if isinstance(function, type):
        return function.__init__  # type: ignore[misc]
    return function if hasattr(function, "__name__") else type(function).__call__


def parameters(
    function: str, taken: Sequence[inspect.Parameter], fixed: Mapping[str, Any]
) -> list[inspect.Parameter]:
    """What can be given by name, without what a partial has `fixed`. Raises: ConfigError."""
    found = [parameter for parameter in taken if parameter.name not in fixed]
    for parameter in found:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"the tool {function} has the parameter {str(parameter)!r}: tools take "
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
    extra = default(parameter.default) if optional else None
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
    return " ".join("; ".join([*told[:MAX_FLAWS], *more]).split())


def shown(value: Any) -> str:
    """A tool's result as text: strings as they are, everything else as JSON where it has a form."""
    if isinstance(value, str):
        return value
    try:
        return to_json(value, fallback=str).decode()
    except (PydanticSerializationError, ValueError):  # bytes that are no text; what holds itself
        return repr(value)


def default(value: Any) -> dict[str, Any]:
    """A default for a schema; empty for what JSON cannot say, for example an object."""
    try:
        return {"default": json.loads(to_json(value, inf_nan_mode="strings"))}
    except (PydanticSerializationError, ValueError):  # the call has it all the same
        return {}
