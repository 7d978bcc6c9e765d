"""What the environment's arguments may be, where names are chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentrl.errors import ConfigError, suggestion

Source = Literal["generated", "official"]
Size = Literal["tiny", "small", "medium", "official"]
Test = Literal["valid_unseen", "valid_seen"]
Goals = Literal["template", "human"]
Texts = Literal["full", "short"]
CHOICES = {"source": Source, "size": Size, "test": Test, "goals": Goals, "texts": Texts}
PARTS = ("solved", "progress", "invalid")


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that an argument cannot have. Raises: ConfigError."""
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}; {suggestion(value, list(allowed))}")
