"""Where a run's numbers go: the terminal, `metrics.jsonl`, TensorBoard and the journal.

`episodes.jsonl` is the journal's export, written when the recorder closes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agentrl.attribution import Attribution
from agentrl.journal.folder import export
from agentrl.journal.writing import Writer
from agentrl.protocols import Choice
from agentrl.table import Table
from agentrl.types import Group

if TYPE_CHECKING:
    import torch

SHOWN = {
    "train/success": "success {:.2f}",
    "train/reward": "reward {:+.2f}",
    "train/entropy": "entropy {:.2f}",
    "learner/kl": "kl {:.3f}",
    "learner/clip_fraction": "clip {:.2f}",
    "learner/loss": "loss {:+.3f}",
    "speed/generation": "tok/s gen {:.0f}",
    "speed/environment": "env {:.0f}",
    "speed/training": "train {:.0f}",
}
"""Metrics on the progress line; the others are in the files."""


class Recorder:
    """Writes as it goes: every line is on disk before the next step starts.

    `resume` is the step that a resumed run repeats first: what a killed one wrote from there on is
    dropped, or in the journal no longer of the run's lineage. The recorder closes the journal.
    """

    def __init__(
        self, out: Path, console: Console, writer: Writer, resume: int | None = None
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        out.mkdir(parents=True, exist_ok=True)
        self.out, self.console, self.writer = out, console, writer
        files = [out / f"{name}.jsonl" for name in ("metrics", "choices")]
        if resume is not None:
            for path in files:
                rewind(path, resume)
        self.metrics, self.ledger = (path.open("a", buffering=1) for path in files)
        self.attribution = Attribution()
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=resume)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[line]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.progress.start()

    def begin(self, phase: str, total: int) -> None:
        """Start a phase of `total` steps on the progress bar."""
        self.phase, self.total = phase, total
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        self.bar = self.progress.add_task(phase, total=total, line="")

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """One step's metrics, everywhere."""
        row = {"phase": self.phase, "step": step, **metrics}
        self.metrics.write(json.dumps(row) + "\n")
        for name, value in metrics.items():
            tag = name if self.phase == "train" else f"{self.phase}/{name}"
            self.board.add_scalar(tag, value, step)
        line = " ".join(SHOWN[name].format(metrics[name]) for name in SHOWN if name in metrics)
        self.progress.update(self.bar, completed=step + 1, line=line)
        tenth = max(1, self.total // 10)
        if not self.console.is_terminal and (step + 1) % tenth == 0:
            text = f"{self.phase} {step + 1}/{self.total} {line}"
            self.console.print(text, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """A line above the progress bar, if there is one to say."""
        if line:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def groups(self, step: int, groups: Sequence[Group]) -> int:
        """Every episode, into the journal; the number of the first group there."""
        first = self.writer.groups(step, groups)
        self.attribution.note(step, first, groups)
        return first

    def credits(
        self, step: int, table: Table, groups: Sequence[Group], weight: torch.Tensor
    ) -> None:
        """What the learner made of the groups, into the journal; `weight` is `[M]`."""
        self.writer.credits(step, self.attribution.credits(table, groups, weight))

    def choices(self, step: int, choices: Sequence[Choice], groups: Sequence[Group]) -> None:
        """The sampler's ledger: what each decision believed, cost and earned, a line each."""
        for choice, group in zip(choices, groups, strict=True):
            self.ledger.write(json.dumps(choice_record(step, choice, group)) + "\n")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Flush and close everything, and export the episodes."""
        self.progress.stop()
        self.metrics.close()
        self.ledger.close()
        self.board.close()
        with self.writer.journal as journal:
            export(journal, self.writer.run, self.out / "episodes.jsonl")


def rewind(path: Path, step: int) -> None:
    """Drop the rows of training steps from `step` on, and a last line that a kill cut short."""
    if not path.exists():
        return
    draft = path.with_suffix(".draft")
    with path.open() as old, draft.open("w") as new:
        for line in old:
            if not line.endswith("\n"):
                break
            row = json.loads(line)
            if row.get("phase", "train") != "train" or row["step"] < step:
                new.write(line)
    os.replace(draft, path)


def choice_record(step: int, choice: Choice, group: Group) -> dict[str, Any]:
    """A sampler's decision for `choices.jsonl`; the cost counts what is not in the group too."""
    own = [episode.main for episode in group.live if not episode.hint]
    return {
        "step": step,
        "task": choice.task.id,
        "attempts": choice.attempts,
        "notes": dict(choice.notes),
        "successes": sum(trajectory.success for trajectory in own),
        "attempted": len(own),
        **group.cost._asdict(),
    }
