"""Who sees whom: attention masks from intervals, and the models that layouts may give them to.

Every token `k` of a line is seen by the tokens `k .. ends[k] - 1`: itself and some after it. A
plain sequence has `ends = T`; a tree in depth-first order the end of the subtree below each token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from agentrl.errors import ConfigError

KNOWN = ("llama", "mistral", "qwen2", "qwen3")
"""Model types whose masks, positions and heads are known to be what layouts take them for."""
MASKED = ("sdpa", "eager")
"""Attention implementations that take a mask per pair of tokens."""


class Inputs(NamedTuple):
    """Lines of tokens as a model reads them."""

    ids: torch.Tensor
    """`[B, T]`."""
    filled: torch.Tensor | None = None
    """`[B, T]`, 1 on real tokens of plain right-padded sequences."""
    depth: torch.Tensor | None = None
    """`[B, T]` position ids; None counts from 0."""
    ends: torch.Tensor | None = None
    """`[B, T]`, see above; None is a plain sequence."""

    def to(self, device: torch.device) -> Inputs:
        """The same on a device."""
        return Inputs(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


def visible(ends: torch.Tensor | None, start: int, stop: int, device: Any = None) -> torch.Tensor:
    """Which keys the queries `start .. stop - 1` see: bool `[B, 1, queries, keys < stop]`."""
    keys = torch.arange(stop, device=device)
    queries = keys[start:, None]
    causal = (keys <= queries)[None, None]
    return causal if ends is None else causal & (queries < ends[:, None, None, :stop])


def mask_for(model: Any, seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`seen` as the model's attention wants it: bool for sdpa, added to the scores for eager."""
    if causal(model).config._attn_implementation == "sdpa":
        return seen
    least = torch.finfo(dtype).min
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, least)


def causal(model: Any) -> Any:
    """The causal language model itself, out of its adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def check(model: Any, option: str, *, masked: bool) -> None:
    """Refuse a model that an option does not know. Raises: ConfigError."""
    config = causal(model).config
    if config.model_type not in KNOWN:
        raise ConfigError(
            f"{option} knows {', '.join(KNOWN)}, not {config.model_type}: leave it out"
        )
    if not masked:
        return
    if slides(config):
        raise ConfigError(f"{option} needs full attention: {config.model_type} has sliding windows")
    if config._attn_implementation not in MASKED:
        raise ConfigError(
            f"{option} needs a mask per pair of tokens, and {config._attn_implementation} takes "
            f"none: set model.attention to {' or '.join(MASKED)}"
        )


def slides(config: Any) -> bool:
    """Whether any layer sees less than everything before it."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return set(kinds) != {"full_attention"}
    return getattr(config, "sliding_window", None) is not None
