"""Learning, over seeds, against a control that spends the same compute on the warm start alone.

    python benchmarks/learning.py quickstart --seeds 0 1 2

Runs `agentrl train` once per seed and once per seed for the control, one after the other, and
prints a Markdown table. The control's warm start is longer by the seconds that the run spent on
generating and training.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path


def train(config: str, out: Path, *overrides: str) -> dict:
    """One run in a process of its own; returns its summary."""
    command = [sys.executable, "-m", "agentrl", "train", config, f"out={out}", *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "summary.json").read_text())


def control_steps(summary: dict, steps: int) -> int:
    """Warm-start steps that take as long as the whole run took without its evaluations."""
    seconds = summary["seconds"]
    return round(
        steps * (1 + (seconds["generation"] + seconds["training"]) / seconds["warm_start"])
    )


def cell(evaluation: dict) -> str:
    """Success with its interval."""
    low, high = evaluation["interval"]
    return f"{evaluation['success']:.3f} [{low:.3f}, {high:.3f}]"


def rows(config: str, seed: int, root: Path, *, control: bool) -> list[str]:
    """The table's rows for one seed."""
    summary = train(config, root / f"seed-{seed}", f"seed={seed}")
    greedy = {
        row["when"]: row["success"]
        for row in summary["table"]
        if (row["mode"], row["tasks"]) == ("greedy", "held-out")
    }
    paired = summary["change"]["greedy"]
    total = sum(summary["seconds"].values())
    low, high = paired["interval"]
    lines = [
        f"| {seed} | {cell(summary['before'])} | {cell(summary['after'])} "
        f"| {summary['change']['sampled']['mean']:+.3f} "
        f"| {greedy['before']:.3f} -> {greedy['after']:.3f} "
        f"| {paired['mean']:+.3f} [{low:+.3f}, {high:+.3f}] | {total:.0f} |"
    ]
    if control:
        import yaml

        resolved = yaml.safe_load((root / f"seed-{seed}" / "run.yaml").read_text())
        steps = control_steps(summary, resolved["warm_start"]["steps"])
        alone = train(
            config,
            root / f"control-{seed}",
            f"seed={seed}",
            f"warm_start.steps={steps}",
            "train.steps=0",
        )
        gain = alone["after"]["success"] - summary["before"]["success"]
        lines.append(
            f"| {seed}, warm start alone ({steps} steps) | {cell(summary['before'])} "
            f"| {cell(alone['after'])} | {gain:+.3f} | | | {sum(alone['seconds'].values()):.0f} |"
        )
    return lines


def main() -> None:
    """Print the table, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", nargs="?", default="quickstart")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    parser.add_argument("--no-control", action="store_true")
    options = parser.parse_args()
    heads = ["seed", "sampled before", "sampled after", "change", "greedy", "paired", "seconds"]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads), flush=True)
    for seed in options.seeds:
        root = options.out / options.config
        for line in rows(options.config, seed, root, control=not options.no_control):
            print(line, flush=True)


if __name__ == "__main__":
    main()
