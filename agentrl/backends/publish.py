"""Policies whose engine holds a copy of the learner's weights: publish, then prove it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch

from agentrl.backends import adapters, sync
from agentrl.backends.adapters import check_adapters
from agentrl.errors import ContextOverflowError, PolicyError
from agentrl.protocols import Chat
from agentrl.types import Completion, Finish, Floats, Ids, Span, join


class PublishedPolicy(ABC):
    """What such policies share. A subclass delivers, answers receipts and scores.

    `figures` are the last publish's: the probe's gap in nats, tensors, seconds.
    """

    def __init__(
        self, model: Any, chat: Chat, *, name: str, dtype: str, context: int, adapters: bool
    ) -> None:
        self.adapters = check_adapters(model) if adapters else 0
        """The adapters' rank; 0 publishes whole weights, adapters merged into them."""
        self.model = model
        self.chat = chat
        self.name = name
        self.version = 0
        self.figures: Mapping[str, float] = {}
        config = model.config.get_text_config()
        self.dtype = str(model.dtype).removeprefix("torch.") if dtype == "auto" else dtype
        self.window = min(context or config.max_position_embeddings, config.max_position_embeddings)
        self.probe = sync.probe_ids(config.vocab_size)

    @abstractmethod
    def still(self) -> AbstractContextManager[None]:
        """No completion is drawn inside; those that run are taken out and go on behind it."""

    @abstractmethod
    def deliver(self, version: int) -> None:
        """Bring the weights of now to every engine."""

    @abstractmethod
    def receipts(self) -> Sequence[Mapping[str, Any]]:
        """What each worker of each engine says of its weights."""

    @abstractmethod
    def scores(self, ids: Ids) -> Sequence[Floats]:
        """Each engine's log-probs `[T - 1]` of a text at temperature 1, in nats."""

    def score(self, ids: Ids) -> Floats:
        """The first engine's log-probs `[T - 1]` of a text at temperature 1, in nats."""
        return self.scores(ids)[0]

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """What is published: the learner's tensors of now in the engine's precision."""
        source = adapters.tensors if self.adapters else sync.named_weights
        return source(self.model, getattr(torch, self.dtype))

    def load(self, *, version: int | None = None) -> int:
        """Publish the learner's weights of now; returns their version. Raises: SyncError."""
        self.publish(self.version + 1 if version is None else version)
        return self.version

    def publish(self, version: int) -> None:
        """Hand the weights over and prove that they are served before a token is drawn with them.

        Raises:
            SyncError: they are not.
        """
        started = time.perf_counter()
        expected = {name: sync.stamp(tensor) for name, tensor in self.weights()}
        self.sent: Mapping[str, sync.Stamp] = expected
        with self.still():
            self.deliver(version)
            for told in self.receipts():
                sync.check_receipt(expected, version, sync.Receipt.read(told))
            learner, engines = sync.probe_logprobs(self.model, self.probe), self.scores(self.probe)
            gaps = [sync.check_probe(learner, found, self.dtype) for found in engines]
            self.version = version
        self.figures = {
            "sync/probe_gap": max(gaps),
            "sync/tensors": float(len(expected)),
            "sync/seconds": time.perf_counter() - started,
        }

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Nothing to count: requests join a running batch."""
        yield

    def context(self, spans: Sequence[Span]) -> list[int]:
        """The ids of a context. Raises: ContextOverflowError where nothing fits behind it."""
        ids = join(tuple(spans))
        if not len(ids):
            raise PolicyError("cannot complete an empty context")
        if len(ids) >= self.window:
            raise ContextOverflowError(
                f"the context has {len(ids)} tokens and the engine no position after {self.window}"
            )
        found: list[int] = ids.tolist()
        return found

    def completion(
        self, ids: Sequence[int], logprobs: Sequence[float], versions: Sequence[int]
    ) -> Completion:
        """What an engine drew. Raises: PolicyError where its log-probs are not finite."""
        drawn, said = np.array(ids, np.int64), np.array(logprobs, np.float32)
        if not np.isfinite(said).all():
            raise PolicyError("the engine's log-probs are not finite: its weights have diverged")
        stopped = bool(len(drawn)) and int(drawn[-1]) in self.chat.end_ids
        mixed = len(set(versions)) > 1
        return Completion(
            ids=drawn,
            logprobs=said,
            text=self.chat.decode(drawn),
            finish=Finish.STOP if stopped else Finish.LENGTH,
            policy=self.name,
            version=versions[-1] if versions else self.version,
            versions=np.array(versions, np.int64) if mixed else None,
        )
