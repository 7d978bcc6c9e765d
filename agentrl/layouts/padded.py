"""The padded layout: samples sorted by length, right-padded, in micro-batches under a token budget.

Answers a layout's one question: the log-prob and entropy of each row of the table. The shift
between a token and the position that predicts it happens here, once (`predictions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agentrl.layouts.attention import Inputs
from agentrl.layouts.base import Rows
from agentrl.layouts.head import Chunks, Predictions, predict
from agentrl.table import Table

MIN_FILL = 0.7
"""A sample shorter than this share of a batch's width opens a new one: padding costs like text."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Some samples, padded, and the table rows they hold."""

    input_ids: torch.Tensor
    """`[B, T]`; the padding's value is 0 and never matters."""
    attention_mask: torch.Tensor
    """`[B, T]`, 1 on real tokens; made from lengths, never from ids."""
    rows: torch.Tensor
    """Table rows `[m]` in this batch."""
    line: torch.Tensor
    """Line of `input_ids` of each row `[m]`."""
    position: torch.Tensor
    """Position in that line of each row's token `[m]`."""


class Padded:
    """One line per sample; what every other layout is compared with."""

    def __init__(self, *, head_chunk: int = 0, layer_chunk: int = 0) -> None:
        self.chunks = Chunks(head_chunk, layer_chunk)

    def check(self, model: Any) -> None:
        """Refuse a model that this layout cannot run. Raises: ConfigError."""
        self.chunks.check(model)

    def batches(self, table: Table, token_budget: int) -> Iterator[MicroBatch]:
        """The table's samples that have rows, at most `token_budget` padded tokens, or one."""
        rows_of = rows_by_sample(table)
        spoken = [i for i, rows in enumerate(rows_of) if len(rows)]
        lengths = [len(table.samples[i].ids) for i in spoken]
        for places in alike(lengths, token_budget):
            chosen = [spoken[place] for place in places]
            yield _pad(table, chosen, lengths[places[0]], [rows_of[i] for i in chosen])

    def forward(
        self,
        model: Any,
        batch: MicroBatch,
        *,
        temperature: float = 1.0,
        entropy: bool = False,
        head: torch.nn.Module | None = None,
    ) -> Rows:
        """What the model says of the batch's rows, in nats of the tempered distribution."""
        found = predictions(model, batch, hidden=head is not None, chunks=self.chunks)
        targets = batch.input_ids[batch.line, batch.position]
        return found.rows(targets, temperature=temperature, entropy=entropy, head=head)


def rows_by_sample(table: Table) -> tuple[torch.Tensor, ...]:
    """Each sample's table rows, in order."""
    order = torch.argsort(table.columns["sample"], stable=True)
    return torch.split(order, table.sizes("sample").tolist())


def alike(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Indices of lines to pad together, longest first: the first of each sets the width."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        width = lengths[order[0]]
        close = sum(1 for i in order if lengths[i] >= MIN_FILL * width)
        size = max(1, min(close, token_budget // width))
        chosen, order = order[:size], order[size:]
        yield chosen


def _pad(table: Table, chosen: list[int], width: int, rows_of: list[torch.Tensor]) -> MicroBatch:
    ids = torch.zeros(len(chosen), width, dtype=torch.int64)
    mask = torch.zeros(len(chosen), width, dtype=torch.int64)
    for place, i in enumerate(chosen):
        sample = torch.from_numpy(table.samples[i].ids)
        ids[place, : len(sample)] = sample
        mask[place, : len(sample)] = 1
    rows = torch.cat(rows_of)
    counts = torch.tensor([len(r) for r in rows_of])
    line = torch.repeat_interleave(torch.arange(len(chosen)), counts)
    return MicroBatch(ids, mask, rows, line, table.columns["position"][rows])


def predictions(model: Any, batch: MicroBatch, **options: Any) -> Predictions:
    """What predicts each row's token: the position before it."""
    inputs = Inputs(batch.input_ids, batch.attention_mask)
    return predict(model, inputs, batch.line, batch.position - 1, **options)
