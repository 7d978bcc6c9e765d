"""Key-value caches of finished sequences, found again by their exact token ids.

After a completion the engine keeps the keys and values of every token it fed. The next turn's
context begins with those ids, so it is found by content: no session names, branches share a prefix
for free, and a changed history is simply a miss.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from agentrl.types import Ids


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values in a buffer that is filled in place instead of being copied."""

    def __init__(self, buffer: torch.Tensor, filled: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.buffer = buffer
        self.filled = filled
        self.dtype, self.device = buffer.dtype, buffer.device
        self.is_initialized = True
        self._expose()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; returns everything so far, `[batch, heads, T, head_dim]` each."""
        end = self.filled + key_states.shape[-2]
        self.buffer[0, :, :, self.filled : end] = key_states
        self.buffer[1, :, :, self.filled : end] = value_states
        self.filled = end
        return self._expose()

    def get_seq_length(self) -> int:
        """Columns filled."""
        return self.filled

    def keep(self, rows: torch.Tensor) -> None:
        """Drop the rows that are not listed."""
        self.buffer = self.buffer[:, rows]
        self._expose()

    def _expose(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Point `keys` and `values`, which transformers reads, at what is filled."""
        keys, values = self.buffer[0, :, :, : self.filled], self.buffer[1, :, :, : self.filled]
        self.keys, self.values = keys, values
        return keys, values


class PrefixStore:
    """Finished sequences' keys and values by their ids, the least recently used dropped first."""

    def __init__(self, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self.num_tokens = 0
        self._entries: OrderedDict[bytes, tuple[int, torch.Tensor]] = OrderedDict()

    def put(self, ids: Ids, states: torch.Tensor) -> None:
        """Keep `states` `[layers, 2, heads, T, head_dim]` for exactly `ids` `[T]`."""
        key = ids.tobytes()
        if key in self._entries:
            return
        self._entries[key] = (len(ids), states)
        self.num_tokens += len(ids)
        while self.num_tokens > self.max_tokens and len(self._entries) > 1:
            _, (length, _) = self._entries.popitem(last=False)
            self.num_tokens -= length

    def find(self, ids: Ids) -> torch.Tensor | None:
        """The states of exactly `ids`, or None."""
        entry = self._entries.get(ids.tobytes())
        if entry is None:
            return None
        self._entries.move_to_end(ids.tobytes())
        return entry[1]

    def drop(self, ids: Ids) -> None:
        """Forget exactly `ids`: a longer sequence has taken its place."""
        entry = self._entries.pop(ids.tobytes(), None)
        if entry is not None:
            self.num_tokens -= entry[0]

    def clear(self) -> None:
        """Forget everything: the weights have changed."""
        self._entries.clear()
        self.num_tokens = 0


def batch_cache(
    shape: tuple[int, int, int, int, int], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, Any]:
    """An empty cache for `(layers, batch, heads, columns, head_dim)`.

    Returns its memory and the Hugging Face view of it.
    """
    layers, batch, heads, columns, head_dim = shape
    memory = torch.zeros(layers, 2, batch, heads, columns, head_dim, dtype=dtype, device=device)
    return memory, Cache(layers=[GrowingLayer(memory[layer], 0) for layer in range(layers)])
