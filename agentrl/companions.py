"""The models beside the policy: its reference, its teacher, its value head."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from agentrl.backends.load import pretrained
from agentrl.errors import ConfigError


def reference_model(model: Any) -> Any:
    """A frozen copy of the model, or None for a LoRA model: its own base is the reference."""
    if hasattr(model, "disable_adapter"):
        return None
    return copy.deepcopy(model).requires_grad_(False).eval()


def teacher_model(path: str, models: Mapping[str, Any]) -> Any:
    """The model behind the column `teacher`; it must share the policy's tokenizer.

    One of the run's `models` by its name, which may be trained itself, or a frozen one of a folder.

    Raises:
        ConfigError: no path.
    """
    if path in models:
        return models[path]
    if not path:
        raise ConfigError(
            "learner.teacher is empty: give the teacher's folder, or a name in policies",
            "learner.teacher",
        )
    teacher, _ = pretrained(path)
    return teacher.requires_grad_(False).eval()


def value_head(model: Any) -> torch.nn.Linear:
    """A value per position from the model's last hidden state; it begins at 0 everywhere."""
    head = torch.nn.Linear(model.config.hidden_size, 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return head


class adapter_off:  # noqa: N801 - a context manager, named like one
    """A LoRA model with its adapters switched off."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __enter__(self) -> Any:
        self._off = self.model.disable_adapter()
        self._off.__enter__()
        return self.model

    def __exit__(self, *error: Any) -> None:
        self._off.__exit__(*error)
