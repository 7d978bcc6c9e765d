"""Success on tasks, with an interval and a record of every task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentrl.types import Episode, Group, Task, Trajectory

Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What one pass over some tasks showed."""

    successes: dict[str, float]
    """Task id -> share of its attempts that succeeded, without failed (broken) attempts."""
    skipped: int
    """Attempts left out."""
    pass_at: dict[int, float]
    """k -> probability that at least one of k attempts succeeds."""
    turns: float
    """Mean turns of an attempt."""
    tokens: float
    """Mean sampled tokens of an attempt, of all its agents."""
    seconds: float
    parts: dict[str, float] = field(default_factory=dict)
    """Mean of each named reward part over attempts, whatever its weight."""
    kinds: dict[str, dict[str, float]] = field(default_factory=dict)
    """Kind of task -> `success` and `n`, where the environment tells kinds apart."""

    @property
    def n(self) -> int:
        """Tasks that count."""
        return len(self.successes)

    @property
    def success(self) -> float:
        """Mean success over tasks."""
        return sum(self.successes.values()) / max(1, self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of `success` (Wilson)."""
        return wilson(self.success, self.n)

    def as_dict(self) -> dict[str, Any]:
        """`{success, interval, n}` and the rest, for JSON."""
        return {
            "success": self.success,
            "interval": list(self.interval),
            "n": self.n,
            "skipped": self.skipped,
            "turns": self.turns,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "parts": self.parts,
            **({"kinds": self.kinds} if self.kinds else {}),
        }


def evaluate(
    play: Callable[[Sequence[Task], int], Sequence[Group]],
    tasks: Sequence[Task],
    *,
    attempts: int = 1,
    kind: Callable[[Task], str] | None = None,
) -> Evaluation:
    """Attempt tasks `attempts` times each with `play(tasks, attempts)`; `kind` tells them apart."""
    import time

    started = time.perf_counter()
    groups = play(tasks, attempts)
    live = {group.task.id: group.live for group in groups if group.live}
    scores = {task: [e.main.success for e in episodes] for task, episodes in live.items()}
    played = [episode for group in live.values() for episode in group]
    episodes = [episode.main for episode in played]
    count = max(1, len(episodes))
    ks = [k for k in (1, 2, 4, 8, 16, 32) if k <= attempts]
    return Evaluation(
        successes={task: sum(flags) / len(flags) for task, flags in scores.items()},
        skipped=sum(len(group.episodes) - len(group.live) for group in groups),
        pass_at={k: mean([pass_at_k(len(f), sum(f), k) for f in scores.values()]) for k in ks},
        turns=sum(len(episode.turns) for episode in episodes) / count,
        tokens=sum(episode.num_tokens for episode in played) / count,
        seconds=time.perf_counter() - started,
        parts=mean_parts(episodes),
        kinds={
            name: {"success": mean([e.main.success for e in found]), "n": len(tasks)}
            for name, (tasks, found) in by_kind(groups, kind).items()
        },
    )


def by_kind(
    groups: Sequence[Group], kind: Callable[[Task], str] | None
) -> dict[str, tuple[set[str], list[Episode]]]:
    """Kind -> its tasks' ids and the live episodes at them; empty where nothing has a kind."""
    found: dict[str, tuple[set[str], list[Episode]]] = {}
    for group in groups:
        name = kind(group.task) if kind is not None else ""
        if name and group.live:
            tasks, episodes = found.setdefault(name, (set(), []))
            tasks.add(group.task.id)
            episodes.extend(group.live)
    return dict(sorted(found.items()))


def mean_parts(episodes: Sequence[Trajectory]) -> dict[str, float]:
    """Mean of each named part; an episode without a part counts as 0."""
    names = sorted({name for episode in episodes for name in episode.parts})
    return {name: mean([e.parts.get(name, 0.0) for e in episodes]) for name in names}


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a share of `n` independent trials; (0, 1) without trials."""
    if n == 0:
        return 0.0, 1.0
    z2 = Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # rounding


def paired_change(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """Mean change over the tasks that both evaluated, with its paired 95% interval (normal)."""
    both = sorted(before.successes.keys() & after.successes.keys())
    changes = [after.successes[task] - before.successes[task] for task in both]
    centre = mean(changes)
    variance = sum((c - centre) ** 2 for c in changes) / max(1, len(changes) - 1)
    half = Z95 * math.sqrt(variance / max(1, len(changes)))
    return {"mean": centre, "interval": [centre - half, centre + half], "n": len(changes)}


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate that one of k attempts succeeds, from `correct` of n.

    Source: arXiv 2107.03374 (eq 1).
    """
    if n - correct < k:
        return 1.0
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def mean(values: Sequence[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
