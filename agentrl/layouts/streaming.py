"""StreamBP: decoder layers forward and backward in chunks along the sequence, exact.

Source: arXiv 2506.03077; released code github Ledzy/StreamBP.
Tier: A.
Certainty: paper and code; the chunk size is ours to choose (the release takes 500 positions).
Differs: the learner only. `layer_chunk` positions of one layer exist at a time, in the backward
    pass too: chunk i is computed again from its input and the keys and values before it, from the
    last chunk to the first, and later chunks' gradients of keys and values wait for its turn.
    `head_chunk` does the same for the output head (`head.py`).
Assumes: full attention, no dropout, layers that only meet along the sequence in attention.
Edges: a chunk longer than the sequence is plain checkpointing of each layer; positions without a
    row are computed, their gradient is 0; without gradient nothing is kept or computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from agentrl.errors import ConfigError
from agentrl.layouts.attention import Inputs, causal, check, mask_for, visible


def streamed(model: Any, inputs: Inputs, chunk: int) -> torch.Tensor:
    """The last hidden states `[B, T, d]`; only layers' inputs are kept for the backward pass."""
    body = causal(model).base_model
    states: torch.Tensor = body.embed_tokens(inputs.ids)
    depth = inputs.depth
    if depth is None:
        depth = torch.arange(states.shape[1], device=states.device)[None]
    turns = tuple(body.rotary_emb(states, depth))
    precision = autocast_now(states.device.type)
    for module in body.layers[: body.config.num_hidden_layers]:
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        layer = Layer(model, module, turns, inputs.ends, chunk, precision)
        states = Streamed.apply(layer, states, *weights)  # type: ignore[no-untyped-call]
    hidden: torch.Tensor = body.norm(states)
    return hidden


def autocast_now(device: str) -> dict[str, Any]:
    """The autocast in force on a device, without its cache.

    A weight that was cast without gradient would come back from there without gradient.
    """
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return {"device_type": device, "dtype": dtype, "enabled": enabled, "cache_enabled": False}


def check_streaming(model: Any) -> None:
    """Refuse a model whose layers cannot be computed again by chunks. Raises: ConfigError."""
    check(model, "layer_chunk", masked=True)
    if getattr(causal(model).base_model, "gradient_checkpointing", False):
        raise ConfigError(
            "layer_chunk checkpoints every layer: set gradient_checkpointing to false"
        )
    dropped = causal(model).config.attention_dropout or any(
        isinstance(module, torch.nn.Dropout) and module.p for module in model.modules()
    )
    if dropped and model.training:
        raise ConfigError("layer_chunk computes layers twice, so they must agree: set dropout to 0")


def bounds(length: int, chunk: int) -> list[tuple[int, int]]:
    """Where chunks begin and end along a sequence."""
    return [(start, min(start + chunk, length)) for start in range(0, length, chunk)]


def attention_work(length: int, chunk: int) -> float:
    """Attention pairs of one streamed pass as a share of `length` squared, the plain pass.

    Formula: (1 + D) / 2D for D equal chunks
    """
    return sum((stop - start) * stop for start, stop in bounds(length, chunk)) / length**2


class Earlier:
    """A layer's keys and values before a chunk, in the place of a cache."""

    def __init__(self, *past: torch.Tensor) -> None:
        self.past = past
        self.own: tuple[torch.Tensor, ...] = ()
        self.all: tuple[torch.Tensor, ...] = ()

    def update(self, *given: Any, **_: Any) -> tuple[torch.Tensor, ...]:
        """The keys and values that the chunk sees: the earlier ones, then its own."""
        self.own = given[:2]
        pairs = zip(self.past, self.own, strict=True) if self.past else ()
        self.all = tuple(torch.cat(pair, 2) for pair in pairs) or self.own
        return self.all


class OnlyKeys(Earlier):
    """Stops a layer as soon as it has made its keys and values."""

    def update(self, *given: Any, **_: Any) -> tuple[torch.Tensor, ...]:
        """Keep the chunk's own."""
        self.own = given[:2]
        raise Enough


class Enough(Exception):  # noqa: N818 - nothing went wrong
    """A layer's keys and values are known."""


@dataclass(frozen=True)
class Layer:
    """One decoder layer, to be run on a part of a sequence."""

    model: Any
    module: Any
    turns: tuple[torch.Tensor, ...]
    """Cosines and sines `[1 or B, T, head size]` of the positions."""
    ends: torch.Tensor | None
    chunk: int
    precision: dict[str, Any]
    """The forward pass's autocast, for the backward pass to compute the same."""

    def __call__(self, states: torch.Tensor, start: int, earlier: Earlier) -> torch.Tensor:
        """The layer's output for the positions from `start` on, `states [B, chunk, d]`."""
        stop = start + states.shape[1]
        seen = visible(self.ends, start, stop, states.device)
        with torch.autocast(**self.precision):
            output: torch.Tensor = self.module(
                states,
                attention_mask=mask_for(self.model, seen, states.dtype),
                position_embeddings=tuple(part[:, start:stop] for part in self.turns),
                past_key_values=earlier,
            )
        return output

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """The whole sequence, chunk by chunk."""
        found: list[torch.Tensor] = []
        past: tuple[torch.Tensor, ...] = ()
        for start, stop in bounds(states.shape[1], self.chunk):
            earlier = Earlier(*past)
            found.append(self(states[:, start:stop], start, earlier))
            past = earlier.all
        return torch.cat(found, 1)

    def keys_values(self, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Keys and values `[B, heads, T, head size]` of the whole sequence."""
        made = [OnlyKeys() for _ in bounds(states.shape[1], self.chunk)]
        for earlier, (start, stop) in zip(made, bounds(states.shape[1], self.chunk), strict=True):
            try:
                self(states[:, start:stop], start, earlier)
            except Enough:  # it is how the layer is left early
                continue
        return tuple(torch.cat(parts, 2) for parts in zip(*(e.own for e in made), strict=True))

    def backward(
        self, states: torch.Tensor, flow: torch.Tensor, weights: Sequence[torch.Tensor]
    ) -> Iterator[tuple[int, list[torch.Tensor]]]:
        """From the last chunk to the first: its start, gradients of its input and the weights.

        `flow` is the gradient of the layer's output. A chunk's keys and values serve all later
        chunks too: what those give back is added up and flows in with its own output's gradient.
        """
        known = self.keys_values(states)
        waiting = [sum_like(part) for part in known]
        for start, stop in reversed(bounds(states.shape[1], self.chunk)):
            own = states[:, start:stop].detach().requires_grad_()
            past = [part[:, :, :start].detach().requires_grad_() for part in known]
            earlier = Earlier(*past)
            with torch.enable_grad():
                output = self(own, start, earlier)
            flows = [flow[:, start:stop], *(part[:, :, start:stop] for part in waiting)]
            outputs = [output, *earlier.own]
            flows = [part.to(made.dtype) for part, made in zip(flows, outputs, strict=True)]
            found = torch.autograd.grad(outputs, [own, *past, *weights], flows)
            for total, part in zip(waiting, found[1:3], strict=True):
                total[:, :, :start] += part
            yield start, [found[0], *found[3:]]


class Streamed(torch.autograd.Function):
    """A layer that keeps its input and nothing else."""

    @staticmethod
    def forward(ctx: Any, layer: Layer, states: torch.Tensor, *weights: torch.Tensor) -> Any:
        """The layer's output; `weights` are there to be given gradients."""
        ctx.layer = layer
        ctx.save_for_backward(states, *weights)
        return layer.forward(states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, flow: torch.Tensor) -> Any:
        """Gradients of the input and the weights."""
        states, *weights = ctx.saved_tensors
        inner = torch.zeros_like(states)
        totals = [sum_like(weight) for weight in weights]
        for start, (own, *parts) in ctx.layer.backward(states, flow, weights):
            inner[:, start : start + own.shape[1]] = own
            for total, part in zip(totals, parts, strict=True):
                total += part
        found = (total.to(weight.dtype) for total, weight in zip(totals, weights, strict=True))
        return None, inner, *found


def sum_like(tensor: torch.Tensor) -> torch.Tensor:
    """A sum of tensors like this one to add to: of many small ones, so at least in float32."""
    return torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
