"""The plain agent: one conversation between a policy and an environment, turn by turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from agentrl.direction import first_messages
from agentrl.errors import ContextOverflowError, EnvError, PolicyError
from agentrl.protocols import Player, Stage
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


class ChatAgent:
    """Plays the conversation until the environment ends it or a limit does."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    async def __call__(self, task: Task, stage: Stage, players: Mapping[str, Player]) -> Episode:
        """One episode with one trajectory; what broke is its status, and the turns before stay."""
        started = time.perf_counter()
        turns: list[Turn] = []
        error, last = "", Ending()
        try:
            status, last = await self._converse(task, stage, players["main"], turns, started)
        except ContextOverflowError as full:
            status, error = Status.CONTEXT_LIMIT, str(full)
        except (EnvError, PolicyError) as broken:
            status, error = failure_status(broken), str(broken)
        trajectory = Trajectory(
            turns=tuple(turns),
            reward=sum(turn.reward for turn in turns),
            parts=total(turns),
            status=status,
            success=last.success,
            answer=last.answer,
            error=error,
            seconds=time.perf_counter() - started,
            env_seconds=stage.seconds,
        )
        return Episode(task=task, trajectories=(trajectory,))

    async def _converse(
        self, task: Task, stage: Stage, player: Player, turns: list[Turn], started: float
    ) -> tuple[Status, Ending]:
        text, info = await stage.reset(task, player.chat.call_format)
        dialogue = player.chat.opening(first_messages(text, info), info.get("tools", ()))
        while time.perf_counter() - started < self.limits.episode_seconds:
            sampled = sum(turn.completion.num_tokens for turn in turns)
            room, limit = self.limits.room(player.chat.length(dialogue.spans), sampled)
            if room <= 0:
                return limit, Ending()
            completion = await player.complete(dialogue.spans, room)
            spans = (*dialogue.spans, *completion.head)
            if completion.finish is not Finish.STOP and limit is not Status.COMPLETED:
                turns.append(Turn(spans=spans, completion=completion))
                return limit, Ending()
            reply, reward, terminated, truncated, info = await stage.step(completion.text)
            turns.append(_turn(spans, completion, reward, reply, info))
            if terminated or truncated:
                return Status.COMPLETED if terminated else Status.TURN_LIMIT, Ending.of(info)
            before = replace(dialogue, spans=spans)
            dialogue = player.chat.follow(before, completion, replies(reply, info))
        return Status.TIME_LIMIT, Ending()


def replies(text: str, info: Mapping[str, Any]) -> Sequence[Message]:
    """What the environment said: `info["messages"]` (tool results, for example), else its text."""
    return info.get("messages") or (Message("user", text),)


def total(turns: list[Turn]) -> dict[str, float]:
    """Named parts summed over the turns."""
    parts: Counter[str] = Counter()
    for turn in turns:
        parts.update(turn.parts)
    return dict(parts)


def _turn(
    spans: tuple[Span, ...],
    completion: Completion,
    reward: float,
    reply: str,
    info: Mapping[str, object],
) -> Turn:
    parts = info.get("parts")
    parse = info.get("parse")
    return Turn(
        spans=spans,
        completion=completion,
        reward=reward,
        parts=dict(parts) if isinstance(parts, Mapping) else {},
        reply=reply,
        parse=parse if isinstance(parse, Parse) else Parse.OK,
    )
