"""What a layout answers: the log-prob (and entropy, and value) of each row of the table.

A layout decides how samples become tensors; gradients are equal whichever is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch

from agentrl.table import Table


class Rows(NamedTuple):
    """What the model says of some rows `[m]`, with gradient."""

    logprobs: torch.Tensor
    entropy: torch.Tensor | None = None
    values: torch.Tensor | None = None
    """A value head's estimate at the position that predicts each row's token."""


class Batch(Protocol):
    """Some samples as tensors."""

    rows: torch.Tensor
    """Table rows `[m]` in this batch."""


class Layout(Protocol):
    """How samples become tensors."""

    def check(self, model: Any) -> None:
        """Refuse a model that this layout cannot run. Raises: ConfigError."""

    def batches(self, table: Table, token_budget: int) -> Iterator[Any]:
        """The table's samples in micro-batches of about `token_budget` tokens."""

    def forward(
        self,
        model: Any,
        batch: Any,
        *,
        temperature: float = 1.0,
        entropy: bool = False,
        head: torch.nn.Module | None = None,
    ) -> Rows:
        """What the model says of the batch's rows, in nats of the tempered distribution.

        `head` maps the last hidden state at the predicting position to a value.
        """
