"""Why an engine's log-probs are not the learner's: one gap, bisected until a culprit has a name.

    token alignment -> weights -> sampling processors -> numerical residue

In this order, because each test takes for granted that the ones before it found nothing: weights
can only be compared on equal tokens, processors only on equal logits. What the tests look at is in
`evidence.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from agentrl.mismatch.evidence import Evidence, Measured, measure
from agentrl.mismatch.processors import (
    Fit,
    Processors,
    fits,
    logprobs_under,
    own,
    residual,
    tempered,
)
from agentrl.types import Ids

EXPLAINED = 0.2
"""A test that leaves at most this share of the gap has explained it."""


class Cause(Enum):
    """What makes a gap."""

    NONE = "none"
    ALIGNMENT = "token alignment"
    WEIGHTS = "weights"
    SAMPLING = "sampling processors"
    NUMERICS = "numerical residue"


class Trial(NamedTuple):
    """One test."""

    cause: Cause
    test: str
    residual: float | None
    """Mean absolute gap that is left if the test's guess is right, in nats; None: no such guess."""
    explains: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """The culprit, and how it was found."""

    cause: Cause
    finding: str
    """The cause in particular: `top-p: top_p 0.9`."""
    explanation: str
    fix: str
    numbers: Mapping[str, float]
    """The gap: tokens, mean_abs, max_abs, mean, and the tolerance it was held against."""
    trials: Sequence[Trial]
    """The tests in the order they were made; the last one is the finding."""


FIXES = {
    Cause.NONE: "nothing to do",
    Cause.ALIGNMENT: "send the ledger's ids as token ids, never as text, and read the log-prob of "
    "a token at that token",
    Cause.WEIGHTS: "publish the learner's weights after every step, adapters included, and let the "
    "engine forget what it cached under older ones; see that both load the same checkpoint",
    Cause.SAMPLING: "let the engine sample with rollout.temperature and nothing else (vllm serve: "
    "--generation-config vllm --logprobs-mode processed_logprobs)",
    Cause.NUMERICS: "give engine and learner one dtype, or correct for the rest: "
    "algorithm.weighting=truncated_importance",
}


def diagnose(evidence: Evidence) -> Diagnosis:
    """The first cause that explains the gap.

    Raises:
        DataError: no sampled tokens, or log-probs that are no finite numbers.
    """
    found = measure(evidence)
    trials: list[Trial] = []
    stages = (alignment, weights, sampling, rest)  # the last one always explains
    for trial in chain.from_iterable(stage(evidence, found) for stage in stages):
        trials.append(trial)
        if trial.explains:
            break
    return concluded(found, trials)


def concluded(found: Measured, trials: Sequence[Trial]) -> Diagnosis:
    """The diagnosis whose finding is the last trial."""
    last = trials[-1]
    size = f"{found.gap:.2g} nats on average over {len(found.behaviour)} tokens"
    left = "" if last.residual is None else f"; {last.residual:.2g} are left if that is the cause"
    differ = f"engine and learner differ by {size}{left}"
    agree = f"engine and learner agree: {size}, at most {found.tolerance:.2g} is arithmetic"
    return Diagnosis(
        cause=last.cause,
        finding=f"{last.test}: {last.note}" if last.note else last.test,
        explanation=agree if last.cause is Cause.NONE else differ,
        fix=FIXES[last.cause],
        numbers=numbers(found),
        trials=tuple(trials),
    )


def numbers(found: Measured) -> dict[str, float]:
    """The gap in figures."""
    gap = found.behaviour - found.learner
    return {
        "tokens": float(len(gap)),
        "mean_abs": float(gap.abs().mean()),
        "max_abs": float(gap.abs().max()),
        "mean": float(gap.mean()),
        "tolerance": found.tolerance,
    }


def guess(found: Measured, cause: Cause, test: str, left: float, note: str = "") -> Trial:
    """A trial that explains the gap if little enough is left."""
    enough = max(EXPLAINED * found.gap, min(found.tolerance, 0.5 * found.gap))
    return Trial(cause, test, left, left <= enough, note)


# Token alignment


def alignment(evidence: Evidence, found: Measured) -> Iterator[Trial]:
    """Whether both looked at the same tokens, at the same places."""
    if any(call.read is not None for call in found.calls):
        yield same_ids(found)
    if found.gap > found.tolerance:
        for test, left in shifted(evidence, found).items():
            yield guess(found, Cause.ALIGNMENT, test, left)
        for test, read in evidence.readings.items():
            yield guess(found, Cause.ALIGNMENT, test, reread(read, evidence, found))


def same_ids(found: Measured) -> Trial:
    """Whether the engine says that it read the ledger's ids."""
    pairs = [(call.context, call.read) for call in found.calls if call.read is not None]
    wrong = [(ours, theirs) for ours, theirs in pairs if not np.array_equal(ours, theirs)]
    test = "ids that the engine says it read"
    if not wrong:
        return Trial(Cause.ALIGNMENT, test, None, False, "are the ledger's")
    ours, theirs = wrong[0]
    size = min(len(ours), len(theirs))
    place = next((i for i in range(size) if ours[i] != theirs[i]), size)
    note = f"{len(wrong)} of {len(pairs)} contexts differ, the first from position {place} on"
    return Trial(Cause.ALIGNMENT, test, None, True, note)


def shifted(evidence: Evidence, found: Measured) -> dict[str, float]:
    """What is left if a neighbour's log-prob was reported, or a neighbour's distribution read."""
    within = found.call[1:] == found.call[:-1]
    if not bool(within.any()):
        return {}
    ids, reported, learner = found.rows.ids, found.behaviour, found.learner
    whole = tempered(found.rows, evidence.declared)
    pairs = {
        "log-probs one token late": (reported[1:], learner[:-1]),
        "log-probs one token early": (reported[:-1], learner[1:]),
        "distributions one token late": (reported[:-1], own(whole[1:], ids[:-1])),
        "distributions one token early": (reported[1:], own(whole[:-1], ids[1:])),
    }
    return {test: residual(one[within], other[within]) for test, (one, other) in pairs.items()}


def reread(read: Callable[[Ids], Ids], evidence: Evidence, found: Measured) -> float:
    """What is left if every context had been read this way."""
    warmth, parts = evidence.declared.temperature or 1.0, []
    for number, call in enumerate(found.calls):
        context = read(call.context)
        if np.array_equal(context, call.context) or not len(context):
            parts.append(found.learner[found.call == number])
            continue
        logits = evidence.logits(np.concatenate([context, call.ids]), len(context)) / warmth
        parts.append(own(logits.log_softmax(-1), torch.from_numpy(call.ids)))
    return residual(found.behaviour, torch.cat(parts))


# Weights


def weights(evidence: Evidence, found: Measured) -> Iterator[Trial]:
    """Whether the engine serves, and sampled with, the learner's weights."""
    if evidence.differing is not None:
        names = list(evidence.differing)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        note = f"differ: {'; '.join(names[:3])}{more}" if names else "are equal"
        yield Trial(Cause.WEIGHTS, "checksums of the tensors", None, bool(names), note)
    if found.gap <= found.tolerance:
        yield Trial(Cause.NONE, "the gap as it is", found.gap, True)
    yield from older(evidence, found)
    if found.scores is not None:
        yield by_scores(evidence, found, found.scores)


def older(evidence: Evidence, found: Measured) -> Iterator[Trial]:
    """Whether only tokens of other versions have the gap."""
    versions = torch.tensor([call.version for call in found.calls])[found.call]
    stale = versions != evidence.version
    if bool(stale.any()):
        known = [found.behaviour[~stale], found.learner[~stale]]
        left = 0.0 if bool(stale.all()) else residual(*known)
        seen = ", ".join(map(str, sorted(set(versions[stale].tolist()))))
        note = f"{int(stale.sum())} tokens have version {seen}, the learner {evidence.version}"
        yield guess(found, Cause.WEIGHTS, "version that sampled", left, note)


def by_scores(evidence: Evidence, found: Measured, scored: torch.Tensor) -> Trial:
    """Whether engine and learner score the same ids alike, at temperature 1 without processors.

    What differs no more than 16 bits do, and as they do, is arithmetic and no other weights.
    """
    apart, test = residual(scored, found.plain), "engine's score of the same ids"
    note = f"{apart:.2g} from the learner's"
    if same_weights(evidence, found):
        return Trial(Cause.WEIGHTS, test, None, False, f"{note}: the same weights")
    left = residual(found.behaviour, scored) if evidence.declared == Processors() else None
    return Trial(Cause.WEIGHTS, test, left, True, note)


def same_weights(evidence: Evidence, found: Measured) -> bool:
    """Whether scores or checksums show that both have the same weights."""
    if evidence.differing is not None:
        return not evidence.differing
    if found.scores is None:
        return False
    apart = found.scores - found.plain
    return float(apart.abs().mean()) <= found.tolerance or found.like_noise(apart)


# Sampling processors


def sampling(evidence: Evidence, found: Measured) -> Iterator[Trial]:
    """Whether a processor that nobody asked for was at work, or another temperature."""
    for name, suspect in evidence.suspected.items():
        if suspect != evidence.declared:
            left = residual(found.behaviour, logprobs_under(found.rows, suspect))
            note = suspect.differences(evidence.declared)
            yield guess(found, Cause.SAMPLING, name, left, note)
    for fit in fits(found.rows, found.behaviour, evidence.declared):
        yield guess(found, Cause.SAMPLING, fit.name, fit.residual, fitted(fit, evidence.declared))


def fitted(fit: Fit, declared: Processors) -> str:
    """A fit in words."""
    note = fit.processors.differences(declared)
    warmth = fit.processors.temperature
    if fit.name == "temperature" and declared.temperature not in (0, 1) and abs(warmth - 1) < 0.01:
        return f"{note}: log-probs from before the processors"
    if fit.name == "temperature" and warmth < 0.06:
        return "greedy, or no log-probs at all"
    return note


# The rest


def rest(evidence: Evidence, found: Measured) -> Iterator[Trial]:
    """What is left when tokens are the same and no known processor was at work."""
    if found.like_noise(found.behaviour - found.learner):
        yield Trial(Cause.NUMERICS, "noise of 16 bits", None, True, "of this size and shape")
    elif same_weights(evidence, found):
        note = "a processor without a test here, or states cached under older weights"
        yield Trial(Cause.SAMPLING, "equal tokens and equal weights", None, True, note)
    else:
        yield Trial(Cause.WEIGHTS, "nothing else explains the gap", None, True)
