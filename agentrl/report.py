"""What a run amounts to: evaluations before and after, the curve between, the seconds spent."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from agentrl.config import Run
from agentrl.evaluate import Evaluation, paired_change
from agentrl.learner import Metrics
from agentrl.session import Session

Look = dict[tuple[str, str], Evaluation]
"""(sampled | greedy, seen | held-out) -> evaluation."""


class Report:
    """Collects a run's evaluations and times, and writes the summary."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.looks: dict[str, Look] = {}
        self.curve: list[tuple[int, float]] = []
        self.held_out: list[tuple[int, float]] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the block's time to `seconds[name]`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started

    def look(self, when: str, session: Session) -> None:
        """Evaluate sampled and greedy, on seen and on held-out tasks."""
        seen = session.train_tasks[: len(session.test_tasks)]
        pools = {"held-out": session.test_tasks, "seen": seen}
        with self.timed("evaluation"):
            self.looks[when] = {
                (mode, pool): session.evaluate(tasks, temperature=temperature)
                for mode, temperature in (("sampled", session.plan.temperature), ("greedy", 0.0))
                for pool, tasks in pools.items()
            }
        if when == "before":
            self.held_out.append((0, self.looks[when]["sampled", "held-out"].success))

    def peek(self, session: Session, step: int) -> float:
        """Sampled success on held-out tasks, for the curve."""
        with self.timed("evaluation"):
            seen = session.evaluate(session.test_tasks, temperature=session.plan.temperature)
        self.held_out.append((step, seen.success))
        return seen.success

    def account(self, step: int, metrics: Metrics, playing: float, learning: float) -> None:
        """Take a step's success and times."""
        self.curve.append((step, metrics["train/success"]))
        self.seconds["generation"] += playing
        self.seconds["training"] += learning

    def summary(self, checkpoint: Path | None) -> dict[str, Any]:
        """What `summary.json` holds; `before` and `after` are sampled on held-out tasks."""
        before, after = self.looks["before"], self.looks["after"]
        key = ("sampled", "held-out")
        return {
            "task": self.run.env_id,
            "env": self.run.resolved()["env"],
            "seed": self.run.seed,
            "before": before[key].as_dict(),
            "after": after[key].as_dict(),
            "change": {
                mode: paired_change(before[mode, "held-out"], after[mode, "held-out"])
                for mode in ("sampled", "greedy")
            },
            "table": [
                {"when": when, "mode": mode, "tasks": pool, **evaluation.as_dict()}
                for when, look in self.looks.items()
                for (mode, pool), evaluation in look.items()
            ],
            "algorithm": self.run.algorithm_name,
            "checkpoint": str(checkpoint),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }

    def write(self, out: Path, console: Console, checkpoint: Path | None) -> dict[str, Any]:
        """Print the table, draw the curve, write `summary.json`."""
        summary = self.summary(checkpoint)
        console.print(self.grid())
        self.draw(out / "learning_curve.png")
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        total = sum(self.seconds.values())
        console.print(
            f"{total:.0f} s in all. Summary {out / 'summary.json'}, "
            f"curve {out / 'learning_curve.png'}, checkpoint {checkpoint}",
            soft_wrap=True,
        )
        return summary

    def grid(self) -> Grid:
        """The table of all evaluations."""
        title = f"{self.run.env_id}, {self.run.algorithm_name}, seed {self.run.seed}"
        grid = Grid(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for column in (
            "",
            "mode",
            "tasks",
            "success",
            "95% interval",
            "turns",
            "tokens",
            "seconds",
        ):
            left = column in ("", "mode", "tasks")
            grid.add_column(column, justify="left" if left else "right", no_wrap=True)
        for when, look in self.looks.items():
            for (mode, pool), e in look.items():
                low, high = e.interval
                cells = [f"{e.success:.3f}", f"{low:.3f} - {high:.3f}", f"{e.turns:.2f}"]
                cells += [f"{e.tokens:.1f}", f"{e.seconds:.1f}"]
                grid.add_row(when, mode, f"{e.n} {pool}", *cells)
        return grid

    def draw(self, path: Path) -> None:
        """The learning curve as a picture."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        if self.curve:
            axes.plot(
                *zip(*self.curve, strict=True), color="#9db4c0", lw=1, label="training episodes"
            )
        after = self.looks["after"]["sampled", "held-out"]
        points = [*self.held_out, (len(self.curve), after.success)]
        axes.plot(
            *zip(*points, strict=True), "o-", color="#1f5673", label="held-out tasks, sampled"
        )
        for when, x in (("before", 0), ("after", len(self.curve))):
            low, high = self.looks[when]["sampled", "held-out"].interval
            axes.plot([x, x], [low, high], color="#1f5673", lw=3, alpha=0.5)
        axes.set(xlabel="step", ylabel="success", ylim=(0, 1.02), title=self.grid().title)
        axes.legend(loc="lower right")
        figure.savefig(path, dpi=120)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to report on the whole."""
        looks = {
            when: [[mode, pool, asdict(e)] for (mode, pool), e in look.items()]
            for when, look in self.looks.items()
        }
        return {
            "looks": looks,
            "curve": self.curve,
            "held_out": self.held_out,
            "seconds": dict(self.seconds),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.looks = {
            when: {(mode, pool): Evaluation(**values) for mode, pool, values in look}
            for when, look in state["looks"].items()
        }
        self.curve = [tuple(point) for point in state["curve"]]
        self.held_out = [tuple(point) for point in state["held_out"]]
        self.seconds.update(state["seconds"])
