"""What a gap between an engine's and the learner's log-probs is judged by (`mismatch.py`).

Nothing here knows an engine: `Evidence` is what was sampled and reported, and functions that
compute the learner's logits. `measure` lays both accounts side by side, a row per sampled token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from agentrl.errors import DataError
from agentrl.mismatch.processors import Processors, Rows, logprobs_under, own, residual
from agentrl.types import Floats, Ids

Logits = Callable[[Ids, int], torch.Tensor]
"""`(ids [T], first) -> [T - first, V]`: the raw logits that predict `ids[first:]`, in float32."""

MOST_LOGITS = 1 << 25
"""Numbers of logits that are kept at a time; calls beyond are left out."""
TOLERANCE = 1e-3
"""Mean absolute gap in nats that two float32 implementations stay below."""
COARSE_TOLERANCE = 5e-2
"""... that 16-bit engines stay below, where their noise is not measured."""
NOISE = 4.0
"""A gap of so many times the noise of 16 bits may still be that noise."""
ALIKE = 0.3
"""... if it correlates with that noise at least so much; errors of other weights do not."""


class Scorer(Protocol):
    """An engine that says what it thinks of given ids."""

    def score(self, ids: Ids) -> Floats:
        """Log-probs `[T - 1]` in nats of `ids[1:]`, each given what is before it.

        By the weights that are served now, at temperature 1, without any sampling processor.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One completion as the ledger has it, and what the engine said of it."""

    context: Ids
    """`[C]`."""
    ids: Ids
    """`[n]` sampled."""
    behaviour: Floats
    """`[n]` nats, reported when sampling."""
    scores: Floats | None = None
    """`[n]` the engine's own score of the same ids (`Scorer`), where it gives one."""
    read: Ids | None = None
    """The context by the engine's own account, where it gives one."""
    version: int = 0
    """Of the weights that sampled it."""

    @property
    def whole(self) -> Ids:
        """Context and sampled ids."""
        return np.concatenate([self.context, self.ids])


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything that a gap is judged by."""

    calls: Sequence[Call]
    logits: Logits
    """The learner's."""
    version: int = 0
    """Of the learner's weights."""
    declared: Processors = field(default_factory=Processors)
    """What the run asked the engine to sample with."""
    dtypes: tuple[str, str] = ("float32", "float32")
    """The engine's and the learner's, as far as they say."""
    coarse: Logits | None = None
    """The learner's once more in 16 bits: how large the noise of arithmetic is, and its shape."""
    readings: Mapping[str, Callable[[Ids], Ids]] = field(default_factory=dict)
    """What an engine might have made of a context, by name."""
    suspected: Mapping[str, Processors] = field(default_factory=dict)
    """Settings that an engine might apply unasked, by where they come from."""
    differing: Sequence[str] | None = None
    """Tensors whose checksums differ between engine and learner; None if nobody compared."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The calls' sampled tokens in one row each, by both accounts."""

    calls: Sequence[Call]
    rows: Rows
    call: torch.Tensor
    """`[n]` number of each row's call."""
    behaviour: torch.Tensor
    """`[n]` reported."""
    learner: torch.Tensor
    """`[n]` the learner's, under the declared processors."""
    plain: torch.Tensor
    """`[n]` the learner's, at temperature 1 without processors."""
    noise: torch.Tensor | None
    """`[n]` what 16 bits change of `plain`, where it was measured."""
    tolerance: float
    """What the declared dtypes make of equal weights, in nats."""

    @property
    def gap(self) -> float:
        """Mean absolute gap in nats."""
        return residual(self.behaviour, self.learner)

    @property
    def scores(self) -> torch.Tensor | None:
        """The engine's own scores `[n]`, if it gave one for every call."""
        given = [call.scores for call in self.calls if call.scores is not None]
        if len(given) < len(self.calls):
            return None
        return torch.from_numpy(np.concatenate(given)).float()

    def like_noise(self, difference: torch.Tensor) -> bool:
        """Whether a difference `[n]` has the size and the shape of 16-bit arithmetic."""
        if self.noise is None:
            return False
        if float(difference.abs().mean()) > NOISE * float(self.noise.abs().mean()):
            return False
        return bool(torch.corrcoef(torch.stack([difference, self.noise]))[0, 1] >= ALIKE)


def measure(evidence: Evidence) -> Measured:
    """Run the learner over the calls, as many as fit.

    Raises:
        DataError: no sampled tokens, or log-probs that are no finite numbers.
    """
    calls, logits = predicted(evidence)
    behaviour = torch.from_numpy(np.concatenate([call.behaviour for call in calls])).float()
    if not bool(behaviour.isfinite().all()):
        raise DataError(
            f"{int((~behaviour.isfinite()).sum())} of {len(behaviour)} reported log-probs are no "
            "finite numbers: the engine's weights have diverged, or it reports none"
        )
    rows = rows_of(calls, logits)
    plain = logprobs_under(rows, Processors())
    noise = None
    if evidence.coarse is not None:
        made = [evidence.coarse(call.whole, len(call.context)) for call in calls]
        noise = own(torch.cat(made).log_softmax(-1), rows.ids) - plain
    return Measured(
        calls=calls,
        rows=rows,
        call=torch.arange(len(calls)).repeat_interleave(torch.tensor([len(c.ids) for c in calls])),
        behaviour=behaviour,
        learner=logprobs_under(rows, evidence.declared),
        plain=plain,
        noise=noise,
        tolerance=tolerance(evidence.dtypes, noise),
    )


def predicted(evidence: Evidence) -> tuple[list[Call], torch.Tensor]:
    """The calls that fit, and the learner's logits `[n, V]` of their tokens. Raises: DataError."""
    calls: list[Call] = []
    logits: list[torch.Tensor] = []
    for call in evidence.calls:
        if len(call.ids) and sum(made.numel() for made in logits) <= MOST_LOGITS:
            calls.append(call)
            logits.append(evidence.logits(call.whole, len(call.context)))
    if not calls:
        raise DataError("there is no sampled token to compare: play more episodes")
    return calls, torch.cat(logits)


def rows_of(calls: Sequence[Call], logits: torch.Tensor) -> Rows:
    """The calls' rows with what each had read and said before it."""
    read = torch.zeros(logits.shape, dtype=torch.bool)
    said = torch.zeros(logits.shape, dtype=torch.int16)
    row = 0
    for call in calls:
        end = row + len(call.ids)
        read[row:end, torch.from_numpy(call.context)] = True
        for place, token in enumerate(call.ids.tolist(), start=row + 1):
            said[place:end, token] += 1
        row = end
    ids = torch.from_numpy(np.concatenate([call.ids for call in calls]))
    return Rows(logits, ids, read, said)


def tolerance(dtypes: tuple[str, str], noise: torch.Tensor | None) -> float:
    """What these dtypes make of equal weights, in nats."""
    if set(dtypes) == {"float32"}:
        return TOLERANCE
    if noise is None:
        return COARSE_TOLERANCE
    return min(COARSE_TOLERANCE, max(TOLERANCE, NOISE * float(noise.abs().mean())))
