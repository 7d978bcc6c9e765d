"""From lines of tokens to what the model says of each row; what all layouts share.

A row is read at the position that predicts it. Several rows may be read at one position (a shared
prefix): each keeps an entry of its own, so a loss clips them one by one and autograd adds up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.utils.checkpoint import checkpoint

from agentrl.errors import ConfigError
from agentrl.layouts.attention import Inputs, causal, check, mask_for, visible
from agentrl.layouts.base import Rows
from agentrl.layouts.streaming import check_streaming, streamed

Project = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Chunks:
    """How many positions are computed at a time; 0 is all of them."""

    head: int = 0
    """By the output head: logits of one chunk exist at a time, and again in the backward pass."""
    layer: int = 0
    """By the decoder layers (`streaming.py`)."""

    def check(self, model: Any) -> None:
        """Refuse numbers and models that cannot be chunked. Raises: ConfigError."""
        for name, size in (("head_chunk", self.head), ("layer_chunk", self.layer)):
            if size < 0:
                raise ConfigError(f"learner.{name} is {size}: give positions at a time, 0 for all")
        if self.head:
            check(model, "head_chunk", masked=False)
        if self.layer:
            check_streaming(model)


class Places(NamedTuple):
    """Where the positions that predict some rows are."""

    line: torch.Tensor
    """`[p]` of each distinct position."""
    column: torch.Tensor
    """`[p]`."""
    of_row: torch.Tensor
    """`[m]` index of each row's position."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What predicts some rows: the logits of their positions, or what they are made from."""

    places: Places
    logits: torch.Tensor | None
    """`[p, V]`; None where the head runs in chunks."""
    hidden: torch.Tensor | None
    """`[p, d]` last hidden states, where a head needs them."""
    project: Project
    """The output head: hidden states -> logits."""
    chunk: int = 0

    def rows(
        self,
        targets: torch.Tensor,
        *,
        temperature: float = 1.0,
        entropy: bool = False,
        head: torch.nn.Module | None = None,
    ) -> Rows:
        """Log-probs of the rows' tokens `targets [m]`, entropies and values at their positions."""
        place = self.places.of_row
        read = partial(score, temperature=temperature, entropy=entropy)
        targets = targets.to(place.device)
        if self.logits is not None:
            logprobs, spread = read(self.logits, place, targets)
        elif self.hidden is not None:
            logprobs, spread = in_chunks(
                self.hidden, self.project, place, targets, read=read, chunk=self.chunk
            )
        return Rows(logprobs, spread, self.values(head))

    def values(self, head: torch.nn.Module | None) -> torch.Tensor | None:
        """A value head's estimates `[m]`, in the head's own precision."""
        if head is None or self.hidden is None:
            return None
        with torch.autocast(self.hidden.device.type, enabled=False):
            values: torch.Tensor = head(self.hidden.to(next(head.parameters()).dtype))
        return values[:, 0][self.places.of_row]


def score(
    logits: torch.Tensor,
    place: torch.Tensor,
    targets: torch.Tensor,
    *,
    temperature: float = 1.0,
    entropy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probs `[m]` of tokens, and entropies, in nats of the tempered distributions `[p, V]`."""
    logits = logits.float() / (temperature or 1.0)
    normaliser = logits.logsumexp(-1)
    logprobs = logits[place, targets] - normaliser[place]
    if not entropy:
        return logprobs, None
    return logprobs, (normaliser - (logits.softmax(-1) * logits).sum(-1))[place]


def in_chunks(
    hidden: torch.Tensor,
    project: Project,
    place: torch.Tensor,
    targets: torch.Tensor,
    *,
    read: Callable[..., tuple[torch.Tensor, torch.Tensor | None]] = score,
    chunk: int = 0,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`score` of projected states `[p, d]`, `chunk` positions at a time: equal for every loss.

    Logits are not kept: the backward pass makes each chunk's again.
    """

    def one(states: torch.Tensor, places: torch.Tensor, tokens: torch.Tensor) -> Any:
        return read(project(states), places, tokens)

    size = chunk or max(1, len(hidden))
    order = torch.argsort(place, stable=True)
    starts = torch.arange(0, max(1, len(hidden)), size, device=place.device)
    cuts = torch.searchsorted(place[order], starts[1:]).tolist()
    found = []
    for start, rows in zip(starts.tolist(), order.tensor_split(cuts), strict=True):
        states = hidden[start : start + size]
        given = (states, place[rows] - start, targets[rows])
        found.append(checkpoint(one, *given, use_reentrant=False) if chunk else one(*given))
    back = torch.argsort(order)
    logprobs, spread = zip(*found, strict=True)
    return torch.cat(logprobs)[back], None if spread[0] is None else torch.cat(spread)[back]


def predict(
    model: Any,
    inputs: Inputs,
    line: torch.Tensor,
    before: torch.Tensor,
    *,
    hidden: bool = False,
    chunks: Chunks = Chunks(),
) -> Predictions:
    """What the positions `before [m]` of lines `line [m]` predict; with `hidden`, states too."""
    chunks.check(model)
    device = next(model.parameters()).device
    width = inputs.ids.shape[1]
    at, of_row = torch.unique(line * width + before, return_inverse=True)
    places = Places((at // width).to(device), (at % width).to(device), of_row.to(device))
    inputs, project = inputs.to(device), causal(model).get_output_embeddings()
    if chunks.layer:
        states = streamed(model, inputs, chunks.layer)
    elif chunks.head:
        states = last_hidden(model, inputs)
    else:
        return whole(model, inputs, places, hidden=hidden)
    return Predictions(places, None, states[places.line, places.column], project, chunks.head)


def whole(model: Any, inputs: Inputs, places: Places, *, hidden: bool) -> Predictions:
    """All logits at once, by the model's own forward."""
    columns, compact = torch.unique(places.column, return_inverse=True)
    output = model(**arguments(model, inputs), logits_to_keep=columns, output_hidden_states=hidden)
    states = output.hidden_states[-1][places.line, places.column] if hidden else None
    logits = output.logits[places.line, compact]
    return Predictions(places, logits, states, causal(model).get_output_embeddings())


def last_hidden(model: Any, inputs: Inputs) -> torch.Tensor:
    """The last hidden states `[B, T, d]` by the model's own forward, which makes no logits."""
    kept: list[torch.Tensor] = []
    keep = causal(model).base_model.register_forward_hook(
        lambda module, given, output: kept.append(output.last_hidden_state)
    )
    none = torch.empty(0, dtype=torch.int64, device=inputs.ids.device)
    try:
        model(**arguments(model, inputs), logits_to_keep=none)
    finally:
        keep.remove()
    return kept[0]


def arguments(model: Any, inputs: Inputs) -> dict[str, Any]:
    """What a model's forward is called with."""
    given = {"input_ids": inputs.ids, "attention_mask": inputs.filled, "use_cache": False}
    if inputs.ends is None:
        return given
    seen = visible(inputs.ends, 0, inputs.ids.shape[1], inputs.ids.device)
    mask = mask_for(model, seen, next(model.parameters()).dtype)
    return {**given, "attention_mask": mask, "position_ids": inputs.depth}
