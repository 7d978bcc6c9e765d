"""Sampling processors: what an engine does between a model's logits and the token it draws.

Penalties, then temperature, then top-k, top-p and min-p, each renormalised. `fits` asks which of
them, at which strength, turns the learner's logits into the log-probs that an engine reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch

NEAR = 0.7
"""A fit of one processor that leaves more than this share of a gap is not worth combining."""
EXACT = 1e-3
"""... nor one that leaves less than this, in nats."""
HALF = 0.5
"""Two processors have to leave less than this share of what the best single one leaves."""
LIGHT = 1 << 22
"""Numbers of a matrix of logits up to which two processors are fitted together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Processors:
    """One setting of every processor; the defaults change nothing."""

    temperature: float = 1.0
    """Divides the logits; 0 is greedy, whose log-probs are untempered."""
    top_p: float = 1.0
    """The smallest set of most likely tokens with this mass stays."""
    top_k: int = 0
    """So many most likely tokens stay; 0 is all."""
    min_p: float = 0.0
    """Tokens with at least this share of the most likely one's probability stay."""
    repetition: float = 1.0
    """Divides positive logits, and multiplies negative ones, of tokens that were read or said."""
    presence: float = 0.0
    """Taken off the logits of tokens that this completion has said."""
    frequency: float = 0.0
    """... times how often it said them."""

    def but(self, **changes: Any) -> Processors:
        """The same with other strengths."""
        return replace(self, **changes)

    def differences(self, other: Processors) -> str:
        """What this setting does differently, for people: `top_p 0.9, temperature 0.7`."""
        changed = [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
        return ", ".join(f"{name} {getattr(self, name):.4g}" for name in changed)


@dataclass(frozen=True, slots=True)
class Rows:
    """The positions that predicted some sampled tokens, by the learner's account."""

    logits: torch.Tensor
    """`[n, V]` raw, float32."""
    ids: torch.Tensor
    """`[n]` the tokens that were drawn."""
    read: torch.Tensor
    """`[n, V]` bool: tokens of the context."""
    said: torch.Tensor
    """`[n, V]` how often this completion had said each token before."""

    def first(self, count: int) -> Rows:
        """The first rows."""
        return Rows(self.logits[:count], self.ids[:count], self.read[:count], self.said[:count])


class Fit(NamedTuple):
    """How well one setting explains the engine's log-probs."""

    residual: float
    """Mean absolute gap that is left, in nats."""
    processors: Processors
    name: str
    """What was fitted."""


class Ordered(NamedTuple):
    """Distributions from the most likely token down."""

    own: torch.Tensor
    """`[n]` log-prob of the drawn token."""
    shares: torch.Tensor
    """`[n, V]` probabilities, descending."""
    mass: torch.Tensor
    """`[n, V]` their sums so far."""


def logprobs_under(rows: Rows, processors: Processors) -> torch.Tensor:
    """Log-probs `[n]` of the drawn tokens under these processors, in nats."""
    logprobs = tempered(rows, processors)
    if processors.top_p >= 1 and not processors.top_k and not processors.min_p:
        return own(logprobs, rows.ids)
    return truncated(ordered(logprobs, rows.ids), processors)


def tempered(rows: Rows, processors: Processors) -> torch.Tensor:
    """Log-probs `[n, V]` after penalties and temperature."""
    logits, penalty = rows.logits, processors.repetition
    if penalty != 1:
        seen = rows.read | (rows.said > 0)
        less = torch.where(logits > 0, logits / penalty, logits * penalty)
        logits = torch.where(seen, less, logits)
    if processors.presence:
        logits = logits - processors.presence * (rows.said > 0)
    if processors.frequency:
        logits = logits - processors.frequency * rows.said
    return (logits / (processors.temperature or 1.0)).log_softmax(-1)


def own(logprobs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The drawn tokens' entries `[n]`."""
    return logprobs.gather(1, ids[:, None])[:, 0]


def ordered(logprobs: torch.Tensor, ids: torch.Tensor) -> Ordered:
    """Distributions sorted once, for as many truncations as are tried."""
    shares = logprobs.exp().sort(-1, descending=True).values
    return Ordered(own(logprobs, ids), shares, shares.cumsum(-1))


def truncated(of: Ordered, processors: Processors) -> torch.Tensor:
    """Log-probs `[n]` once only the likely tokens stay; of a token that does not, the old one."""
    size = of.shares.shape[1]
    kept = torch.full((len(of.own),), min(processors.top_k or size, size))
    whole = of.mass.gather(1, kept[:, None] - 1)
    inside = of.mass - of.shares < processors.top_p * whole
    likely = of.shares >= processors.min_p * of.shares[:, :1]
    kept = torch.minimum(kept, torch.minimum(inside.sum(-1), likely.sum(-1))).clamp(min=1)
    least = of.shares.gather(1, kept[:, None] - 1)[:, 0]
    mass = of.mass.gather(1, kept[:, None] - 1)[:, 0]
    stays = of.own.exp() >= least * (1 - 1e-5)
    return torch.where(stays, of.own - mass.log(), of.own)


def fits(rows: Rows, behaviour: torch.Tensor, declared: Processors) -> list[Fit]:
    """Every processor's best fit to `behaviour [n]` beside the declared ones, the best first."""
    gap = residual(behaviour, logprobs_under(rows, declared))
    found = [*scalar_fits(rows, behaviour, declared), *cut_fits(rows, behaviour, declared)]
    found.sort(key=lambda fit: fit.residual)
    if EXACT < found[0].residual < NEAR * gap:
        light = max(1, LIGHT // rows.logits.shape[1])
        both = pair_fit(rows.first(light), behaviour[:light], declared)
        place = 0 if both.residual < HALF * found[0].residual else len(found)
        found.insert(place, both)
    return found


def residual(behaviour: torch.Tensor, predicted: torch.Tensor) -> float:
    """Mean absolute difference in nats."""
    return float((behaviour - predicted).abs().mean())


RANGES = {
    "temperature": (0.05, 20.0, True),
    "repetition": (0.5, 3.0, True),
    "presence": (-2.0, 2.0, False),
    "frequency": (-2.0, 2.0, False),
}
"""Where a strength is looked for, and whether by its logarithm."""


def scalar_fits(rows: Rows, behaviour: torch.Tensor, declared: Processors) -> Iterator[Fit]:
    """Temperature and penalties, one by one."""
    for name in RANGES:
        yield scalar_fit(name, rows, behaviour, declared)


def scalar_fit(name: str, rows: Rows, behaviour: torch.Tensor, declared: Processors) -> Fit:
    """The strength of one processor that leaves least."""
    low, high, by_logarithm = RANGES[name]

    def left(place: float) -> float:
        value = float(torch.tensor(place).exp()) if by_logarithm else place
        changed = declared.but(**{name: value})
        return residual(behaviour, logprobs_under(rows, changed))

    ends = torch.tensor([low, high])
    ends = ends.log() if by_logarithm else ends
    place, least = zoomed(left, float(ends[0]), float(ends[1]))
    value = float(torch.tensor(place).exp()) if by_logarithm else place
    return Fit(least, declared.but(**{name: value}), name)


def zoomed(
    left: Callable[[float], float], low: float, high: float, *, points: int = 13, rounds: int = 7
) -> tuple[float, float]:
    """Where a function of one number is least, and its value there: a grid, finer and finer."""
    for _ in range(rounds):
        grid = torch.linspace(low, high, points).tolist()
        values = [left(place) for place in grid]
        best = values.index(min(values))
        low, high = grid[max(0, best - 1)], grid[min(points - 1, best + 1)]
    return grid[best], values[best]


def cut_fits(rows: Rows, behaviour: torch.Tensor, declared: Processors) -> list[Fit]:
    """Top-p, top-k and min-p, each at its best."""
    of = ordered(tempered(rows, declared), rows.ids)
    best = []
    for name, values in candidates(of, behaviour).items():
        changed = [declared.but(**{name: value}) for value in values]
        tried = [Fit(residual(behaviour, truncated(of, each)), each, name) for each in changed]
        best.append(min(tried, key=lambda fit: fit.residual))
    return best


def candidates(of: Ordered, behaviour: torch.Tensor) -> dict[str, list[float]]:
    """Round numbers, and what the reported log-probs suggest: own - behaviour = log(mass kept)."""
    mass = (of.own - behaviour).exp().clamp(1e-6, 1.0)
    count = (of.mass - mass[:, None]).abs().argmin(-1)
    share = (of.shares.gather(1, count[:, None]) / of.shares[:, :1])[:, 0]
    low = torch.tensor([0.0, 0.01, 0.02, 0.05, 0.1, 0.25])
    middle = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    counts = (count.float().quantile(middle) + 1).round().tolist()
    return {
        "top_p": [*spread(mass, low), *(0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)],
        "top_k": [int(k) for k in {*counts, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 50.0, 64.0, 100.0}],
        "min_p": [*spread(share, low), *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3)],
    }


def spread(values: torch.Tensor, levels: torch.Tensor) -> Sequence[float]:
    """Low quantiles, a hair below, so that the value itself is inside."""
    found: list[float] = (values.quantile(levels) * (1 - 1e-5)).tolist()
    return found


def pair_fit(rows: Rows, behaviour: torch.Tensor, declared: Processors) -> Fit:
    """A temperature together with the truncation that goes best with it."""

    def best(place: float) -> Fit:
        temperature = float(torch.tensor(place).exp())
        found = cut_fits(rows, behaviour, declared.but(temperature=temperature))
        return min(found, key=lambda fit: fit.residual)

    place, _ = zoomed(lambda place: best(place).residual, -1.6, 1.1, points=10, rounds=4)
    found = best(place)
    return found._replace(name=f"temperature and {found.name}")
