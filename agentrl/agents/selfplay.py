"""Self-play: one policy on both sides of a game, of which one side learns.

    learner     [rules, news] move [news] move ...       trajectory `main`, trained
    opponent    [rules, news] move [news] move ...       trajectory `opponent`, context only

The environment says whose turn it is (`info["player"]`) and whose reward it pays
(`info["learner"]`, player 0 if it does not say). Each side hears its own news alone. A player named
`opponent` takes the other side where there is one, else it is `main` again, with its weights of
now.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentrl.agents.chat import (
    Ending,
    Exchange,
    Limits,
    Memory,
    outcome,
    paid,
    parse_of,
    total,
)
from agentrl.errors import ConfigError
from agentrl.protocols import Player, Stage
from agentrl.types import (
    Completion,
    Episode,
    Finish,
    Span,
    Status,
    Task,
    Trajectory,
    Turn,
)


@dataclass(kw_only=True)
class Side:
    """One side of the game: who plays it, what it has read and what it did."""

    player: Player
    trained: bool
    memory: Memory | None = None
    turns: list[Turn] = field(default_factory=list)
    state: str | None = None
    """What tells the position before its turn apart; None where `anchors` can tell."""
    said: Completion | None = None
    """Its last completion, until it hears what came of it."""
    owed: Counter[str] = field(default_factory=Counter)
    """Parts earned before its first turn."""
    reward: float = 0.0
    """Of the parts owed."""

    def hear(self, text: str, info: Mapping[str, Any]) -> None:
        """Take what the environment tells this side before its turn, or at the end."""
        if self.memory is None:
            self.memory = Memory(self.player.chat, text, info)
        elif self.said is not None:
            self.memory.take(Exchange(self.said, text, info))
            self.turns[-1] = replace(self.turns[-1], reply=text)

    @property
    def read(self) -> tuple[Span, ...]:
        """What it has read when its turn comes."""
        return () if self.memory is None else self.memory.dialogue.spans

    def say(self, completion: Completion) -> None:
        """Note a turn whose outcome is not known yet."""
        spans = (*self.read, *completion.head)
        self.said = completion
        trained, state = self.trained, self.state
        self.turns.append(Turn(spans=spans, completion=completion, trained=trained, state=state))

    def earn(self, reward: float, info: Mapping[str, Any]) -> None:
        """Add to its last turn what that, or the other side's answer to it, brought."""
        parts = info.get("parts") or {}
        if self.turns:
            self.turns[-1] = paid(self.turns[-1], reward, parts)
        else:
            self.owed.update(parts)
            self.reward += reward

    def trajectory(self, agent: str, status: Status, **rest: Any) -> Trajectory:
        """What it did as one trajectory."""
        parts = Counter(total(self.turns))
        parts.update(self.owed)
        return Trajectory(
            agent=agent,
            turns=tuple(self.turns),
            reward=self.reward + sum(turn.reward for turn in self.turns),
            parts=dict(parts),
            status=status,
            **rest,
        )


@dataclass(kw_only=True)
class Match:
    """An episode being played."""

    stage: Stage
    limits: Limits
    learner: Side
    opponent: Side
    started: float
    seat: int = 0
    """Which player the learner is."""

    async def play(self, task: Task) -> tuple[Status, Ending]:
        """Play to the end. Raises: ConfigError, EnvError, PolicyError."""
        format = self.learner.player.chat.call_format
        text, info = await self.stage.reset(task, format)
        self.seat = int(info.get("learner", 0))
        opening = info
        while time.perf_counter() - self.started < self.limits.episode_seconds:
            side = self._next(task, info)
            moved = side.memory is None and info is not opening  # the other side began
            side.state = info.get("state", text if moved else None)
            side.hear(text, opening if side.memory is None else info)
            limit = await self._turn(side)
            if limit is not None:
                return limit, Ending()
            said = side.turns[-1].completion.text
            text, reward, terminated, truncated, info = await self.stage.step(said)
            self._note(side, info)
            self.learner.earn(reward, info)
            if terminated or truncated:
                self.learner.hear(text, info)
                return Status.COMPLETED if terminated else Status.TURN_LIMIT, Ending.of(info)
        return Status.TIME_LIMIT, Ending()

    def _next(self, task: Task, info: Mapping[str, Any]) -> Side:
        if "player" not in info:
            raise ConfigError(
                f"the agent selfplay needs info['player'], which {task.env} does not give: set "
                "agent: chat, or let the game leave its opponent to the agent (opponent: self)",
                "agent",
            )
        return self.learner if info["player"] == self.seat else self.opponent

    async def _turn(self, side: Side) -> Status | None:
        """One completion; the limit that ended the episode, if one did."""
        sampled = sum(turn.completion.num_tokens for turn in side.turns)
        spans = side.read
        room, limit = self.limits.room(side.player.chat.length(spans), sampled)
        if room <= 0:
            return limit
        completion = await side.player.complete(spans, room)
        side.say(completion)
        cut = completion.finish is not Finish.STOP and limit is not Status.COMPLETED
        return limit if cut else None

    def _note(self, side: Side, info: Mapping[str, Any]) -> None:
        side.turns[-1] = replace(side.turns[-1], parse=parse_of(info))


class SelfPlayAgent:
    """Plays both sides of a game; the learner's trajectory is the main one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    async def __call__(self, task: Task, stage: Stage, players: Mapping[str, Player]) -> Episode:
        """One episode with two trajectories; what broke is the status of both."""
        started = time.perf_counter()
        main = players["main"]
        match = Match(
            stage=stage,
            limits=self.limits,
            learner=Side(player=main, trained=True),
            opponent=Side(player=players.get("opponent", main), trained=False),
            started=started,
        )
        end = await outcome(match.play(task))
        learner = match.learner.trajectory(
            "main",
            **end._asdict(),
            seconds=time.perf_counter() - started,
            env_seconds=stage.seconds,
        )
        opponent = match.opponent.trajectory("opponent", end.status)
        others = (opponent,) if opponent.turns else ()
        return Episode(task=task, trajectories=(learner, *others))
