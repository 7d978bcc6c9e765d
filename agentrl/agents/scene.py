"""A scene: one episode of a program, in which several roles speak and one environment answers.

    scene.role("planner")            opens a trajectory; the first one opened is the main one
    await role.says(what it hears)   one turn: the exact context, what was sampled
    await scene.act(text, role)      one step of the environment; what it pays is the main role's

The scene keeps what a program should not have to think of: the token ledger of every role, limits,
parents, rewards, and how the episode ended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agentrl.agents.chat import Ending, Limits, followed, paid, parse_of, replies, total
from agentrl.direction import first_messages
from agentrl.errors import AgentRLError, ConfigError, ContextOverflowError, PolicyError, suggestion
from agentrl.protocols import Player, Reciter, Stage
from agentrl.types import (
    Completion,
    Finish,
    Message,
    Parent,
    Status,
    Task,
    Trajectory,
    Turn,
)

if TYPE_CHECKING:
    from agentrl.chat import Dialogue

Script = Callable[[], Awaitable[str]]
"""What a demonstration's expert does next."""
Line = Callable[[Script], Awaitable[str]]
"""What a demonstration says in a role's place."""


class RoleEnded(AgentRLError):  # noqa: N818 - a limit is no error; programs may catch it
    """A limit ended a role, or its policy failed; uncaught, it ends the episode likewise."""

    def __init__(self, role: Role) -> None:
        super().__init__(f"the role {role.name!r} ended: {role.error or role.status.value}")
        self.role = role


@dataclass(kw_only=True)
class Role:
    """One agent of a scene: its conversation, its turns and its limits. Made by `Scene.role`."""

    scene: Scene
    name: str
    index: int
    """Place of its trajectory in the episode."""
    player: Player
    limits: Limits
    parent: Parent | None
    trained: bool
    system: str
    tools: Sequence[Mapping[str, Any]]
    turns: list[Turn] = field(default_factory=list)
    earned: Counter[str] = field(default_factory=Counter)
    """Parts that belong to no turn."""
    reward: float = 0.0
    """Apart from its turns'."""
    status: Status = Status.COMPLETED
    error: str = ""
    dialogue: Dialogue | None = None
    opened: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    async def says(
        self,
        heard: str | Sequence[Message],
        *,
        fresh: bool = False,
        line: Line | None = None,
        state: str | None = None,
    ) -> str:
        """What it says to that: a user's text, or messages. One turn.

        Args:
            heard: what is new to it since its last turn.
            fresh: forget the conversation so far; the turn is a sample of its own.
            line: what a demonstration says here; without one it is the expert's next action.
            state: what the turn was decided in, where that is not the reply before it.

        Raises:
            RoleEnded: a limit was reached, or its policy failed.
        """
        try:
            return await self._turn(heard, fresh, line, state)
        except ContextOverflowError as full:
            raise self._ended(Status.CONTEXT_LIMIT, str(full)) from full
        except PolicyError as broken:
            raise self._ended(Status.POLICY_FAILED, str(broken)) from broken
        finally:
            self.seconds = time.perf_counter() - self.opened

    def room(self, heard: str) -> int:
        """Tokens that its next turn would have behind that user's text; below 1 it cannot speak."""
        return self._room(self._dialogue([Message("user", heard)], False))[0]

    def earns(self, reward: float = 0.0, **parts: float) -> None:
        """Add to what the trajectory as a whole earned: a judge's score, for example."""
        self.reward += reward
        self.earned.update(parts)

    def trajectory(self, **rest: Any) -> Trajectory:
        """What it did."""
        parts = Counter(total(self.turns))
        parts.update(self.earned)
        return Trajectory(
            agent=self.name,
            parent=self.parent,
            turns=tuple(self.turns),
            reward=self.reward + sum(turn.reward for turn in self.turns),
            parts=dict(parts),
            status=self.status,
            error=self.error,
            seconds=self.seconds,
            **rest,
        )

    async def _turn(
        self, heard: str | Sequence[Message], fresh: bool, line: Line | None, state: str | None
    ) -> str:
        messages = [Message("user", heard)] if isinstance(heard, str) else list(heard)
        dialogue = self.dialogue = self._dialogue(messages, fresh)
        room, limit = self._room(dialogue)
        if room <= 0:
            raise self._ended(limit)
        if time.perf_counter() - self.scene.started > self.limits.episode_seconds:
            raise self._ended(Status.TIME_LIMIT)
        said = await self._completion(dialogue, room, line)
        spans = (*dialogue.spans, *said.head)
        self.turns.append(Turn(spans=spans, completion=said, trained=self.trained, state=state))
        if said.finish is not Finish.STOP and limit is not Status.COMPLETED:
            raise self._ended(limit)
        return said.text

    def _room(self, dialogue: Dialogue) -> tuple[int, Status]:
        sampled = sum(turn.completion.num_tokens for turn in self.turns)
        return self.limits.room(self.player.chat.length(dialogue.spans), sampled)

    def _dialogue(self, messages: list[Message], fresh: bool) -> Dialogue:
        chat = self.player.chat
        if self.dialogue is None or not self.turns or fresh:
            before = [Message("system", self.system)] if self.system else []
            return chat.opening([*before, *messages], self.tools)
        return followed(chat, self.dialogue, self.turns[-1].completion, messages)

    async def _completion(self, dialogue: Dialogue, room: int, line: Line | None) -> Completion:
        if line is not None and isinstance(self.player, Reciter):
            return await self.player.recite(await line(self.player.script), room)
        return await self.player.complete(dialogue.spans, room)

    def _ended(self, status: Status, error: str = "") -> RoleEnded:
        self.status, self.error = status, error
        return RoleEnded(self)


class Scene:
    """One episode of a program. Programs read `text`, `messages`, `info` and `over`."""

    def __init__(
        self, task: Task, stage: Stage, players: Mapping[str, Player], limits: Limits
    ) -> None:
        self.task = task
        self.stage = stage
        self.players = players
        self.limits = limits
        self.started = time.perf_counter()
        self.roles: list[Role] = []
        self.text = ""
        """The environment's last observation."""
        self.info: Mapping[str, Any] = {}
        self.messages: Sequence[Message] = ()
        """The same as messages: with the environment's own system prompt at first, tool results
        later."""
        self.over = False
        """Whether the environment has ended the episode."""
        self.truncated = False
        self.ending = Ending()

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The environment's tools as JSON schemas, where it has some."""
        return tuple(self.info.get("tools", ()))

    def role(
        self,
        name: str,
        *,
        policy: str = "",
        parent: Role | None = None,
        system: str = "",
        tools: Sequence[Mapping[str, Any]] = (),
        trained: bool = True,
        limits: Limits | None = None,
    ) -> Role:
        """A new trajectory of an agent of this name; every call of a sub-agent opens its own.

        Args:
            name: of the agent, as credit and metrics know it.
            policy: whose weights speak; by default the policy named like the role, else `main`.
            parent: the role whose last turn called it.
            system: what it reads first.
            tools: JSON schemas that it reads with that.
            trained: whether its tokens are rows; if not, demonstrations teach it all the same.
            limits: of its own; by default the run's.

        Raises:
            ConfigError: a policy that the run does not have.
        """
        player = self._player(name, policy)
        index = len(self.roles)
        made = Role(
            scene=self,
            name=name,
            index=index,
            player=player.again(index) if index else player,
            limits=limits or self.limits,
            parent=None if parent is None else self._call(parent),
            trained=trained or isinstance(player, Reciter),
            system=system,
            tools=tools,
        )
        self.roles.append(made)
        return made

    async def begin(self) -> None:
        """Reset the environment to the task. Raises: EnvError."""
        format = self.players["main"].chat.call_format
        self.text, self.info = await self.stage.reset(self.task, format)
        self.messages = first_messages(self.text, self.info)

    async def act(self, text: str, role: Role) -> str:
        """Give a text of a role's to the environment; its answer.

        What it pays goes to the main role's last turn, whoever acted.

        Raises:
            EnvError: it failed, or the episode is over.
        """
        text, reward, terminated, truncated, info = await self.stage.step(text)
        self.text, self.info, self.messages = text, info, replies(text, info)
        self.over, self.truncated = terminated or truncated, truncated and not terminated
        if role.turns:
            role.turns[-1] = replace(role.turns[-1], reply=text, parse=parse_of(info))
        self._pay(reward, info.get("parts") or {})
        if self.over:
            self.ending = Ending.of(info)
        return text

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call another method of the environment. Raises: EnvError."""
        return await self.stage.ask(method, *arguments)

    def _player(self, name: str, policy: str) -> Player:
        """Who speaks for a role; a script speaks for all. Raises: ConfigError."""
        main = self.players["main"]
        if isinstance(main, Reciter):
            return main
        if policy and policy not in self.players:
            known = suggestion(policy, list(self.players))
            raise ConfigError(f"the role {name!r} wants the policy {policy!r}: {known}", "agent")
        return self.players.get(policy or name, main)

    def _call(self, parent: Role) -> Parent:
        """The call that a role makes now; calls of one turn are counted."""
        turn = max(0, len(parent.turns) - 1)
        calls = sum(
            role.parent is not None and role.parent[:2] == (parent.index, turn)
            for role in self.roles
        )
        return Parent(parent.index, turn, calls)

    def _pay(self, reward: float, parts: Mapping[str, float]) -> None:
        main = self.roles[0]
        if main.turns:
            main.turns[-1] = paid(main.turns[-1], reward, parts)
        else:  # names of parts are the environment's, `reward` may be one
            main.reward += reward
            main.earned.update(parts)
