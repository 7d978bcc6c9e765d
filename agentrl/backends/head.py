"""An output head that multiplies in float32, in a model of any precision.

Logits that are rounded to 16 bits are one part of the noise between two implementations of a 16-bit
model; in models with large activations before the head it is most of it (MiniMax-M1, arXiv
2506.13585). The weights stay as they are: tied ones tied, checkpoints unchanged, an engine is sent
the same tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

from agentrl.errors import ConfigError


class Float32Head(torch.nn.Linear):
    """A linear layer whose product is made in float32, under autocast too.

    Costs a float32 copy of the weights while a forward and its backward pass run.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits `[..., V]` in float32."""
        with torch.autocast(input.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return linear(input.float(), self.weight.float(), bias)


def float32_head(model: Any) -> None:
    """Give a causal language model such a head. Raises: ConfigError if its head is no plain one."""
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear:
        raise ConfigError(
            f"model.head is float32, but {type(model).__name__} has a {type(head).__name__} as its "
            "head and no Linear: leave it at same",
            "head",
        )
    head.__class__ = (
        Float32Head  # a copy of the model, such as the reference, keeps its own weights
    )
