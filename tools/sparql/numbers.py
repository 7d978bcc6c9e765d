"""Numbers among a client's settings, checked when it is made: a wrong one would fail mid-run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from agentrl.errors import ConfigError

LEAST: Mapping[str, int] = {
    **dict.fromkeys(("error_chars", "engines", "memory_mb"), 1),
    **dict.fromkeys(("max_rows", "count_rows", "retries", "concurrent"), 0),
}
"""The least value of whole numbers."""
AMOUNTS = ("backoff_seconds", "longest_wait_seconds", "per_second")
"""Other numbers, from 0."""
SPANS = ("query_seconds", "probe_seconds", "load_seconds", "max_mb")
"""Other numbers, above 0."""


def check(client: Any) -> None:
    """Refuse numbers that no client can work with; None is left for those that may be it.

    Raises:
        ConfigError: with the setting's name.
    """
    for name, optional in ((each.name, each.default is None) for each in fields(client)):
        value = getattr(client, name)
        if value is None and optional:
            continue
        if name in LEAST and not (type(value) is int and value >= LEAST[name]):
            raise ConfigError(f"{name} is {value!r}: give a whole number from {LEAST[name]}", name)
        if name in AMOUNTS and not (_is_number(value) and value >= 0):
            raise ConfigError(f"{name} is {value!r}: give a number from 0", name)
        if name in SPANS and not (_is_number(value) and value > 0):
            raise ConfigError(f"{name} is {value!r}: give a number above 0", name)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
