"""The in-process engine: batched generation with any Hugging Face causal language model.

    requests of all episodes -> one batch (`batch.py`) -> completions

One thread collects what the episodes in play ask for and completes it together. A request that
cannot be served fails alone; a model that fails, fails the requests of that batch and no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agentrl.backends.batch import Batch, Request, make_request
from agentrl.backends.cache import PrefixStore
from agentrl.backends.fused import decoder
from agentrl.errors import ContextOverflowError, PolicyError
from agentrl.protocols import Chat
from agentrl.types import Completion, Finish, Floats, Ids, Sampling, Source, Span

ATTENTION = {"full_attention", "sliding_attention"}
"""Layer types whose whole state is one key and one value per token."""


class HFPolicy:
    """A Hugging Face model that episodes sample from; the learner may train the same object.

    Raises:
        PolicyError: a model whose layers keep more than keys and values, such as a recurrent one.
    """

    def __init__(
        self,
        model: Any,
        chat: Chat,
        *,
        name: str = "main",
        max_batch: int = 256,
        cache_tokens: int = 1 << 19,
        linger_seconds: float = 0.25,
    ) -> None:
        self.model = model
        self.chat = chat
        self.name = name
        self.version = 0
        self.figures: Mapping[str, float] = {}
        self.max_batch = max_batch
        self.linger_seconds = linger_seconds
        self.seconds = 0.0
        self.window = _window(model)
        self.store = PrefixStore(cache_tokens)
        self.decoder = decoder(model)
        self._seated = 0
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def complete(self, context: Sequence[Span], sampling: Sampling) -> Completion:
        """Sample once after `context`; a completion is cut where the model's positions end.

        Raises:
            ContextOverflowError: no room after the context.
            PolicyError: the model failed.
        """
        request = self._admit(make_request(tuple(context), sampling))
        request.loop = asyncio.get_running_loop()
        request.future = request.loop.create_future()
        self._requests.put(request)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="agentrl-engine", daemon=True)
            self._thread.start()
        return await request.future  # type: ignore[no-any-return]

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Counted, so that a batch waits for every episode in play and no longer."""
        self._seated += 1
        try:
            yield
        finally:
            self._seated -= 1
            self._requests.put(None)  # whoever waits for this episode need not any more

    def _admit(self, request: Request) -> Request:
        """The request with no more tokens than the model has positions for."""
        room = self.window - len(request.ids)
        if room < 1:
            raise ContextOverflowError(
                f"the context has {len(request.ids)} tokens and the model no position after "
                f"{self.window}: lower limits.context_tokens"
            )
        tokens = min(room, request.sampling.max_tokens)
        request.sampling = replace(request.sampling, max_tokens=tokens)
        return request

    def rest(self) -> None:
        """Nothing to hand over: the learner trains this very model."""

    def close(self) -> None:
        """Nothing to give back."""

    def load(self, weights: Any = None, *, version: int | None = None) -> int:
        """Take new weights and forget old states.

        `weights` is None when the learner trained this very model.
        """
        if weights is not None:
            self.model.load_state_dict(weights)
        self.store.clear()
        self.decoder.refresh()
        self.version = self.version + 1 if version is None else version
        return self.version

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete a batch in this thread; what `complete` does for many episodes at once."""
        started = time.perf_counter()
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                Batch(self.decoder, self.store, requests, self.chat.end_ids).run()
        finally:
            self.model.train(training)
            self.seconds += time.perf_counter() - started
        return [self._completion(request) for request in requests]

    def score(self, ids: Ids) -> Floats:
        """The engine's own log-probs `[T - 1]` of a text's tokens at temperature 1, in nats.

        By the decoder that samples, so that what it holds of old weights would show.
        """
        contexts = [(Span(ids=ids[:stop], source=Source.ENV),) for stop in range(1, len(ids))]
        requests = [make_request(context, Sampling(max_tokens=1)) for context in contexts]
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            logits = Batch(self.decoder, PrefixStore(0), requests, frozenset()).prefill()
        self.model.train(training)
        told = logits.float().log_softmax(-1).cpu().gather(1, torch.from_numpy(ids[1:, None]))
        scores: Floats = told[:, 0].numpy()
        return scores

    def _completion(self, request: Request) -> Completion:
        ids = np.array(request.sampled, np.int64)
        if not np.isfinite(request.logprobs).all():
            raise PolicyError("the model's logits are not finite: its weights have diverged")
        stopped = bool(len(ids)) and int(ids[-1]) in self.chat.end_ids
        return Completion(
            ids=ids,
            logprobs=np.array(request.logprobs, np.float32),
            text=self.chat.decode(ids),
            finish=Finish.STOP if stopped else Finish.LENGTH,
            policy=self.name,
            version=self.version,
        )

    def _serve(self) -> None:
        while True:
            batch = self._collect()
            try:
                outcome: Any = self.generate(batch)
            except Exception as error:  # whatever the model raised becomes every request's failure
                outcome = PolicyError(f"generation failed: {type(error).__name__}: {error}")
            for i, request in enumerate(batch):
                answer = outcome if isinstance(outcome, PolicyError) else outcome[i]
                with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits any more
                    request.loop.call_soon_threadsafe(_settle, request.future, answer)

    def _collect(self) -> list[Request]:
        """Wait for a request, then for the other episodes in play, not for slow environments."""
        batch: list[Request] = []
        deadline: float | None = None
        while not batch or len(batch) < min(self.max_batch, self._seated):
            wait = None if deadline is None else max(0.0, deadline - time.perf_counter())
            try:
                request = self._requests.get(timeout=wait)
            except queue.Empty:
                break
            if request is not None and not request.future.done():
                batch.append(request)
                deadline = deadline or time.perf_counter() + self.linger_seconds
        return sorted(batch, key=lambda request: request.sampling.seed)


def _settle(future: asyncio.Future[Completion], answer: Completion | PolicyError) -> None:
    if future.done():
        return
    if isinstance(answer, PolicyError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _window(model: Any) -> int:
    """Positions that a model has. Raises: PolicyError for layers that this engine cannot cache."""
    config = model.config.get_text_config()
    unknown = set(getattr(config, "layer_types", None) or ()) - ATTENTION
    if unknown or not getattr(config, "num_attention_heads", None):
        raise PolicyError(
            f"{type(model).__name__} keeps more than keys and values "
            f"({', '.join(sorted(unknown)) or 'it has no attention heads'}): this engine serves "
            "models of full and sliding attention"
        )
    return getattr(config, "max_position_embeddings", None) or sys.maxsize
