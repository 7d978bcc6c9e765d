"""Preference pairs: which attempts are compared, their losses, and weights for groups of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from agentrl.table import Table

Kind = Literal["dpo", "ipo"]


def best_and_worst(table: Table) -> tuple[torch.Tensor, torch.Tensor]:
    """Each group's attempts of the largest and the smallest reward, the first of equal ones.

    Returns their numbers, `[pairs]` each; a group without a difference has no pair.
    """
    best, worst = [], []
    for number in range(table.num_groups):
        attempts = (table.owner["episode"] == number).nonzero()[:, 0]
        rewards = table.rewards[attempts]
        if len(attempts) > 1 and float(rewards.max() - rewards.min()) > 1e-12:
            best.append(int(attempts[rewards.argmax()]))
            worst.append(int(attempts[rewards.argmin()]))
    return torch.tensor(best, dtype=torch.int64), torch.tensor(worst, dtype=torch.int64)


def preference_losses(margin: torch.Tensor, *, beta: float, kind: Kind) -> torch.Tensor:
    """Loss `[pairs]` of pairs whose log-ratios to the reference differ by `margin` nats.

    `dpo` is -log sigmoid(beta h), `ipo` (h - 1/(2 beta))^2.
    """
    if kind == "ipo":
        return (margin - 1 / (2 * beta)) ** 2
    return -torch.nn.functional.logsigmoid(beta * margin)


def group_losses(losses: torch.Tensor, of: torch.Tensor, totals: torch.Tensor) -> torch.Tensor:
    """Summed losses `[N]` of each group over its share of all pairs `[K]`; 0 for absent ones."""
    summed = torch.zeros(len(totals), dtype=losses.dtype).index_add(0, of, losses)
    return totals.sum() * summed / totals.clamp(min=1)


def mirror_ascent(log_q: torch.Tensor, losses: torch.Tensor, eta: float) -> torch.Tensor:
    """The log weights of groups `[K]` after one step towards the larger losses."""
    return (log_q + eta * losses).log_softmax(0)


class GroupWeights:
    """A weight per named group, moved by mirror ascent; it remembers how many pairs it met."""

    def __init__(self, eta: float) -> None:
        self.eta = eta
        self.log_q: dict[str, float] = {}
        self.totals: dict[str, int] = {}

    def factors(self, names: Sequence[str], losses: torch.Tensor) -> torch.Tensor:
        """Each pair's factor q_g N/N_g, `[pairs]`, after the weights have moved."""
        start = sum(self.log_q.values()) / max(1, len(self.log_q))
        for name in sorted(set(names)):
            self.log_q.setdefault(name, start)
            self.totals[name] = self.totals.get(name, 0) + names.count(name)
        known = list(self.log_q)
        of = torch.tensor([known.index(name) for name in names])
        totals = torch.tensor([float(self.totals[name]) for name in known], dtype=losses.dtype)
        log_q = torch.tensor([self.log_q[name] for name in known], dtype=losses.dtype)
        log_q = mirror_ascent(log_q, group_losses(losses, of, totals), self.eta)
        self.log_q = dict(zip(known, log_q.tolist(), strict=True))
        return (log_q.exp() * totals.sum() / totals)[of]

    def state_dict(self) -> dict[str, Any]:
        """Log weights and counts by name."""
        return {"log_q": dict(self.log_q), "totals": dict(self.totals)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.log_q, self.totals = dict(state["log_q"]), dict(state["totals"])
