"""What runs inside vLLM's workers: receiving weights and saying what arrived.

vLLM mixes `Receiver` into its worker class (`worker_extension_cls`), in this process or in a
server's; it needs nothing but torch and what is in `sync.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from agentrl.backends.adapters import SIDES
from agentrl.backends.sync import Stamp, stamp


class Receiver:
    """Worker methods that the learner calls by name."""

    model_runner: Any
    agentrl_version = 0
    agentrl_received: dict[str, Any]

    def agentrl_receive(
        self,
        version: int,
        weights: Iterable[tuple[str, torch.Tensor]] | None = None,
        path: str = "",
    ) -> None:
        """Load weights in place, from memory or from a folder of safetensors files."""
        received: dict[str, Any] = {}
        stream = read_folder(path) if weights is None else weights

        def stamped() -> Iterator[tuple[str, torch.Tensor]]:
            for name, tensor in stream:
                received[name] = tuple(stamp(tensor))
                yield name, tensor

        self.model_runner.reload_weights(weights_iterator=stamped())
        self.agentrl_received, self.agentrl_version = received, version

    def agentrl_receipt(self) -> dict[str, Any]:
        """What arrived last, and what the model holds now as plain tensors."""
        model = self.model_runner.get_model()
        held = {name: p.data for name, p in model.named_parameters() if p.numel()}
        fused = getattr(model, "packed_modules_mapping", {})
        return {
            "version": self.agentrl_version,
            "received": getattr(self, "agentrl_received", {}),
            "held": {name: tuple(stamp(tensor)) for name, tensor in held.items()},
            "fused": {name: list(parts) for name, parts in fused.items()},
        }

    def agentrl_adapters(self, version: int) -> dict[str, Any]:
        """What the adapters hold that were loaded last, which were asked for as `version`."""
        found = {name: tuple(seen) for name, seen in held(self).items()}
        return {"version": version, "received": found, "held": {}, "fused": {}}


def held(worker: Any) -> dict[str, Stamp]:
    """In a worker: the stamps of the adapters that it loaded last, by the learner's names."""
    manager = getattr(worker.model_runner, "lora_manager", None)
    loaded = manager._adapter_manager.list_adapters() if manager is not None else {}
    if not loaded:
        return {}
    packed = getattr(worker.model_runner.get_model(), "packed_modules_mapping", {})
    found = {}
    for place, weights in loaded[max(loaded)].loras.items():
        for side, matrix in zip(SIDES, (weights.lora_a, weights.lora_b), strict=True):
            found.update(parts(place, side, matrix, packed))
    return found


def parts(place: str, side: str, matrix: Any, packed: Mapping[str, Any]) -> dict[str, Stamp]:
    """The stamps of one module's matrix, or of each part's where several are fused."""
    parent, _, last = place.rpartition(".")
    if not isinstance(matrix, list):
        return {f"{place}.{side}": stamp(matrix)}
    return {
        f"{parent}.{part}.{side}": stamp(piece)
        for part, piece in zip(packed[last], matrix, strict=True)
        if piece is not None
    }


def read_folder(path: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a folder's safetensors files."""
    from safetensors import safe_open

    for file in sorted(Path(path).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 -- it is no mapping
                yield name, tensors.get_tensor(name)


def prepare() -> None:
    """Run by vLLM in every process that it starts (entry point `vllm.general_plugins`).

    Its bfloat16 kernels use AMX tiles, which the operating system grants only to those who ask.
    """
    ask = getattr(torch.cpu, "_init_amx", None)
    if ask is not None and not torch.cuda.is_available():
        ask()
