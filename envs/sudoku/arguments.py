"""Checks of the constructor's arguments."""

from __future__ import annotations

from agentrl.errors import ConfigError, suggestion


def whole(name: str, value: int, least: int, most: int | None = None, why: str = "") -> int:
    """A whole number within bounds. Raises: ConfigError, naming the argument and the fix."""
    if not isinstance(value, int) or value < least or (most is not None and value > most):
        limit = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name}={value!r}: give a whole number {limit}{why}")
    return value


def one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    """One of the known values. Raises: ConfigError, with the closest known one."""
    if value not in known:
        raise ConfigError(f"{name}: unknown value {value!r}; {suggestion(str(value), list(known))}")
    return value
