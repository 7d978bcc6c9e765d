"""What the journal costs a training: steps with and without it, by turns in one process.

Every round trains some steps without the journal and some with it, in an order that alternates, on
one model; the ratio of their seconds is printed with a 95% interval over the rounds. What counts as
the journal's is writing groups, finding each turn's credit and writing it; exporting
`episodes.jsonl` at the end of a run is timed apart.

    python benchmarks/journal.py [--config quickstart] [--rounds 20] [--steps 2] [key=value ...]
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console

from agentrl.config import load_run
from agentrl.episodes import episode_record
from agentrl.journal.folder import export, start
from agentrl.record import Recorder
from agentrl.report import Report
from agentrl.session import Session
from agentrl.train import Trainer


class Optional(Recorder):
    """A recorder that can be told to leave the journal out, and times what is the journal's."""

    journaled = True
    seconds = 0.0

    def groups(self, step, groups):
        """Into the journal, or nowhere."""
        self.timed(super().groups, None, step, groups)

    def credits(self, *given):
        """Into the journal, or nowhere."""
        self.timed(super().credits, None, *given)

    def timed(self, function, otherwise, *given):
        """What a function gives if the journal is on."""
        if not self.journaled:
            return otherwise
        started = time.perf_counter()
        found = function(*given)
        self.seconds += time.perf_counter() - started
        return found


def prepared(session, record):
    """A trainer behind the warm start."""
    run, report = session.run, Report(session.run)
    record.begin("warm start", run.warm_start.settings["steps"])
    run.warm_start(session.model, session.demonstrations, run.seed, record.step)
    session.policy.load()
    trainer = Trainer(session, record, report)
    trainer.start(None, None)
    return trainer


def advance(trainer, steps):
    """Seconds of some steps."""
    started = time.perf_counter()
    for _ in range(steps):
        trainer.advance()
    return time.perf_counter() - started


def measured(trainer, record, options):
    """Per round: seconds without and with, and the journal's own of the latter."""
    rounds = []
    for number in range(options.rounds + 1):
        found = {}
        for journaled in (False, True) if number % 2 else (True, False):
            record.journaled, record.seconds = journaled, 0.0
            found[journaled] = advance(trainer, options.steps)
            if journaled:
                own = record.seconds
        rounds.append((found[False], found[True], own))
    return rounds[1:]


def interval(values):
    """Mean and half the width of its 95% interval."""
    spread = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return statistics.mean(values), 1.96 * spread


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        short = ["train.eval_every=0", f"train.steps={10**6}", "train.checkpoint_every=1000000"]
        run = load_run(options.config, [*short, f"out={out}", *options.overrides])
        console = Console(file=io.StringIO())
        writer = start(run.place, out, run.resolved(), None).writer
        with Session(run) as session, Optional(out, console, writer) as record:
            show(options, run, measured(prepared(session, record), record, options))
            show_export(writer, out)


def show(options, run, rounds):
    """The table of one configuration."""
    plan = run.rollout()
    ratio, wide = interval([with_it / without for without, with_it, _ in rounds])
    own, own_wide = interval([mine / with_it for _, with_it, mine in rounds])
    step = statistics.median(without for without, _, _ in rounds) / options.steps
    mine = statistics.median(mine for *_, mine in rounds) / options.steps
    print(f"{options.config}: {plan.tasks} tasks x {plan.attempts} attempts, {len(rounds)} rounds")
    print(f"  a step without          {1000 * step:8.1f} ms")
    print(f"  the journal's own       {1000 * mine:8.1f} ms, {own:.2%} +- {own_wide:.2%} of a step")
    print(f"  steps with / without    {ratio:8.4f} +- {wide:.4f}")


def show_export(writer, out):
    """What the export takes, and what writing its lines took of old."""
    journal, path = writer.journal, out / "episodes.jsonl"
    started = time.perf_counter()
    count = export(journal, writer.run, path)
    took = time.perf_counter() - started
    groups = journal.groups(writer.run)
    started = time.perf_counter()
    for group in groups:
        for episode in group.episodes:
            json.dumps(episode_record(0, episode))
    lines = time.perf_counter() - started
    sizes = [(out / name).stat().st_size / count for name in ("journal.sqlite", "episodes.jsonl")]
    print(f"  export                  {1000 * took / count:8.3f} ms an episode, {count} of them")
    print(f"  its lines alone         {1000 * lines / count:8.3f} ms an episode")
    print(f"  bytes an episode        {sizes[0]:8.0f} journal, {sizes[1]:.0f} export")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
