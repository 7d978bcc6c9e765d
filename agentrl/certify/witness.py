"""Scripted conversations through the real line, with everything that was seen on the way.

The chat, the agent, the merge rule and the table are the ones that training uses; only the policy
says what the script holds and the environment answers what the script holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.certify.conversations import Script
from agentrl.certify.splits import Alphabet, sampled_ids
from agentrl.chat import Dialogue, TemplateChat
from agentrl.types import (
    Completion,
    Episode,
    Finish,
    Group,
    Ids,
    Message,
    Span,
    Status,
    Task,
    Trajectory,
    join,
)

ENDLESS = Limits(
    turn_tokens=1 << 40,
    trajectory_tokens=1 << 50,
    context_tokens=1 << 50,
    episode_seconds=float("inf"),
)

TASK = Task(env="script", data={})


class Played(NamedTuple):
    """One script as it went."""

    script: Script
    dialogues: list[Dialogue]
    """In front of every completion, the opening first."""
    contexts: list[Ids]
    """What the engine was given each time."""
    completions: list[Completion]
    trajectory: Trajectory

    @property
    def refused(self) -> bool:
        """Whether the line gave up on it."""
        return self.trajectory.status.failed

    @property
    def group(self) -> Group:
        """What a step would make of it."""
        return Group(task=TASK, episodes=(Episode(task=TASK, trajectories=(self.trajectory,)),))


class Witness:
    """A chat that hands everything on and keeps the dialogues."""

    def __init__(self, chat: TemplateChat) -> None:
        self.chat = chat
        self.end_ids, self.call_format = chat.end_ids, chat.call_format
        self.dialogues: list[Dialogue] = []

    def opening(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Dialogue:
        """The chat's."""
        return self._seen(self.chat.opening(messages, tools))

    def follow(
        self, dialogue: Dialogue, completion: Completion, messages: Sequence[Message]
    ) -> Dialogue:
        """The chat's."""
        return self._seen(self.chat.follow(dialogue, completion, messages))

    def length(self, spans: Sequence[Span]) -> int:
        """The chat's."""
        return self.chat.length(spans)

    def decode(self, ids: Any) -> str:
        """The chat's."""
        return self.chat.decode(ids)

    def encode(self, text: str) -> Ids:
        """The chat's."""
        return self.chat.encode(text)

    def _seen(self, dialogue: Dialogue) -> Dialogue:
        self.dialogues.append(dialogue)
        return dialogue


class Reader:
    """A policy that samples what a script says, each token with a log-prob of its own."""

    def __init__(self, chat: Witness, script: Script, alphabet: Alphabet) -> None:
        self.chat = chat
        self.script = script
        self.alphabet = alphabet
        self.contexts: list[Ids] = []
        self.completions: list[Completion] = []

    def again(self, place: int) -> Reader:
        """Itself: there is one script."""
        return self

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """The next act's tokens."""
        turn = self.script.acts[len(self.completions)]
        ids = sampled_ids(turn, self.alphabet)
        stopped = bool(len(ids)) and int(ids[-1]) in self.alphabet.ends
        drawn = np.random.default_rng(turn.seed).random(len(ids))
        said = Completion(
            ids=ids,
            logprobs=-drawn.astype(np.float32),
            text=self.chat.decode(ids),
            finish=Finish.STOP if stopped else Finish.LENGTH,
        )
        self.contexts.append(join(tuple(context)))
        self.completions.append(said)
        return said


class Partner:
    """An environment that answers what a script says."""

    seconds = 0.0

    def __init__(self, script: Script) -> None:
        self.script = script
        self.turn = 0

    async def reset(self, task: Task, calls: str = "plain") -> tuple[str, Mapping[str, Any]]:
        """What is asked."""
        return self.script.asked, {"system": self.script.system, "tools": self.script.tools}

    async def step(self, text: str) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
        """The act's replies; the last act ends the episode."""
        replies = self.script.acts[self.turn].replies
        self.turn += 1
        over = self.turn == len(self.script.acts)
        return "", 1.0, over, False, {"messages": replies}

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Nothing: a script has no other methods."""


def alphabet_of(chat: TemplateChat) -> Alphabet:
    """What a chat's policy can sample."""
    size = len(chat.tokenizer)
    return Alphabet(lambda text: chat.encode(text)[:-1].tolist(), size, chat.end_id, chat.end_ids)


def play(chat: TemplateChat, scripts: Sequence[Script]) -> list[Played]:
    """Every script once, one after the other."""
    alphabet, found = alphabet_of(chat), list[Played]()

    async def all_of_them() -> None:
        for script in scripts:
            found.append(await _play(chat, script, alphabet))

    asyncio.run(all_of_them())  # which would print all that such a coroutine returns
    return found


async def _play(chat: TemplateChat, script: Script, alphabet: Alphabet) -> Played:
    witness = Witness(chat)
    reader = Reader(witness, script, alphabet)
    try:
        episode = await ChatAgent(ENDLESS)(TASK, Partner(script), {"main": reader})
        trajectory = episode.main
    except Exception as error:  # whatever a conversation can make the line raise is to be found
        told = f"crashed with {type(error).__name__}: {error}"
        trajectory = Trajectory(status=Status.POLICY_FAILED, error=told)
    return Played(script, witness.dialogues, reader.contexts, reader.completions, trajectory)
