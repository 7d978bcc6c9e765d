"""What an evaluation's requests took, in tokens and in dollars, and the limit on it.

Prices are the user's: a YAML file of US dollars per million tokens, by model.

    small-model: {input: 0.15, output: 0.60, cached: 0.075}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agentrl.backends.http.answer import Counted
from agentrl.errors import ConfigError, PolicyError, suggestion
from agentrl.types import Usage

MILLION = 1e6


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of input that the server had cached; without it such input costs like any."""

    def dollars(self, counted: Counted) -> float:
        """Of one request."""
        prompt, cached = counted.prompt_tokens or 0, counted.cached
        cheap = self.input if self.cached is None else self.cached
        total = (prompt - cached) * self.input + cached * cheap
        return (total + (counted.completion_tokens or 0) * self.output) / MILLION


def read_price(path: str, model: str) -> Price:
    """A model's price in a file. Raises: ConfigError."""
    try:
        table = TypeAdapter(dict[str, Price]).validate_python(
            yaml.safe_load(Path(path).read_text())
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read prices={path!r}: give a YAML file ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the table"
        raise ConfigError(
            f"{path}: {place}: {first['msg']}: write `model: {{input: 0.15, output: 0.60}}`, US "
            "dollars per million tokens"
        ) from error
    if model not in table:
        raise ConfigError(f"{path} has no price for {model!r}: {suggestion(model, list(table))}")
    return table[model]


class Account:
    """The requests of one evaluation. `limit` is in dollars, None for none."""

    def __init__(self, price: Price | None, limit: float | None = None) -> None:
        self.price = price
        self.limit = limit
        self.requests = 0
        self.spent = Usage()
        self.refused = 0
        """Requests that were not sent because of the limit: each ended an attempt."""

    def admit(self) -> None:
        """Refuse a request once the limit is reached. Raises: PolicyError."""
        if self.limit is not None and self.spent.dollars >= self.limit:
            self.refused += 1
            raise PolicyError(
                f"not played on: the limit of ${self.limit:g} is reached "
                f"(${self.spent.dollars:.4f} spent)"
            )

    def charge(self, counted: Counted | None) -> Usage:
        """Count a request; what it took."""
        counted = counted or Counted()
        dollars = self.price.dollars(counted) if self.price else 0.0
        usage = Usage(counted.prompt_tokens or 0, counted.completion_tokens or 0, dollars)
        self.requests += 1
        before = self.spent
        self.spent = Usage(
            before.prompt + usage.prompt,
            before.completion + usage.completion,
            before.dollars + dollars,
        )
        return usage

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `dollars` is null where no price is known."""
        return {
            "requests": self.requests,
            "prompt_tokens": self.spent.prompt,
            "completion_tokens": self.spent.completion,
            "dollars": round(self.spent.dollars, 6) if self.price else None,
        }
