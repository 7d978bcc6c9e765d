"""The padded layout: samples sorted by length, right-padded, in micro-batches under a token budget.

Answers a layout's one question: the log-prob and entropy of each row of the table. The shift
between a token and the position that predicts it happens here, once (`predictions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from agentrl.layouts.base import Rows
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

    def batches(self, table: Table, token_budget: int) -> Iterator[MicroBatch]:
        """The table's samples, at most `token_budget` padded tokens at a time, or one sample."""
        lengths = [len(sample.ids) for sample in table.samples]
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        rows_of = torch.split(
            torch.argsort(table.columns["sample"], stable=True), table.sizes("sample").tolist()
        )
        while order:
            width = lengths[order[0]]
            alike = sum(1 for i in order if lengths[i] >= MIN_FILL * width)
            size = max(1, min(alike, token_budget // width))
            chosen, order = order[:size], order[size:]
            yield _pad(table, chosen, width, [rows_of[i] for i in chosen])

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
        logits, hidden = predictions(model, batch, hidden=head is not None)
        logits = logits / (temperature or 1.0)
        targets = batch.input_ids[batch.line, batch.position].to(logits.device)
        normaliser = logits.logsumexp(-1)
        logprobs = logits.gather(-1, targets[:, None])[:, 0] - normaliser
        spread = normaliser - (logits.softmax(-1) * logits).sum(-1) if entropy else None
        values = None if head is None or hidden is None else head(hidden)[:, 0]
        return Rows(logprobs, spread, values)


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


def predictions(
    model: Any, batch: MicroBatch, *, hidden: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits `[m, V]` (float32) that predict each row's token: those at the position before it.

    With `hidden`, also the last hidden states `[m, d]` there.
    """
    device = next(model.parameters()).device
    before, line = batch.position - 1, batch.line.to(device)
    columns, compact = torch.unique(before, return_inverse=True)
    output = model(
        input_ids=batch.input_ids.to(device),
        attention_mask=batch.attention_mask.to(device),
        use_cache=False,
        logits_to_keep=columns.to(device),
        output_hidden_states=hidden,
    )
    logits = output.logits[line, compact.to(device)].float()
    return logits, output.hidden_states[-1][line, before.to(device)].float() if hidden else None
