"""Records and their slots as data: names -> parts and back, and where an error was written."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agentrl.algorithms import algorithm as named_algorithm
from agentrl.algorithms.base import Algorithm, Part, part
from agentrl.errors import ConfigError, suggestion
from agentrl.signature import parameters
from agentrl.yamlfile import plain

SLOTS = {
    "advantage": "agentrl.advantages",
    "weighting": "agentrl.weightings",
    "loss": "agentrl.losses",
    "penalty": "agentrl.penalties",
    "shape": "agentrl.rewards",
    "keep": "agentrl.keeps",
    "sampler": "agentrl.samplers",
    "strategy": "agentrl.strategies",
    "penalty_weighting": "agentrl.weightings",
    "reference": "agentrl.references",
}
"""Where each slot's components are looked up by name; `module:function` takes one from anywhere."""


def build_algorithm(value: Any) -> tuple[str, Algorithm]:
    """A record from its name, or from a mapping with changed slots. Raises: ConfigError."""
    slots = named("algorithm", value)
    name = slots.pop("name", "grpo")
    with keyed("algorithm"):
        with about("algorithm.name"):
            record = named_algorithm(text("algorithm", name))
        for slot in slots:
            if slot not in SLOTS:
                raise ConfigError(f"unknown slot {slot!r}: {suggestion(slot, list(SLOTS))}", slot)
        changes = {slot: slot_part(record.parts, slot, given) for slot, given in slots.items()}
        for slot in ("advantage", "weighting", "loss", "sampler", "strategy"):
            if slot in changes and changes[slot] is None:
                raise ConfigError(f"the slot {slot} cannot be null: every algorithm has one", slot)
        return name, record.but(**changes)


def slot_part(known: Mapping[str, Part], slot: str, value: Any) -> Part | None:
    """A slot's part: null empties it, a name replaces it, other keys change its arguments."""
    if value is None:
        return None
    arguments = named(slot, value)
    name, current = arguments.pop("name", None), known.get(slot)
    with keyed(slot):
        if current is not None and name in (None, current.name, slot_name(slot, current)):
            return current.but(**_with_inner(slot, current.function, current, arguments))
        if name is None:
            raise ConfigError(f"the slot {slot} is empty in this algorithm: give it a name", slot)
        function = component(slot, text(slot, name))
        return part(function, **_with_inner(slot, function, None, arguments))


def _with_inner(
    slot: str, function: Any, current: Part | None, arguments: dict[str, Any]
) -> dict[str, Any]:
    """The arguments with those that are parts themselves looked up in the same slot."""
    known = {} if current is None else current.inner
    found = dict(arguments)
    for name, parameter in parameters(function).items():
        if parameter.type is Part and name in arguments:
            before = known.get(name, parameter.default)
            found[name] = slot_part({slot: before}, slot, arguments[name])
    return found


def described(slot: str, value: Part) -> dict[str, Any]:
    """A part as YAML knows it, inner parts included."""
    settings = {
        name: described(slot, setting) if isinstance(setting, Part) else plain(setting)
        for name, setting in value.settings.items()
    }
    return {"name": slot_name(slot, value), **settings}


def slot_name(slot: str, value: Part) -> str:
    """What `component` finds a part by: its name, or `module:function` if it is not one of ours."""
    home = value.function.__module__
    return value.name if home == SLOTS.get(slot) else f"{home}:{value.name}"


def component(slot: str, name: str) -> Any:
    """A slot's component by name or as `module:function`. Raises: ConfigError."""
    module, _, attribute = name.rpartition(":")
    home = _import(module or SLOTS[slot])
    ours = {n: f for n, f in vars(home).items() if callable(f)}
    if not module:  # what the module only imports is no component of its own
        ours = {n: f for n, f in ours.items() if f.__module__ == home.__name__}
    if attribute not in ours:
        raise ConfigError(f"unknown {slot} {name!r}: {suggestion(attribute, list(ours))}", "name")
    return ours[attribute]


def named(section: str, value: Any, key: str = "name") -> dict[str, Any]:
    """A section's arguments; a text alone is its name."""
    return {key: value} if isinstance(value, str) else mapping(value, section)


def mapping(value: Any, name: str) -> dict[str, Any]:
    """A section's keys. Raises: ConfigError if it is no mapping of texts."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is {value!r}: give a mapping of keys", name)
    for key in value:
        if not isinstance(key, str):  # YAML reads `on`, `no` and `1` as something else
            raise ConfigError(f"the key {key!r} is no text: write it in quotes", name)
    return dict(value)


def text(name: str, value: Any) -> str:
    """A name. Raises: ConfigError if it is no text."""
    if not isinstance(value, str):
        raise ConfigError(f"{name}.name is {value!r}: give a name", "name")
    return value


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"cannot import {module!r}: {error}", "name") from error


@contextmanager
def keyed(section: str) -> Iterator[None]:
    """Errors from inside get this section's name in front of their key."""
    try:
        yield
    except ConfigError as error:
        if not f"{error.key}.".startswith(f"{section}."):
            error.key = f"{section}.{error.key}" if error.key else section
        raise


@contextmanager
def about(key: str) -> Iterator[None]:
    """Errors from inside are about this key, whatever they say."""
    try:
        yield
    except ConfigError as error:
        error.key = key
        raise
