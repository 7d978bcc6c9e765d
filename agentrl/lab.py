"""The algorithm lab: what several algorithms would make of the same recorded batch.

Credit, weights and the loss's derivative are recomputed from the token table, so that choosing an
algorithm costs seconds. With a model, gradients are those of its parameters; without one, of the
rows' log-probs, and penalties that need a model (KL) are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from agentrl.algorithms import algorithm
from agentrl.algorithms.base import Algorithm
from agentrl.attribution import Attribution
from agentrl.errors import ConfigError
from agentrl.journal.reading import Credit
from agentrl.learner import Learner
from agentrl.table import Table, View, build_table
from agentrl.types import Group


class Portion(NamedTuple):
    """What one agent has of a step's credit."""

    mean_absolute: float
    """Credit of one of its rows; 0 without any."""
    share: float
    """Of the step's total absolute weight x credit."""
    invocations: int
    """Its recorded trajectories that have rows; copies that a shape made of one are one."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One algorithm on one batch."""

    name: str
    credits: list[Credit]
    """Of the turns as they were recorded; none of those without rows: their group was refused by
    `keep`, their trajectory cut by a shape, or their agent is frozen."""
    agents: dict[str, Portion]
    """By name."""
    gradient: torch.Tensor
    """Of the model's parameters, or of the rows' log-probs `[M]`."""
    silent: float
    """Share of groups without signal: refused, or no derivative by any row."""
    effective: float
    """Effective number of attempts: (sum c)^2 / sum c^2, c the attempt's absolute derivative."""


def examine(
    groups: Sequence[Group], names: Sequence[str], model: Any = None, decode: Any = None
) -> list[Finding]:
    """Every named algorithm on the same groups.

    Raises:
        ConfigError: an unknown name, or one that needs a model where there is none.
    """
    return [examine_one(groups, name, model, decode) for name in names]


def examine_one(groups: Sequence[Group], name: str, model: Any, decode: Any) -> Finding:
    """One algorithm on the groups."""
    record = algorithm(name).started()
    if model is None and record.penalty is not None and record.penalty.needs:
        record = record.but(penalty=None, penalty_weighting=None)
    shaped = record.shape(groups) if record.shape is not None else list(groups)
    kept = torch.tensor([record.keep is None or record.keep(group) for group in shaped])
    learner = None if model is None else Learner(model, record, horizon=1)
    if learner is not None:
        learner.decode = decode
    table = annotated(build_table(shaped), record, learner, name)
    chosen = [group for group, keeps in zip(shaped, kept.tolist(), strict=True) if keeps]
    played, live = table.select_groups(kept), kept[table.group]
    slopes = torch.zeros(len(table))
    if bool(live.any()):  # what is refused enters no statistic, just as in training
        played = record.credit(played, chosen)
        played = played.with_columns(weight=record.weighting(played))
        slopes[live] = derivative(record, played)
    attribution = Attribution()
    attribution.note(groups[0].step, 0, groups)
    credits = attribution.credits(played, chosen, played.weight)
    size = per_episode_sum(table, slopes.abs())
    loud = torch.zeros(table.num_groups).index_add(0, table.group, slopes.abs())
    return Finding(
        name=name,
        credits=credits,
        agents=portions(played, credits, groups),
        gradient=slopes if learner is None else parameter_gradient(learner, played),
        silent=float((loud <= 1e-12).float().mean()),
        effective=float(size.sum() ** 2 / (size**2).sum().clamp(min=1e-30)),
    )


def annotated(table: Table, record: Algorithm, learner: Learner | None, name: str) -> Table:
    """The table with what the algorithm needs; without a model that can only be `old`."""
    if learner is not None:
        return with_live_entropy(learner.annotate(table), learner)
    missing = record.needs - {"old"}
    live = ["entropy"] if record.wants_live_entropy else []
    if missing or live:
        raise ConfigError(
            f"{name} needs {', '.join([*sorted(missing), *live])}: give --model FOLDER"
        )
    return table


def with_live_entropy(table: Table, learner: Learner) -> Table:
    """The column that a loss or penalty would read live, at the policy before the step."""
    if not learner.algorithm.wants_live_entropy or "entropy" in table.columns:
        return table
    entropy = learner.run(table, learner.model, entropy=True).entropy
    return table if entropy is None else table.with_columns(entropy=entropy)


def derivative(record: Algorithm, table: Table) -> torch.Tensor:
    """The step's loss by each row's log-prob `[M]`, at the policy before the step."""
    weight = record.weighting(table)
    table = table.with_columns(weight=weight, penalty_weight=weight)
    if record.penalty_weighting is not None:
        table = table.with_columns(penalty_weight=record.penalty_weighting(table))
    everything = torch.arange(len(table))
    logprobs = table.old.clone().requires_grad_()
    entropy = table.entropy.clone().requires_grad_() if "entropy" in table.columns else None
    values = table.value.clone().requires_grad_() if "value" in table.columns else None
    for part in record.live_parts:
        if part.prepare is not None:
            view = View(table, everything, table.old, entropy, values)
            table = table.with_columns(**part.prepare(view))
    view = View(table, everything, logprobs, entropy, values)
    loss = (view.weight * record.loss(view)).sum()
    if record.live_penalty is not None:
        loss = loss + (view.penalty_weight * record.live_penalty(view)).sum()
    (slopes,) = torch.autograd.grad(loss, logprobs, allow_unused=True)
    return torch.zeros(len(table)) if slopes is None else slopes


def per_episode_sum(table: Table, values: torch.Tensor) -> torch.Tensor:
    """Sum of rows in each episode `[episodes]`."""
    return torch.zeros(table.count("episode")).index_add(0, table.episode, values)


def parameter_gradient(learner: Learner, table: Table) -> torch.Tensor:
    """The step's gradient, all parameters in one vector on the CPU."""
    learner.model.zero_grad()
    for loss, _ in learner.losses(table):
        learner.accelerator.backward(loss)
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in learner.trained]
    return torch.cat([gradient.flatten().float().cpu() for gradient in found])


def cosines(findings: Sequence[Finding]) -> list[list[float]]:
    """Cosine between the gradients of every pair; 0 where one of them is zero."""
    unit = [f.gradient / f.gradient.norm().clamp(min=1e-30) for f in findings]
    shared = min(len(vector) for vector in unit)  # a value head's parameters come last
    return [[float(a[:shared] @ b[:shared]) for b in unit] for a in unit]


def portions(
    table: Table, credits: Sequence[Credit], groups: Sequence[Group]
) -> dict[str, Portion]:
    """Every agent's part of the credit in a step's table; `groups` are the recorded ones."""
    size = (table.weight * table.advantage).abs().double()
    total = float(size.sum().clamp(min=1e-30))
    places = {credit[:3] for credit in credits}
    calls = Counter(groups[g].episodes[e].trajectories[t].agent for g, e, t in places)
    found = {}
    for code, agent in enumerate(table.names["agent"]):
        own = table.agent == code
        mean = float(table.advantage[own].abs().sum()) / max(1, int(own.sum()))
        found[agent] = Portion(mean, float(size[own].sum()) / total, calls[agent])
    return found
