"""LoRA adapters on their way to an engine: apart from the base, which the engine keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from agentrl.errors import ConfigError

SIDES = ("lora_A", "lora_B")


def check_adapters(model: Any) -> int:
    """The adapters' rank. Raises: ConfigError for a model without adapters."""
    if not hasattr(model, "peft_config"):
        raise ConfigError(
            "engine.adapters is true, but the model has no adapters: set model.lora_rank",
            "engine.adapters",
        )
    return int(model.peft_config[model.active_adapter].r)


def save(model: Any, folder: Path) -> None:
    """Write the adapters as vLLM reads them."""
    model.save_pretrained(folder, save_embedding_layers=False)


def tensors(model: Any, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """The adapters' matrices by the names of what they adapt, as an engine holds them.

    The scaling stands in B, because vLLM multiplies it in when it loads them.
    """
    name = model.active_adapter
    for place, module in model.get_base_model().named_modules():
        if hasattr(module, "lora_A") and name in module.lora_A:
            up = module.lora_B[name].weight.detach().to(dtype)
            yield f"{place}.lora_A", module.lora_A[name].weight.detach().to(dtype)
            yield f"{place}.lora_B", up * module.scaling[name]
