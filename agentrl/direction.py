"""Directions: how one attempt departs from the plain one, with the token ledger kept exact.

A strategy asks for an attempt with a hint, from a prefix of an earlier attempt, or with a shorter
horizon. Neither agents nor environments know: the direction stands between them and their stage and
player.

    hint            a text behind the first observation, for the whole episode
    plain_training  ... that training does not see: the attempt is off-policy then
    replay          turns of an earlier attempt, played again exactly as they were sampled
    head            tokens that the first new completion begins with
    max_turns       turns after which the episode is truncated
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentrl.errors import EnvError
from agentrl.protocols import Chat, Player, Stage
from agentrl.types import Completion, Episode, Message, Span, Task, Turn, join


@dataclass(frozen=True, kw_only=True, slots=True)
class Direction:
    """What one attempt is told to do differently."""

    hint: str = ""
    level: int = 0
    """Strength of the hint; written to `Episode.hint`."""
    plain_training: bool = False
    """Train as if the hint had not been there: `Turn.train_spans`, and `Episode.off_policy`."""
    replay: tuple[Turn, ...] = ()
    """Repeated first; the environment must answer as it did."""
    head: tuple[Span, ...] = ()
    """What the first completion after the replay begins with; never a row."""
    max_turns: int | None = None


PLAIN = Direction()


def first_messages(text: str, info: Mapping[str, Any]) -> list[Message]:
    """The conversation before the first completion."""
    system = [Message("system", info["system"])] if info.get("system") else []
    return [*system, Message("user", text)]


class DirectedStage:
    """A stage whose first observation carries the hint and whose horizon may be shorter."""

    def __init__(self, stage: Stage, direction: Direction) -> None:
        self.stage = stage
        self.direction = direction
        self.plain: list[Message] = []
        self.turn = 0

    @property
    def seconds(self) -> float:
        """Time spent inside the environment so far."""
        return self.stage.seconds

    async def reset(self, task: Task) -> tuple[str, Mapping[str, Any]]:
        """Start the task; the hint follows the observation."""
        text, info = await self.stage.reset(task)
        self.plain = first_messages(text, info)
        return hinted(text, self.direction.hint), info

    async def step(self, text: str) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
        """Step, and truncate at the direction's horizon."""
        reply, reward, terminated, truncated, info = await self.stage.step(text)
        self.turn += 1
        over = self.direction.max_turns is not None and self.turn >= self.direction.max_turns
        return reply, reward, terminated, truncated or (over and not terminated), info

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call another method of the environment."""
        return await self.stage.ask(method, *arguments)


class DirectedPlayer:
    """A player that repeats recorded turns first and begins where it is told to."""

    def __init__(self, player: Player, direction: Direction) -> None:
        self.player = player
        self.direction = direction
        self.calls = 0

    @property
    def chat(self) -> Chat:
        """The policy's chat format."""
        return self.player.chat

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """The recorded completion while there is one, then the policy's own. Raises: EnvError."""
        number, self.calls = self.calls, self.calls + 1
        replay, head = self.direction.replay, self.direction.head
        if number < len(replay):
            return recorded(replay[number], number, context)
        if number > len(replay) or not head:
            return await self.player.complete(context, max_tokens)
        begun = join(head)
        room = max(1, max_tokens - len(begun))
        completion = await self.player.complete((*context, *head), room)
        text = self.chat.decode(np.concatenate([begun, completion.ids]))
        return replace(completion, head=head, text=text)


def recorded(turn: Turn, number: int, context: Sequence[Span]) -> Completion:
    """What a turn sampled. Raises: EnvError where the environment did not repeat itself."""
    if not np.array_equal(join(tuple(context)), join(turn.spans)):
        raise EnvError(
            f"turn {number} of a replay met another context than it was sampled under: the "
            "environment does not repeat itself; make reset(task) and step deterministic"
        )
    return turn.completion


def hinted(text: str, hint: str) -> str:
    """An observation with a hint behind it."""
    return f"{text}\n\n{hint}" if hint else text


def trained_plainly(episode: Episode, plain: Sequence[Message], hint: str, chat: Chat) -> Episode:
    """The episode with `train_spans` in which the opening does not hold the hint."""
    told = [*plain[:-1], Message(plain[-1].role, hinted(plain[-1].content, hint))]
    skip, opening = len(chat.opening(told)), chat.opening(plain)
    turns = tuple(
        replace(turn, train_spans=(*opening, *turn.spans[skip:])) for turn in episode.main.turns
    )
    main = replace(episode.main, turns=turns)
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))
