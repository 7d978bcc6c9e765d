"""Proof that an engine serves the learner's weights, asked for after every publish.

Two things must agree: a checksum of every tensor that the engine received (and of those that it
still holds as such), and the log-probs of a fixed probe prompt. Checksums find one stale tensor
whose effect is below any tolerance; the probe finds what happens between receiving and serving.

A checksum is a sum over elements of a hash of their bits. Sums do not depend on order, so a fused
tensor (query, key and value in one) has the sum of its parts' checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from agentrl.errors import SyncError
from agentrl.types import Floats, Ids

CHUNK = 1 << 22
"""Elements hashed at once: 32 MB of int64."""
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 2e-2}
"""Mean absolute gap of the probe, in nats, that arithmetic in a precision explains."""
PROBE_TOKENS = 32
SHOWN = 3


class Stamp(NamedTuple):
    """One tensor as it was seen: two tensors are equal iff their stamps are, for all we know."""

    dtype: str
    elements: int
    checksum: int


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What an engine says of its weights."""

    version: int
    received: Mapping[str, Stamp]
    """By the learner's names."""
    held: Mapping[str, Stamp]
    """By the engine's names: tensors that it did not repack."""
    fused: Mapping[str, Sequence[str]]
    """The last part of a held name that stands for several of the learner's."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Receipt:
        """From what a worker answered."""
        stamps = {
            which: {name: Stamp(*stamp) for name, stamp in told[which].items()}
            for which in ("received", "held")
        }
        return cls(version=told["version"], fused=told["fused"], **stamps)


def checksum(tensor: torch.Tensor) -> int:
    """The sum of the elements' hashes, modulo 2^64; zeros add nothing."""
    bits = tensor.detach().contiguous().view(INTEGERS[tensor.element_size()]).flatten()
    total = 0
    for start in range(0, len(bits), CHUNK):
        mixed = bits[start : start + CHUNK].long() * -7046029254386353131  # wraps
        mixed = (mixed ^ (mixed >> 29)) * -4658895280553007687
        total += int((mixed ^ (mixed >> 32)).sum())
    return total % (1 << 64)


def stamp(tensor: torch.Tensor) -> Stamp:
    """A tensor's stamp."""
    return Stamp(str(tensor.dtype).removeprefix("torch."), tensor.numel(), checksum(tensor))


def named_weights(
    model: Any, dtype: torch.dtype, *, merge: bool = True
) -> Iterator[tuple[str, torch.Tensor]]:
    """The learner's weights under the names of its checkpoints, in the engine's precision.

    Adapters are added to what they adapt, or left out. They are never merged in place and taken out
    again: each time would leave a rounding error in the base.
    """
    base = base_model(model)
    for name, tensor in base.state_dict().items():
        place, adapted, rest = name.partition(".base_layer.")
        if ".lora_" in name:
            continue
        if adapted and rest == "weight" and merge:
            module = base.get_submodule(place)
            tensor = sum((module.get_delta_weight(a) for a in module.active_adapters), tensor)
        yield f"{place}.{rest}" if adapted else name, tensor.detach().to(dtype)


def base_model(model: Any) -> Any:
    """The model that adapters adapt, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def check_receipt(expected: Mapping[str, Stamp], version: int, receipt: Receipt) -> None:
    """Compare what was sent with what an engine has. Raises: SyncError, naming the tensors."""
    if receipt.version != version:
        raise SyncError(
            f"version {version} of the weights was published, but the engine has "
            f"{receipt.version}: the publish never reached it"
        )
    wrong = differences(expected, receipt.received)
    if not wrong:
        wrong = differences(fused(expected, receipt), receipt.held)
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise SyncError(
            f"the engine does not have version {version} of the weights: "
            + "; ".join(wrong[:SHOWN])
            + more
        )


def differences(expected: Mapping[str, Stamp], found: Mapping[str, Stamp]) -> list[str]:
    """One phrase per tensor that is missing or another one."""
    wrong = []
    for name, wanted in expected.items():
        given = found.get(name)
        if given is None:
            wrong.append(f"{name} is missing")
        elif given.dtype != wanted.dtype:
            wrong.append(f"{name} is {given.dtype}, not {wanted.dtype}")
        elif given != wanted:
            wrong.append(f"{name} has other values")
    return wrong


def fused(sent: Mapping[str, Stamp], receipt: Receipt) -> dict[str, Stamp]:
    """The stamps that the engine's held tensors must have; tensors of other names are left out."""
    wanted = {}
    for name, held in receipt.held.items():
        module, _, parameter = name.rpartition(".")
        parent, _, last = module.rpartition(".")
        names = [f"{parent}.{part}.{parameter}" for part in receipt.fused.get(last, (last,))]
        parts = [sent[part] for part in names if part in sent]
        if len(parts) == len(names) and sum(p.elements for p in parts) == held.elements:
            total = sum(part.checksum for part in parts) % (1 << 64)
            wanted[name] = Stamp(parts[0].dtype, held.elements, total)
    return wanted


def probe_ids(vocabulary: int) -> Ids:
    """The fixed probe prompt `[32]`: ids spread over the vocabulary."""
    return np.arange(1, PROBE_TOKENS + 1, dtype=np.int64) * 2654435761 % vocabulary


@torch.no_grad()
def probe_logprobs(model: Any, ids: Ids) -> Floats:
    """The learner's log-probs `[len(ids) - 1]` of the probe, in nats."""
    training = model.training
    model.eval()
    logits = model(torch.from_numpy(ids)[None].to(model.device)).logits[0, :-1].float()
    model.train(training)
    chosen = torch.from_numpy(ids[1:])[:, None].to(logits.device)
    found: Floats = logits.log_softmax(-1).gather(-1, chosen)[:, 0].cpu().numpy()
    return found


def check_probe(learner: Floats, engine: Floats, dtype: str) -> float:
    """The mean absolute gap on the probe, in nats. Raises: SyncError where it is too large."""
    gap = float(np.abs(learner - engine).mean())
    if not gap <= TOLERANCE[dtype]:
        raise SyncError(
            f"the engine has the learner's tensors but not its log-probs: on the probe they differ "
            f"by {gap:.2g} nats on average, and {dtype} explains {TOLERANCE[dtype]:g}; run "
            "`agentrl doctor mismatch`"
        )
    return gap
