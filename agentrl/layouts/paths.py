"""Lines in which samples share what they have in common: each sample is a path through its line.

The two layouts that share prefixes differ only in how they cut a group's samples into lines. A
line's tokens are in depth-first order, so what sees what is one interval per token:

    samples  a b c d        line    a b c d e f       path of a b e   0 1 4
             a b e          depth   0 1 2 3 2 1
             a f            ends    6 5 4 4 5 6       d sees a b c d, e sees a b e

Across groups nothing is shared: that would be little more than the system prompt, and a mask over
strangers costs more than it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agentrl.layouts.attention import Inputs, check
from agentrl.layouts.base import Rows
from agentrl.layouts.head import Chunks, predict
from agentrl.layouts.padded import alike, rows_by_sample
from agentrl.table import Table
from agentrl.types import Ids

Index = NDArray[np.int64]


class Line(NamedTuple):
    """Samples laid over each other."""

    ids: Ids
    """`[T]`."""
    depth: Index
    """`[T]` position of each token in every sample that it belongs to."""
    ends: Index
    """`[T]` where the part below each token ends."""
    paths: list[Index]
    """Each sample's tokens as indices into the line."""


class Piece(NamedTuple):
    """Some samples of a group, by their place in its sorted ones, for one line."""

    start: int
    stop: int
    prefix: int | None = None
    """Tokens that all of them share; None shares whatever two neighbours have in common."""


@dataclass(frozen=True, slots=True)
class PathBatch:
    """Some lines, padded, and the table rows they hold."""

    inputs: Inputs
    rows: torch.Tensor
    """Table rows `[m]` in this batch; several may be one token of a line."""
    line: torch.Tensor
    """Line of each row `[m]`."""
    position: torch.Tensor
    """Index in that line of each row's token `[m]`."""
    before: torch.Tensor
    """Index in that line of the token that predicts it `[m]`."""


class Paths:
    """A layout in which the samples of a group share prefixes; `cut` says how."""

    def __init__(self, *, head_chunk: int = 0, layer_chunk: int = 0) -> None:
        self.chunks = Chunks(head_chunk, layer_chunk)

    def cut(self, lengths: list[int], common: list[int], token_budget: int) -> list[Piece]:
        """Lines for sorted samples; `common[i]` tokens are shared by the samples i - 1 and i."""
        raise NotImplementedError

    def check(self, model: Any) -> None:
        """Refuse a model that this layout cannot run. Raises: ConfigError."""
        check(model, f"layout={type(self).__name__.lower()}", masked=True)
        self.chunks.check(model)

    def batches(self, table: Table, token_budget: int) -> Iterator[PathBatch]:
        """The table's samples that have rows, at most `token_budget` tokens at a time, or one."""
        rows_of = rows_by_sample(table)
        lines, held = [], []
        for members in by_group(table):
            spoken = in_order(table, [i for i in members if len(rows_of[i])])
            if not spoken:
                continue
            sequences = [table.samples[i].ids for i in spoken]
            common = neighbours(sequences)
            for piece in self.cut([len(ids) for ids in sequences], common, token_budget):
                lines.append(lay(sequences, common, piece))
                held.append([rows_of[i] for i in spoken[piece.start : piece.stop]])
        for chosen in alike([len(line.ids) for line in lines], token_budget):
            yield together(table, [lines[i] for i in chosen], [held[i] for i in chosen])

    def forward(
        self,
        model: Any,
        batch: PathBatch,
        *,
        temperature: float = 1.0,
        entropy: bool = False,
        head: torch.nn.Module | None = None,
    ) -> Rows:
        """What the model says of the batch's rows, in nats of the tempered distribution."""
        self.check(model)
        options: dict[str, Any] = {"hidden": head is not None, "chunks": self.chunks}
        found = predict(model, batch.inputs, batch.line, batch.before, **options)
        targets = batch.inputs.ids[batch.line, batch.position]
        return found.rows(targets, temperature=temperature, entropy=entropy, head=head)


def by_group(table: Table) -> list[list[int]]:
    """The samples of each group."""
    trajectory = table.owner["sample"]
    group = table.owner["episode"][table.owner["trajectory"][trajectory]]
    members: list[list[int]] = [[] for _ in range(table.num_groups)]
    for sample, number in enumerate(group.tolist()):
        members[number].append(sample)
    return members


def in_order(table: Table, samples: list[int]) -> list[int]:
    """Samples sorted by their ids, so that those with a common prefix are neighbours."""
    return sorted(samples, key=lambda i: table.samples[i].ids.astype(">i8").tobytes())


def neighbours(sequences: Sequence[Ids]) -> list[int]:
    """Tokens that each sequence begins with like the one before it; 0 for the first."""
    return [0, *(shared(one, other) for one, other in pairwise(sequences))]


def shared(one: Ids, other: Ids) -> int:
    """Length of the longest common prefix."""
    shorter = min(len(one), len(other))
    differ = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differ[0]) if len(differ) else shorter


def lay(sequences: Sequence[Ids], common: Sequence[int], piece: Piece) -> Line:
    """Lay a piece's sequences over each other, each from where it leaves the one before it."""
    chosen = range(piece.start, piece.stop)
    leaves = [common[i] if piece.prefix is None else piece.prefix for i in chosen]
    leaves[0] = 0
    path, paths, size = np.empty(0, np.int64), [], 0
    ends = np.empty(sum(len(sequences[i]) for i in chosen), np.int64)
    for i, left in zip(chosen, leaves, strict=True):
        ends[path[left:]] = size
        new = np.arange(size, size + len(sequences[i]) - left)
        path, size = np.concatenate([path[:left], new]), size + len(new)
        paths.append(path)
    ends[path] = size
    tails = list(zip(chosen, leaves, strict=True))
    ids = np.concatenate([sequences[i][left:] for i, left in tails])
    depth = np.concatenate([np.arange(left, len(sequences[i])) for i, left in tails])
    return Line(ids, depth, ends[:size], paths)


def together(table: Table, lines: list[Line], held: list[list[torch.Tensor]]) -> PathBatch:
    """Lines padded to the longest; padding sees itself alone, for a softmax needs something."""
    shape = (len(lines), max(len(line.ids) for line in lines))
    ids, depth = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    ends = torch.arange(1, shape[1] + 1).repeat(shape[0], 1)
    columns: list[list[torch.Tensor]] = [[], [], [], []]
    for number, (line, rows_of) in enumerate(zip(lines, held, strict=True)):
        for target, source in zip((ids, depth, ends), line[:3], strict=True):
            target[number, : len(source)] = torch.from_numpy(source)
        for path, rows in zip(line.paths, rows_of, strict=True):
            position, along = table.columns["position"][rows], torch.from_numpy(path)
            found = (rows, torch.full_like(rows, number), along[position], along[position - 1])
            for column, part in zip(columns, found, strict=True):
                column.append(part)
    return PathBatch(Inputs(ids, None, depth, ends), *(torch.cat(column) for column in columns))


def cost(line: Line) -> tuple[list[int], list[int]]:
    """Tokens and attention pairs of a line's samples, one by one and laid over each other."""
    lengths = np.array([len(path) for path in line.paths], np.int64)
    pairs = lengths * (lengths + 1) // 2
    return [int(lengths.sum()), len(line.ids)], [int(pairs.sum()), int((line.depth + 1).sum())]
