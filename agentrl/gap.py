"""The gap between engine and learner on the same tokens: its figures, and the alarm.

`behaviour` is what the engine reported when it sampled a token, `old` what the learner gives it
before the step. They should differ by arithmetic only; `agentrl doctor mismatch` says what else
makes a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agentrl.table import Table

WRITTEN = "script"
"""The policy that scripted completions name: nothing was sampled there."""
FAR = 2.0
"""A probability that is off by more than this factor, either way, counts as outside."""


def sampled(table: Table) -> torch.Tensor:
    """Which rows `[M]` (bool) the policy sampled itself, for itself: those that have a gap."""
    codes = [i for i, name in enumerate(table.names.get("policy", ())) if name == WRITTEN]
    own = table.columns["off_policy"] == 0
    return own & ~torch.isin(table.columns["policy"], torch.tensor(codes, dtype=torch.int64))


def gap_metrics(table: Table) -> dict[str, float]:
    """The gap of a table whose `old` is set; nothing if the policy sampled no row itself.

    mean_abs, max_abs, kl (the k3 estimate of KL(engine || learner)) in nats; ratio_max, the largest
    exp(old - behaviour); outside, the share of ratios outside [1/2, 2]; where tokens of several
    versions meet, mean_abs of each, by how many versions it lags behind the newest.
    """
    rows = sampled(table)
    if not bool(rows.any()):
        return {}
    log_ratio = (table.old - table.behaviour)[rows].double()
    gap, ratio = log_ratio.abs(), log_ratio.exp()
    found = {
        "gap/mean_abs": gap.mean(),
        "gap/max_abs": gap.max(),
        "gap/kl": (ratio - 1 - log_ratio).mean(),
        "gap/ratio_max": ratio.max(),
        "gap/outside": ((ratio > FAR) | (ratio < 1 / FAR)).double().mean(),
    }
    lags = table.version[rows].max() - table.version[rows]
    if bool(lags.any()):
        means = {lag: gap[lags == lag].mean() for lag in sorted(set(lags.tolist()))}
        found |= {f"gap/lag_{lag}": mean for lag, mean in means.items()}
    return {name: float(value) for name, value in found.items()}


@dataclass(kw_only=True, slots=True)
class GapAlarm:
    """Watches the mean absolute gap of every step."""

    warn: float = 0.05
    """Nats above which a line is due, and another one whenever the gap has doubled; 0 is never."""
    stop: float = 0.0
    """Nats above which no step is made; 0 is never."""
    run: str = "RUN"
    """The run's folder, for the command in the message."""
    said: float = 0.0
    """The gap at the last line."""

    def refusal(self, table: Table) -> str:
        """Why no step may be made on a table, empty if it may."""
        metrics = gap_metrics(table) if self.stop else {}
        if metrics.get("gap/mean_abs", 0.0) <= self.stop:
            return ""
        return (
            f"{described(metrics)}, above learner.gap_stop={self.stop:g}: run "
            f"`agentrl doctor mismatch {self.run}`"
        )

    def line(self, metrics: dict[str, float]) -> str:
        """The warning that is due after a step, empty if none is."""
        gap = metrics.get("gap/mean_abs", 0.0)
        if not self.warn or gap <= max(self.warn, 2 * self.said):
            return ""
        self.said = gap
        return (
            f"warning: {described(metrics)}, above learner.gap_warn={self.warn:g}; "
            f"`agentrl doctor mismatch {self.run}` looks for the reason"
        )


def described(metrics: dict[str, float]) -> str:
    """The figures in a sentence."""
    return (
        f"the engine's log-probs are {metrics['gap/mean_abs']:.3g} nats from the learner's on "
        f"average, {metrics['gap/max_abs']:.3g} at most"
    )
