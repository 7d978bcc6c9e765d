"""Directions: how one attempt departs from the plain one, with the token ledger kept exact.

A strategy asks for an attempt with a hint, from a prefix of an earlier attempt, or with a shorter
horizon. Neither agents nor environments know: the direction stands between them and their stage and
player.

    hint            a text behind the first observation, for the whole episode
    plain_training  ... that training does not see: the attempt is off-policy then
    replay          turns of an earlier attempt, played again exactly as they were sampled
    head            tokens that the first new completion begins with
    max_turns       turns after which the episode is truncated
    patience        turns without a reward after which it is
    script          a method of the environment that speaks in the policy's place
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentrl.errors import EnvError, PolicyError
from agentrl.protocols import Chat, Player, Stage
from agentrl.types import Completion, Episode, Finish, Ids, Message, Source, Span, Task, Turn, join


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
    patience: int | None = None
    script: str = ""
    """`oracle`, for a demonstration; its completions carry the log-prob 0, for nothing is drawn."""


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
        self.tools: Sequence[Mapping[str, Any]] = ()
        self.turn = 0
        self.paid = 0
        """The last turn that earned something."""

    @property
    def seconds(self) -> float:
        """Time spent inside the environment so far."""
        return self.stage.seconds

    async def reset(self, task: Task, calls: str = "plain") -> tuple[str, Mapping[str, Any]]:
        """Start the task; the hint follows the observation."""
        text, info = await self.stage.reset(task, calls)
        self.plain, self.tools = first_messages(text, info), info.get("tools", ())
        return hinted(text, self.direction.hint), info

    async def step(self, text: str) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
        """Step, and truncate at the direction's horizon or when its patience is over."""
        reply, reward, terminated, truncated, info = await self.stage.step(text)
        self.turn += 1
        self.paid = self.turn if reward > 0 else self.paid
        horizon, patience = self.direction.max_turns, self.direction.patience
        over = horizon is not None and self.turn >= horizon
        over = over or (patience is not None and self.turn - self.paid >= patience)
        return reply, reward, terminated, truncated or (over and not terminated), info

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call another method of the environment."""
        return await self.stage.ask(method, *arguments)


class DirectedPlayer:
    """A player that repeats recorded turns first and begins where it is told to."""

    def __init__(self, player: Player, direction: Direction, stage: Stage) -> None:
        self.player = player
        self.stage = stage
        self.direction = direction
        self.calls = 0

    @property
    def chat(self) -> Chat:
        """The policy's chat format."""
        return self.player.chat

    def again(self, place: int) -> Player:
        """Another role: a direction is for the first one alone."""
        return self.player.again(place)

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """The recorded completion while there is one, then the policy's own. Raises: EnvError."""
        number, self.calls = self.calls, self.calls + 1
        replay, head = self.direction.replay, self.direction.head
        if number < len(replay):
            return recorded(replay[number], number, context)
        if self.direction.script:
            said = await self.stage.ask(self.direction.script)
            return scripted(self.chat, str(said), max_tokens)
        if number > len(replay) or not head:
            return await self.player.complete(context, max_tokens)
        begun = join(head)
        room = max(1, max_tokens - len(begun))
        completion = await self.player.complete((*context, *head), room)
        text = self.chat.decode(np.concatenate([begun, completion.ids]))
        return replace(completion, head=head, text=text)


def scripted(chat: Chat, text: str, max_tokens: int) -> Completion:
    """A text as a completion, cut at `max_tokens`; log-probs are 0 because nothing was drawn."""
    ids = chat.encode(text)
    kept = ids[:max_tokens]
    return Completion(
        ids=kept,
        logprobs=np.zeros(len(kept), np.float32),
        text=chat.decode(kept),
        finish=Finish.STOP if len(kept) == len(ids) else Finish.LENGTH,
        policy="script",
    )


def recorded(turn: Turn, number: int, context: Sequence[Span]) -> Completion:
    """What a turn sampled. Raises: EnvError where the environment did not repeat itself."""
    if not np.array_equal(join((*context, *turn.completion.head)), join(turn.spans)):
        raise EnvError(
            f"turn {number} of a replay met another context than it was sampled under: the "
            "environment does not repeat itself; make reset(task) and step deterministic"
        )
    return turn.completion


def hinted(text: str, hint: str) -> str:
    """An observation with a hint behind it."""
    return f"{text}\n\n{hint}" if hint else text


def trained_plainly(
    episode: Episode,
    plain: Sequence[Message],
    hint: str,
    chat: Chat,
    tools: Sequence[Mapping[str, Any]] = (),
) -> Episode:
    """The episode with `train_spans` in which the opening does not hold the hint."""
    told = [*plain[:-1], Message(plain[-1].role, hinted(plain[-1].content, hint))]
    heard, opening = join(chat.opening(told, tools).spans), chat.opening(plain, tools).spans
    turns = tuple(
        replace(turn, train_spans=(*opening, *behind(turn.spans, heard)))
        for turn in episode.main.turns
    )
    main = replace(episode.main, turns=turns)
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))


def behind(spans: Sequence[Span], opening: Ids) -> tuple[Span, ...]:
    """The spans that follow an opening. Raises: PolicyError where it was rewritten."""
    length = 0
    for number, span in enumerate(spans):
        if length == len(opening):
            return tuple(spans[number:])
        if not np.array_equal(span.ids, opening[length : length + len(span.ids)]):
            raise PolicyError(
                "the chat template rewrote the conversation, so the hint cannot be taken out of "
                "it: set chat.history to append, or train with the hint"
            )
        length += len(span.ids)
    return ()


# Prefixes


def from_token(turns: Sequence[Turn], place: int) -> Direction:
    """Go on behind token `place` of what these turns said, heads included; -1 is the prompt."""
    left = place + 1
    for number, turn in enumerate(turns):
        begun = len(join(turn.completion.head))
        length = begun + len(turn.completion.ids)
        if left < length:
            sampled = Span(ids=turn.completion.ids[: max(0, left - begun)], source=Source.SAMPLED)
            head = (*turn.completion.head, *((sampled,) if len(sampled.ids) else ()))
            return Direction(replay=tuple(turns[:number]), head=head)
        left -= length
    return Direction(replay=tuple(turns))


def divided(turn: Turn, count: int) -> tuple[Turn, Turn]:
    """A turn as two without anything in between: its first `count` sampled tokens, and the rest."""
    said = turn.completion
    early = replace(said, ids=said.ids[:count], logprobs=said.logprobs[:count], text="")
    early = replace(early, finish=Finish.LENGTH)
    late = replace(said, ids=said.ids[count:], logprobs=said.logprobs[count:], head=())
    between = (*turn.spans, Span(ids=early.ids, source=Source.SAMPLED))
    return Turn(spans=turn.spans, completion=early), replace(turn, spans=between, completion=late)


def context_only(episode: Episode, count: int) -> Episode:
    """The episode whose first `count` turns are copies: their rows are where they were sampled."""
    copies = tuple(replace(turn, trained=False) for turn in episode.main.turns[:count])
    main = replace(episode.main, turns=(*copies, *episode.main.turns[count:]))
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))
