"""The policies that a run plays with besides the trained one: the `policies` section.

    policies:
      frozen: start                                  # the trained model as training began with it
      judge: openai:http://localhost:8000/v1#name    # a served model
      helper: runs/other/checkpoints/step-000100     # a folder or a hub id

A role of a program speaks with the policy that is named like it, or that its agent's settings name.
None of these is trained.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agentrl.backends.hf import HFPolicy
from agentrl.backends.http.endpoint import SCHEME, Address, Endpoint
from agentrl.backends.http.policy import HTTPPolicy
from agentrl.backends.load import check_path, pretrained
from agentrl.chat import TemplateChat
from agentrl.errors import ConfigError
from agentrl.protocols import Chat, Policy

START = "start"
"""The source of a policy that has the weights with which training began."""


class Ensemble:
    """The policies of a run by name, but the trained one."""

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        model: Any,
        chat: Chat,
        concurrency: int,
        checkpoint: str | None = None,
    ) -> None:
        self.model = model
        self.policies: dict[str, Policy] = {}
        self.frozen: list[HFPolicy] = []
        """Those that have the weights of the start."""
        for name, source in sources.items():
            self.policies[name] = self._made(name, source, chat, concurrency)
        if self.frozen:
            self.begin(beginning(checkpoint))

    def begin(self, model: Any = None) -> None:
        """Training begins with these weights, by default the model's of now."""
        weights = (self.model if model is None else model).state_dict()
        for policy in self.frozen:
            policy.model.load_state_dict(weights)
            policy.load()

    async def __aenter__(self) -> Ensemble:
        self._open = AsyncExitStack()
        for policy in self.policies.values():
            if isinstance(policy, HTTPPolicy):
                await self._open.enter_async_context(policy)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    def close(self) -> None:
        """Give everything back but the served ones, which are closed after every play."""
        for policy in self.policies.values():
            if not isinstance(policy, HTTPPolicy):
                policy.close()  # type: ignore[attr-defined]

    def _made(self, name: str, source: str, chat: Chat, concurrency: int) -> Policy:
        if source.startswith(SCHEME):
            return HTTPPolicy(Address.of(source), Endpoint(), name=name)
        if source != START:
            model, tokenizer = pretrained(source)
            own = TemplateChat(tokenizer)
            return HFPolicy(model.eval(), own, name=name, max_batch=concurrency)
        policy = HFPolicy(
            copy.deepcopy(self.model).requires_grad_(False).eval(),
            chat,
            name=name,
            max_batch=concurrency,
        )
        self.frozen.append(policy)
        return policy


def beginning(checkpoint: str | None) -> Any:
    """The model that the run of a checkpoint began with, None where it is not kept."""
    if checkpoint is None:
        return None
    first = Path(checkpoint).parent / f"step-{0:06d}"
    return pretrained(str(first))[0] if first.is_dir() else None


def check_sources(sources: Mapping[str, str]) -> None:
    """Refuse what can be no policy, before anything is loaded. Raises: ConfigError."""
    for name, source in sources.items():
        if name == "main":
            raise ConfigError(
                "policies.main is the trained policy: give the other another name", name
            )
        if not isinstance(source, str) or not source:
            raise ConfigError(
                f"policies.{name} is {source!r}: give {START}, a folder, or openai:URL#NAME", name
            )
        if source.startswith(SCHEME):
            Address.of(source)
        elif source != START:
            check_path(source)
