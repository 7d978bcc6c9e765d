"""The plain agent: one conversation between a policy and an environment, turn by turn.

What the policy reads before each turn is its `Memory`: here everything so far. Other agents differ
in their memory alone (`memory.py`, `stepwise.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from agentrl.direction import first_messages
from agentrl.errors import ContextOverflowError, EnvError, PolicyError
from agentrl.protocols import Chat, Player, Reciter, Stage
from agentrl.rollout import failure_status
from agentrl.types import (
    Completion,
    Episode,
    Finish,
    Message,
    Parse,
    Span,
    Status,
    Task,
    Trajectory,
    Turn,
)

if TYPE_CHECKING:
    from agentrl.chat import Dialogue


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Three different limits, in tokens, and one in seconds; each ends in a status of its own."""

    turn_tokens: int = 256
    """Of one completion; a longer one is cut (`Finish.LENGTH`) and the episode goes on."""
    trajectory_tokens: int = 4096
    """Sampled in all; ends in `TOKEN_LIMIT`."""
    context_tokens: int = 8192
    """Context and completion together; ends in `CONTEXT_LIMIT`."""
    episode_seconds: float = 600.0
    """Checked between turns; ends in `TIME_LIMIT`."""

    def room(self, context: int, sampled: int) -> tuple[int, Status]:
        """Tokens left for the next completion, and the status when they run out."""
        left = {
            Status.CONTEXT_LIMIT: self.context_tokens - context,
            Status.TOKEN_LIMIT: self.trajectory_tokens - sampled,
            Status.COMPLETED: self.turn_tokens,
        }
        status = min(left, key=lambda which: left[which])
        return left[status], status


class Ending(NamedTuple):
    """What the environment said of the whole episode when it ended."""

    success: bool = False
    answer: str | None = None

    @classmethod
    def of(cls, info: Mapping[str, object]) -> Ending:
        """Read it from the last step's info."""
        answer = info.get("answer")
        return cls(bool(info.get("success")), None if answer is None else str(answer))


class Outcome(NamedTuple):
    """How an episode ended, as the main trajectory says it."""

    status: Status
    success: bool = False
    answer: str | None = None
    error: str = ""


async def outcome(playing: Awaitable[tuple[Status, Ending]]) -> Outcome:
    """How playing ends; what environments, tools and policies break on the way is data."""
    try:
        status, ending = await playing
    except ContextOverflowError as full:
        return Outcome(Status.CONTEXT_LIMIT, error=str(full))
    except (EnvError, PolicyError) as broken:
        return Outcome(failure_status(broken), error=str(broken))
    return Outcome(status, *ending)


class Exchange(NamedTuple):
    """One turn with the environment: what was said, and what came back."""

    completion: Completion
    text: str
    """The environment's observation."""
    info: Mapping[str, Any]

    def continued(self, chat: Chat, dialogue: Dialogue, question: str = "") -> Dialogue:
        """The dialogue after it, in the ids that were sampled; `question` ends the reply."""
        heard = asking(replies(self.text, self.info), question)
        return followed(chat, dialogue, self.completion, heard)


class Memory:
    """What the policy reads next: here the whole conversation."""

    question = ""
    """What the memory asks the policy itself before the next turn; empty if nothing."""

    def __init__(self, chat: Chat, text: str, info: Mapping[str, Any]) -> None:
        self.chat = chat
        self.first = first_messages(text, info)
        self.tools = info.get("tools", ())
        self.dialogue = chat.opening(self.first, self.tools)

    def take(self, exchange: Exchange) -> None:
        """Go on behind a turn with the environment."""
        self.dialogue = exchange.continued(self.chat, self.dialogue)

    def answered(self, text: str) -> None:
        """Take what the policy said to `question`."""

    def recited(self) -> str:
        """An answer to `question` for players that only read from a script."""
        return ""


class ChatAgent:
    """Plays the conversation until the environment ends it or a limit does."""

    memory: Callable[[Chat, str, Mapping[str, Any]], Memory] = Memory
    """Makes the memory of an episode from its first observation."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    async def __call__(self, task: Task, stage: Stage, players: Mapping[str, Player]) -> Episode:
        """One episode with one trajectory; what broke is its status, and the turns before stay."""
        started = time.perf_counter()
        turns: list[Turn] = []
        end = await outcome(self._converse(task, stage, players["main"], turns, started))
        trajectory = Trajectory(
            turns=tuple(turns),
            reward=sum(turn.reward for turn in turns),
            parts=total(turns),
            **end._asdict(),
            seconds=time.perf_counter() - started,
            env_seconds=stage.seconds,
        )
        return Episode(task=task, trajectories=(trajectory,))

    async def _converse(
        self, task: Task, stage: Stage, player: Player, turns: list[Turn], started: float
    ) -> tuple[Status, Ending]:
        text, info = await stage.reset(task, player.chat.call_format)
        memory, state = self.memory(player.chat, text, info), info.get("state")
        while time.perf_counter() - started < self.limits.episode_seconds:
            dialogue = memory.dialogue
            sampled = sum(turn.completion.num_tokens for turn in turns)
            room, limit = self.limits.room(player.chat.length(dialogue.spans), sampled)
            if room <= 0:
                return limit, Ending()
            completion = await _say(player, memory, room)
            spans = (*dialogue.spans, *completion.head)
            if completion.finish is not Finish.STOP and limit is not Status.COMPLETED:
                turns.append(Turn(spans=spans, completion=completion, state=state))
                return limit, Ending()
            if memory.question:
                state = info.get("state", text)
                asked = f"{memory.question}\n{state}"  # comparable where the state is the same too
                turns.append(Turn(spans=spans, completion=completion, state=asked))
                memory.answered(completion.text)
                continue
            text, reward, terminated, truncated, info = await stage.step(completion.text)
            turns.append(_turn(spans, completion, reward, text, info, state))
            if terminated or truncated:
                return Status.COMPLETED if terminated else Status.TURN_LIMIT, Ending.of(info)
            state = info.get("state")
            memory.take(Exchange(completion, text, info))
        return Status.TIME_LIMIT, Ending()


async def _say(player: Player, memory: Memory, room: int) -> Completion:
    """The next completion; a script is not asked what it cannot know."""
    if memory.question and isinstance(player, Reciter):
        return await player.recite(memory.recited(), room)
    return await player.complete(memory.dialogue.spans, room)


def followed(
    chat: Chat, dialogue: Dialogue, said: Completion, heard: Sequence[Message]
) -> Dialogue:
    """The dialogue behind a completion and what was heard of it; a head is context."""
    before = replace(dialogue, spans=(*dialogue.spans, *said.head))
    return chat.follow(before, said, heard)


def replies(text: str, info: Mapping[str, Any]) -> Sequence[Message]:
    """What the environment said: `info["messages"]` (tool results, for example), else its text."""
    return info.get("messages") or (Message("user", text),)


def asking(messages: Sequence[Message], question: str) -> Sequence[Message]:
    """The messages with a question behind them, in the last one if that is the user's."""
    if not question:
        return messages
    *before, last = messages
    if last.role != "user":
        return (*messages, Message("user", question))
    return (*before, last._replace(content=f"{last.content}\n\n{question}"))


def total(turns: list[Turn]) -> dict[str, float]:
    """Named parts summed over the turns."""
    parts: Counter[str] = Counter()
    for turn in turns:
        parts.update(turn.parts)
    return dict(parts)


def paid(turn: Turn, reward: float, parts: Mapping[str, float]) -> Turn:
    """A turn that earned more."""
    summed = Counter(dict(turn.parts))
    summed.update(dict(parts))
    return replace(turn, reward=turn.reward + reward, parts=dict(summed))


def parse_of(info: Mapping[str, Any]) -> Parse:
    """What the environment's parser made of a turn, where it says so."""
    parse = info.get("parse")
    return parse if isinstance(parse, Parse) else Parse.OK


def _turn(
    spans: tuple[Span, ...],
    completion: Completion,
    reward: float,
    reply: str,
    info: Mapping[str, Any],
    state: str | None,
) -> Turn:
    parts = info.get("parts")
    return Turn(
        spans=spans,
        completion=completion,
        reward=reward,
        parts=dict(parts) if isinstance(parts, Mapping) else {},
        reply=reply,
        parse=parse_of(info),
        state=state,
    )
