"""The signature is the schema: a callable's keyword-only arguments are its configuration."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from agentrl.errors import ConfigError, suggestion


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
    """The keyword-only arguments of a function or class: its whole configuration.

    The `**rest` of a class's constructor stands for what its base's constructor takes.
    """
    target = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    hints, written = typing.get_type_hints(target), inspect.signature(target).parameters
    own = {
        name: Parameter(name, hints.get(name, Any), parameter.default)
        for name, parameter in written.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in written.values())
    return base_parameters(function) | own if isinstance(function, type) and open_ended else own


def base_parameters(owner: type) -> dict[str, Parameter]:
    """The arguments of the constructor that a class's own constructor hands `**rest` to."""
    makers = [kind for kind in owner.__mro__ if "__init__" in vars(kind) and kind is not object]
    return parameters(makers[1]) if len(makers) > 1 else {}


def checked_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a component, their values as its signature has them.

    Raises:
        ConfigError: an unknown name (with the closest known one) or a value of the wrong type.
    """
    known, checked = parameters(function), {}
    for name, value in arguments.items():
        if name not in known:
            raise unknown(function, name)
        checked[name] = checked_value(known[name], value, function.__name__)
    return checked


def unknown(function: Callable[..., Any], name: str) -> ConfigError:
    """The error of an argument that a component does not take."""
    hint = suggestion(name, list(parameters(function)))
    return ConfigError(f"unknown key {name!r} for {function.__name__}: {hint}", name)


@contextmanager
def making(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[None]:
    """Around a call with the arguments. Raises: ConfigError, naming one that it does not take."""
    try:
        yield
    except TypeError as error:  # Python's own words for it; any other one stays as it is
        for name in arguments:
            if f"unexpected keyword argument {name!r}" in str(error):
                raise unknown(function, name) from error
        raise


def written_arguments(function: Callable[..., Any], words: Iterable[str]) -> dict[str, Any]:
    """Arguments for a component, written `key=value`, each value as YAML reads it.

    Raises:
        ConfigError: what cannot be read, an unknown name or a value of the wrong type.
    """
    values = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {word!r}: write key=value, for example size=4")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"cannot read {word!r}: the value is not YAML") from None
    return checked_arguments(function, values)


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
