"""The policies that a run plays with besides its own: the section `policies` (`members.py`).

Those that are trained have a model of their own here, which their learner changes; the others stay
as they are. Models that begin as copies share what nobody trains: with LoRA, one base carries the
adapters of them all.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agentrl.backends.hf import HFPolicy
from agentrl.backends.http.endpoint import Address, Endpoint
from agentrl.backends.http.policy import HTTPPolicy
from agentrl.backends.load import load_weights, pretrained
from agentrl.chat import TemplateChat
from agentrl.members import START, TINY, Member
from agentrl.protocols import Chat, Policy

Maker = Callable[..., tuple[Any, Any]]
"""Makes a model and its tokenizer from what differs from the run's section `model`."""
FOLDER = "policies"
"""Of a checkpoint, where each trained member has a folder of its own."""


class Ensemble:
    """The policies of a run by name, but the run's own."""

    def __init__(
        self,
        members: Mapping[str, Member],
        *,
        model: Any,
        chat: Chat,
        concurrency: int,
        from_nothing: Maker,
        checkpoint: str | None = None,
    ) -> None:
        self.model = model
        self.from_nothing = from_nothing
        self.chat = chat
        self.concurrency = concurrency
        self.policies: dict[str, Policy] = {}
        self.trained: dict[str, HFPolicy] = {}
        """Those that a learner changes."""
        self.copies: list[HFPolicy] = []
        """Those that have the weights of the start, until they are trained."""
        self.blank: dict[str, HFPolicy] = {}
        """Those that begin with nothing."""
        for name, member in members.items():
            self.policies[name] = self._made(name, member, checkpoint)

    def begin(self) -> None:
        """Training begins with the weights of now, the run's own for those that are copies."""
        for policy in self.copies:
            policy.load(self.model.state_dict(), version=policy.version)
        for policy in self.blank.values():
            policy.load(version=policy.version)

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

    @property
    def models(self) -> dict[str, Any]:
        """The models that are in this process, by their policy's name."""
        here = {name: p for name, p in self.policies.items() if isinstance(p, HFPolicy)}
        return {name: policy.model for name, policy in here.items()}

    def save(self, folder: Path) -> None:
        """Write the trained ones below a checkpoint's folder, each all or nothing."""
        for name, policy in self.trained.items():
            write_model(policy.model, policy.chat.tokenizer, folder / FOLDER / name)  # type: ignore[attr-defined]

    def _made(self, name: str, member: Member, checkpoint: str | None) -> Policy:
        if member.served:
            return HTTPPolicy(Address.of(member.source), Endpoint(), name=name)
        if member.source == START:
            policy = self._policy(name, twin(self.model), self.chat)
            self.copies.append(policy)
        elif member.source == TINY:
            model, tokenizer = self.from_nothing(**member.model)
            policy = self.blank[name] = self._policy(name, model, TemplateChat(tokenizer))
        else:
            model, tokenizer = pretrained(member.source, **member.model)
            policy = self._policy(name, model, TemplateChat(tokenizer))
        if member.train:
            self.trained[name] = policy
        else:
            policy.model.requires_grad_(False).eval()
        saved = None if checkpoint is None else kept(Path(checkpoint), name, member)
        if saved is not None:
            load_weights(policy.model, str(saved))
        return policy

    def _policy(self, name: str, model: Any, chat: Chat) -> HFPolicy:
        return HFPolicy(model, chat, name=name, max_batch=self.concurrency)


def write_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """A `save_pretrained` folder, through a temporary one beside it."""
    draft = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(draft, folder)


def twin(model: Any) -> Any:
    """A copy of a model that has the parameters nobody trains, such as LoRA's base, in common."""
    shared = {id(p): p for p in model.parameters() if not p.requires_grad}
    return copy.deepcopy(model, shared)


def kept(checkpoint: Path, name: str, member: Member) -> Path | None:
    """The folder with a member's weights as of a checkpoint, None where its source has them.

    A copy that is not trained has those with which the checkpoint's run began.
    """
    own, first = checkpoint / FOLDER / name, checkpoint.parent / f"step-{0:06d}"
    found = own if member.train else first
    return found if found.is_dir() and (member.train or member.source == START) else None
