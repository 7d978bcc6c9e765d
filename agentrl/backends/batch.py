"""One batch of completions, from prefill to the last end token.

    requests -> prefill what no cache holds -> decode column by column -> ids and log-probs

Sampling is by inverse CDF with draws that belong to the request, so what is sampled does not depend
on what else is in the batch, and the reported log-probs are of exactly the distribution that was
sampled from. Rows are left-aligned to the last column (ordinary left padding, no gaps); a row with
fewer new tokens than the others feeds some of its cached ones again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from agentrl.backends.cache import PrefixStore, batch_cache
from agentrl.backends.fused import FusedDecoder, ModelDecoder
from agentrl.errors import PolicyError
from agentrl.types import Ids, Sampling, Source, Span, join


@dataclass(eq=False, slots=True)
class Request:
    """One completion being made."""

    ids: Ids
    """The context `[T]`."""
    prefix: int
    """Tokens of the context that an earlier completion may have left in the store."""
    sampling: Sampling
    draws: Any = None
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    done: bool = False
    future: Any = None
    loop: Any = None


def make_request(context: tuple[Span, ...], sampling: Sampling) -> Request:
    """A request with its own draws; its reusable prefix ends before the last sampled token.

    Raises:
        PolicyError: nothing to continue, or no token asked for.
    """
    last = max((i for i, span in enumerate(context) if span.source is Source.SAMPLED), default=-1)
    prefix = max(0, sum(len(span.ids) for span in context[: last + 1]) - 1)
    ids = join(context)
    if not len(ids) or sampling.max_tokens < 1:
        raise PolicyError(
            f"cannot complete {len(ids)} tokens by {sampling.max_tokens}: both must be at least 1"
        )
    draws = np.random.Generator(np.random.Philox(sampling.seed)).random(sampling.max_tokens)
    return Request(ids=ids, prefix=prefix, sampling=sampling, draws=draws)


def sample(
    logits: torch.Tensor, temperature: torch.Tensor, draws: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token per row by inverse CDF, or take the most likely one at temperature 0.

    `logits [B, V]`, `temperature [B]`, `draws [B]` in [0, 1) -> ids `[B]` and their log-probs `[B]`
    in nats under the distribution drawn from (untempered where greedy).
    """
    greedy = temperature == 0
    scaled = logits.float() / torch.where(greedy, 1.0, temperature)[:, None]
    probabilities = scaled.softmax(-1)
    cdf = probabilities.cumsum(-1, dtype=torch.float64)
    ids = torch.searchsorted(cdf, (draws * cdf[:, -1])[:, None], right=True)[:, 0]
    ids = ids.clamp_(max=logits.shape[-1] - 1)
    if bool(greedy.any()):
        ids = torch.where(greedy, logits.argmax(-1), ids)
    return ids, probabilities.gather(-1, ids[:, None])[:, 0].log()


def cached(states: torch.Tensor | None) -> int:
    """Tokens in some stored states `[layers, 2, heads, T, head_dim]`."""
    return 0 if states is None else states.shape[3]


class Batch:
    """One batch from prefill to the last end token.

    Rows that end leave it; their states go to the store.
    """

    def __init__(
        self,
        decoder: FusedDecoder | ModelDecoder,
        store: PrefixStore,
        requests: Sequence[Request],
        end_ids: frozenset[int],
    ) -> None:
        self.decoder = decoder
        self.model = decoder.model
        self.store = store
        self.rows = list(requests)
        self.outgrown: list[Ids] = []
        self.device = next(decoder.model.parameters()).device
        self.ends = torch.tensor(sorted(end_ids), device=self.device)
        self.longest = max(len(row.ids) for row in self.rows)
        self.columns = self.longest + max(row.sampling.max_tokens for row in self.rows)

    def run(self) -> None:
        """Prefill, then decode until every row has ended."""
        logits = self.prefill()
        step = 0
        while True:
            ids, logprobs = sample(logits, self.temperature, self.draws[:, step])
            step += 1
            going = self._record(ids, logprobs, step)
            if not going.any():
                break
            if going.sum() <= 0.7 * len(self.rows):
                ids = ids[going]
                self._keep(going)
            logits = self._forward(ids[:, None], self.position[:, None])
            self.position += 1
        for prefix in self.outgrown:
            self.store.drop(prefix)

    def prefill(self) -> torch.Tensor:
        """Feed what no cache holds; every row feeds equally many tokens, ending in its last one."""
        found = self._found()
        new = max(len(r.ids) - cached(f) for r, f in zip(self.rows, found, strict=True))
        filled = self.longest - new
        self._allocate(filled)
        ids = torch.zeros(len(self.rows), new, dtype=torch.long)
        for i, (row, states) in enumerate(zip(self.rows, found, strict=True)):
            kept = max(0, len(row.ids) - new)
            if kept and states is not None:
                self.memory[:, :, i, :, filled - kept : filled] = states[:, :, :, :kept]
            fed = row.ids[kept:]
            ids[i, new - len(fed) :] = torch.from_numpy(fed)
            self.mask[i, : self.longest - len(row.ids)] = 0
        positions = (self.mask[:, : self.longest].cumsum(-1) - 1).clamp_(min=0)
        self.position = positions[:, -1] + 1
        return self._forward(ids.to(self.device), positions[:, filled:])

    def _found(self) -> list[torch.Tensor | None]:
        """What is cached of each row. Rows with unusually much to feed get a head start.

        All rows feed as many tokens as the one with the most, so a few long replies would make
        every row feed long: those rows are fed up to the usual length in a batch of their own.
        """
        found = [self.store.find(r.ids[: r.prefix]) if r.prefix else None for r in self.rows]
        new = [len(r.ids) - cached(f) for r, f in zip(self.rows, found, strict=True)]
        usual = int(np.median(new))
        late = [i for i, count in enumerate(new) if count > 2 * usual]
        if late:
            requests = [replace(self.rows[i], ids=self.rows[i].ids[:-usual]) for i in late]
            ahead = Batch(self.decoder, self.store, requests, frozenset())
            ahead.prefill()
            for i, row in enumerate(requests):
                found[late[i]] = ahead._states(i, len(row.ids))
        return found

    def _allocate(self, filled: int) -> None:
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_dim = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        shape = (config.num_hidden_layers, len(self.rows), heads, self.columns, head_dim)
        self.memory, self.cache = batch_cache(shape, self.model.dtype, self.device)
        for layer in self.cache.layers:
            layer.filled = filled
        self.mask = torch.ones(len(self.rows), self.columns, dtype=torch.long, device=self.device)
        draws = np.zeros((len(self.rows), max(len(row.draws) for row in self.rows)))
        for i, row in enumerate(self.rows):
            draws[i, : len(row.draws)] = row.draws
        self.draws = torch.from_numpy(draws).to(self.device)
        temperature = [row.sampling.temperature for row in self.rows]
        self.temperature = torch.tensor(temperature, device=self.device)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        columns = self.cache.get_seq_length() + ids.shape[1]
        return self.decoder(ids, positions, self.mask[:, :columns], self.cache)

    def _record(self, ids: torch.Tensor, logprobs: torch.Tensor, step: int) -> torch.Tensor:
        """Write the drawn tokens down; returns which rows go on."""
        ended = torch.isin(ids, self.ends).tolist()
        drawn = list(zip(ids.tolist(), logprobs.tolist(), ended, strict=True))
        for i, (row, (token, logprob, end)) in enumerate(zip(self.rows, drawn, strict=True)):
            if row.done:
                continue
            row.sampled.append(token)
            row.logprobs.append(logprob)
            if end or step == row.sampling.max_tokens:
                row.done = True
                self._store(i, row)
        return torch.tensor([not row.done for row in self.rows], device=self.device)

    def _store(self, i: int, row: Request) -> None:
        ids = np.concatenate([row.ids, np.array(row.sampled[:-1], np.int64)])
        self.store.put(ids, self._states(i, len(ids)))
        if row.prefix:
            self.outgrown.append(row.ids[: row.prefix])

    def _states(self, i: int, length: int) -> torch.Tensor:
        """A row's last `length` columns, `[layers, 2, heads, length, head_dim]`."""
        end = self.cache.get_seq_length()
        return torch.stack(
            [layer.buffer[:, i, :, end - length : end] for layer in self.cache.layers]
        )

    def _keep(self, going: torch.Tensor) -> None:
        index = going.nonzero()[:, 0]
        self.rows = [self.rows[i] for i in index.tolist()]
        self.mask, self.draws = self.mask[index], self.draws[index]
        self.position, self.temperature = self.position[index], self.temperature[index]
        for layer in self.cache.layers:
            layer.keep(index)
