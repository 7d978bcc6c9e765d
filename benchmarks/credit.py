"""What the catalogue's mathematics costs: credit, weighting, loss and penalty of every record.

One table of a million sampled tokens with given log-probs, entropies and values; every record is
timed in turn with plain GRPO in one process, and the ratio of the medians is printed. Passes of a
model that a record asks for are not in it: they are listed.

    python benchmarks/credit.py [--names grpo,gspo] [--rounds 5] [--tokens 1000000]
"""

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
import torch

from agentrl.algorithms import NAMES, algorithm
from agentrl.table import View, build_table
from agentrl.types import Completion, Episode, Finish, Group, Source, Span, Task, Trajectory, Turn

ATTEMPTS, TURNS, TURN_TOKENS = 8, 4, 64
COLUMNS = ("ref", "entropy", "value", "tempered", "masked", "teacher")


def turn(rng, spans):
    """A turn of random tokens."""
    ids = rng.integers(0, 1000, TURN_TOKENS)
    logprobs = -rng.exponential(0.5, TURN_TOKENS).astype(np.float32)
    said = Completion(ids=ids, logprobs=logprobs, text="", finish=Finish.STOP)
    return Turn(spans=spans, completion=said, reward=0.0, reply=str(rng.integers(3)))


def trajectory(rng):
    """A conversation of four turns, right or wrong."""
    right = bool(rng.integers(2))
    turns, spans = [], (Span(ids=np.arange(8), source=Source.ENV),)
    for _ in range(TURNS):
        turns.append(turn(rng, spans))
        sampled = Span(ids=turns[-1].completion.ids, source=Source.SAMPLED)
        spans = (*spans, sampled, Span(ids=np.arange(4), source=Source.ENV))
    parts = {"solved": float(right)}
    answer = str(rng.integers(3))
    reward = float(right)
    return Trajectory(turns=tuple(turns), reward=reward, success=right, parts=parts, answer=answer)


def batch(tokens):
    """Groups and their annotated table."""
    rng = np.random.default_rng(0)
    groups = []
    for number in range(max(1, tokens // (ATTEMPTS * TURNS * TURN_TOKENS))):
        task = Task(env="bench", data={"number": number})
        episodes = [
            Episode(task=task, attempt=i, trajectories=(trajectory(rng),)) for i in range(ATTEMPTS)
        ]
        groups.append(Group(task=task, episodes=tuple(episodes), notes={"value": 0.5}))
    table = build_table(groups)
    generator = torch.Generator().manual_seed(0)
    made = {
        name: table.behaviour + 0.1 * torch.randn(len(table), generator=generator)
        for name in COLUMNS
    }
    made["entropy"] = made["entropy"].abs()
    texts = tuple(np.array(["so", "<think>", "</think>", "7"])[table.ids.numpy() % 4])
    return groups, replace(table.with_columns(**made), texts=texts)


def once(record, groups, table):
    """Seconds of one step's mathematics, the derivative by each log-prob included."""
    logprobs = (table.old + 0.01).requires_grad_()
    entropy, values = table.entropy.clone().requires_grad_(), table.value.clone().requires_grad_()
    rows = torch.arange(len(table))
    started = time.perf_counter()
    table = record.credit(table, groups)
    weight = record.weighting(table)
    own = record.penalty_weighting
    table = table.with_columns(weight=weight, penalty_weight=weight if own is None else own(table))
    for part in record.live_parts:
        if part.prepare is not None:
            view = View(table, rows, logprobs.detach(), entropy.detach(), values.detach())
            table = table.with_columns(**part.prepare(view))
    view = View(table, rows, logprobs, entropy, values)
    loss = (view.weight * record.loss(view)).sum()
    if record.live_penalty is not None:
        loss = loss + (view.penalty_weight * record.live_penalty(view)).sum()
    loss.backward()
    return time.perf_counter() - started


def main():
    """Print one line per record, the dearest last."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--names", default=",".join(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    options = parser.parse_args()
    groups, table = batch(options.tokens)
    plain = algorithm("grpo").started()
    print(f"{len(table)} tokens, {len(groups)} groups, {torch.get_num_threads()} threads")
    found = []
    for name in options.names.split(","):
        record = algorithm(name).started()
        pairs = [
            (once(plain, groups, table), once(record, groups, table))
            for _ in range(options.rounds + 1)
        ][1:]
        base, own = (statistics.median(times) for times in zip(*pairs, strict=True))
        passes = sorted(record.needs - {"text"})
        found.append((own / base, name, own, passes))
    for ratio, name, own, passes in sorted(found):
        print(f"{name:<28} {ratio:6.2f} x GRPO {1000 * own:8.1f} ms  extra passes: {passes or '-'}")


if __name__ == "__main__":
    main()
