"""The signature is the schema: a callable's keyword-only arguments are its configuration."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from agentrl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword-only argument of a component."""

    name: str
    type: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The keyword-only arguments of a function or class: its whole configuration."""
    target = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    hints = typing.get_type_hints(target)
    return {
        name: Parameter(name, hints.get(name, Any), parameter.default)
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def checked_value(parameter: Parameter, value: Any, owner: str) -> Any:
    """`value` as the parameter's type. Raises: ConfigError."""
    try:
        arbitrary = ConfigDict(arbitrary_types_allowed=True)
        try:
            adapter = TypeAdapter(parameter.type, config=arbitrary)
        except Exception:  # pydantic refuses a config on types that carry their own
            adapter = TypeAdapter(parameter.type)
        return adapter.validate_python(value)
    except ValidationError as error:
        reason, wanted = error.errors()[0]["msg"], type_name(parameter.type)
        raise ConfigError(
            f"{owner}.{parameter.name} is {value!r}: {reason} (expected {wanted})", parameter.name
        ) from None


def type_name(annotation: Any) -> str:
    """A type as a reader would write it."""
    plain = isinstance(annotation, type) and not typing.get_args(annotation)
    text = annotation.__name__ if plain else str(annotation)
    return text.replace("typing.", "").replace("collections.abc.", "")
