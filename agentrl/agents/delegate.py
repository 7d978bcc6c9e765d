"""A main agent that delegates: every order is an episode of a sub-agent's own turns.

    main   What is the mayor of the birthplace of :Mira?
           <delegate>the birthplace of :Mira</delegate>
    sub        the birthplace of :Mira                            a trajectory of its own; its
               <query>...</query> ... <answer>:Driam</answer>     parent is main's turn and call
    main   :Driam                                                 nothing but the report comes back
           <delegate>the mayor of :Driam</delegate> ...

Several orders of one turn are carried out at the same time, and their reports come in their order.
What assignments are, the environment says (`protocols.Workplace`).

Source: arXiv 2511.13288 (github AQ-MedAI/MrlX).
Differs: a report is the sub-agent's own last word (the release has a third model summarise its
transcript); one that does not fit into the caller's context is cut, and its trajectory is kept.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from agentrl.agents.chat import Limits, replies
from agentrl.agents.program import ProgramAgent
from agentrl.agents.scene import Line, Role, RoleEnded, Scene, Script
from agentrl.calls import thinking
from agentrl.direction import first_messages
from agentrl.env import Reply
from agentrl.errors import ConfigError, EnvError, boundary, suggestion
from agentrl.signature import checked_arguments
from agentrl.types import Message, Status

MAIN = "main"
OPENING = re.compile(r'<delegate(?:\s+to="([^"<>]*)")?\s*>')
CLOSING = "</delegate>"
PROMPT = (
    "You can send agents ({agents}), each with one order that says all it has to know: "
    "<delegate{to}>order</delegate>. You read their reports next. Several orders in one turn are "
    "carried out at the same time."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How the sub-agents of one kind play."""

    policy: str = ""
    """Whose weights speak; by default the policy named like the kind, else `main`."""
    trained: bool = True
    """Whether their tokens are rows."""
    turns: int = 8
    """Of one assignment; ends in `TURN_LIMIT`."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Where they differ from the run's `limits`."""


class Order(NamedTuple):
    """One call of the delegate tool."""

    to: str
    """The kind of agent; empty if it does not say."""
    text: str


class DelegateAgent(ProgramAgent):
    """Plays a task with a main agent and the sub-agents that it sends.

    Args:
        limits: of tokens and seconds, for every agent by itself.
        agents: the kinds of sub-agents by name, each with what `Kind` holds; by default one, `sub`.
        depth: how deep orders nest: 1 is the main agent's, with 2 its sub-agents give orders too.
        calls: orders of one episode that are carried out; to the others the caller reads why not.
        turns: of the main agent.
        spare: tokens that a report leaves its caller for the next turn, or it is cut.
        prompt: what an agent that may delegate is told of it, with `{agents}` and `{to}`.

    Raises:
        ConfigError: no kind, a kind named `main`, or a number below 1.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        agents: Mapping[str, Mapping[str, Any]] | None = None,
        depth: int = 1,
        calls: int = 16,
        turns: int = 20,
        spare: int = 32,
        prompt: str = PROMPT,
    ) -> None:
        super().__init__(limits)
        for name, number in (("depth", depth), ("calls", calls), ("turns", turns)):
            if number < 1:
                raise ConfigError(f"agent.{name} is {number}: give at least 1", name)
        self.kinds = {name: kind(name, told) for name, told in (agents or {"sub": {}}).items()}
        self.depth, self.calls, self.turns, self.spare = depth, calls, turns, spare
        self.limits_of = {
            name: replace(limits, **checked_arguments(Limits, kind.limits))
            for name, kind in self.kinds.items()
        }
        to = ' to="kind"' if len(self.kinds) > 1 else ""
        with boundary(ConfigError, "agent.prompt has no names but {agents} and {to}"):
            self.prompt = prompt.format(agents=", ".join(self.kinds), to=to)

    async def program(self, scene: Scene) -> None:
        """The episode of the main agent, and of all that it sends."""
        # Python's own list of attributes: the stage passes calls on and shows nothing else
        known = await scene.ask("__dir__")
        if missing := [name for name in ("assign", "work") if name not in known]:
            raise ConfigError(
                f"{scene.task.env} has no {' and no '.join(missing)}: the agent `delegate` needs "
                "an environment that is a protocols.Workplace; or take another agent",
                "agent",
            )
        await Delegation(self, scene).play()


class Delegation:
    """One episode: who works for whom, and how many orders are left."""

    def __init__(self, agent: DelegateAgent, scene: Scene) -> None:
        self.agent = agent
        self.scene = scene
        self.left = agent.calls
        self.cue = asyncio.Lock()
        """Held between telling a demonstration's script whom it speaks for, and its text."""

    async def play(self) -> None:
        """The main agent's conversation."""
        main = self.scene.role(MAIN, tools=self.scene.tools)
        heard: Sequence[Message] = told(self.scene.messages, self.agent.prompt)
        while not self.scene.over:
            said = await self._says(main, heard, self.agent.turns)
            if orders := read_orders(said):
                heard = await self._reports(main, orders, 1)
            else:
                await self.scene.act(said, main)
                heard = self.scene.messages

    async def _says(
        self, role: Role, heard: Sequence[Message], turns: int, assignment: str = ""
    ) -> str:
        """One turn. Raises: RoleEnded."""
        if len(role.turns) >= turns:
            role.status = Status.TURN_LIMIT
            raise RoleEnded(role)
        return await role.says(heard, line=self._line(assignment))

    async def _reports(self, caller: Role, orders: Sequence[Order], depth: int) -> list[Message]:
        """What the caller hears of its orders, in their order."""
        opened = [self._opened(caller, order) for order in orders]  # in order: calls are numbered
        works = [self._report(o, order, depth) for o, order in zip(opened, orders, strict=True)]
        reports = await all_of(works)
        if len(reports) > 1:
            reports = [f"{number}: {report}" for number, report in enumerate(reports, 1)]
        text = fitting(caller, "\n".join(reports), self.agent.spare)
        caller.turns[-1] = replace(caller.turns[-1], reply=text)
        return [Message("user", text)]

    def _opened(self, caller: Role, order: Order) -> Role | str:
        """The sub-agent that carries an order out, or why there is none."""
        kinds = self.agent.kinds
        name = order.to or (next(iter(kinds)) if len(kinds) == 1 else "")
        if name not in kinds:
            return f"Error: no agent {name!r:.40}: {suggestion(name, list(kinds))}"
        if not order.text:
            return "Error: the order is empty"
        if self.left < 1:
            return f"Error: all {self.agent.calls} orders of this task are used up"
        self.left -= 1
        return self.scene.role(
            name,
            policy=kinds[name].policy,
            parent=caller,
            trained=kinds[name].trained,
            limits=self.agent.limits_of[name],
        )

    async def _report(self, opened: Role | str, order: Order, depth: int) -> str:
        """What comes back of an order; a sub-agent's end is its own."""
        if isinstance(opened, str):
            return opened
        try:
            return await self._worked(opened, order, depth)
        except RoleEnded as ended:
            return f"Error: no report, {ended.role.name} ended: {ended.role.status.value}"

    async def _worked(self, role: Role, order: Order, depth: int) -> str:
        """A sub-agent's whole conversation; its report. Raises: RoleEnded."""
        given = await self.scene.ask("assign", role.name, order.text)
        if not (isinstance(given, tuple) and len(given) == 3 and isinstance(given[2], Mapping)):
            raise EnvError(f"assign answered {given!r:.80}, not (id, text, info)")
        assignment, text, info = given
        leads = depth < self.agent.depth
        role.tools = info.get("tools", ())
        heard = told(first_messages(text, info), self.agent.prompt if leads else "")
        while True:
            said = await self._says(role, heard, self.agent.kinds[role.name].turns, assignment)
            if leads and (orders := read_orders(said)):
                heard = await self._reports(role, orders, depth + 1)
                continue
            reply = checked(await self.scene.ask("work", assignment, said))
            role.turns[-1] = replace(
                role.turns[-1], reply=reply.text, parse=reply.parse, parts=dict(reply.parts)
            )
            if reply.done:
                return reply.text
            heard = list(replies(reply.text, {"messages": reply.messages}))

    def _line(self, assignment: str) -> Line:
        """What a demonstration says in the place of an assignment's agent, or of the main one."""

        async def line(script: Script) -> str:
            async with self.cue:
                await self.scene.ask("cue", assignment)
                return await script()

        return line


def kind(name: str, settings: Mapping[str, Any]) -> Kind:
    """A kind of sub-agents from its settings. Raises: ConfigError."""
    if name == MAIN or not OPENING.fullmatch(f'<delegate to="{name}">'):
        raise ConfigError(f"agent.agents names a kind {name!r}: give it another name", name)
    made = Kind(**checked_arguments(Kind, settings))
    if made.turns < 1:
        raise ConfigError(f"agent.agents.{name}.turns is {made.turns}: give at least 1", "turns")
    return made


def read_orders(text: str) -> list[Order]:
    """The calls of the delegate tool that are closed, in their order; none from a thought."""
    said = thinking(text)[1]
    found: list[Order] = []
    opened = OPENING.search(said)
    while opened is not None and (end := said.find(CLOSING, opened.end())) >= 0:
        found.append(Order(opened[1] or "", said[opened.end() : end].strip()))
        opened = OPENING.search(said, end)
    return found


def told(messages: Sequence[Message], prompt: str) -> list[Message]:
    """A conversation's first messages, with more in the system prompt."""
    first, *rest = messages
    if not prompt:
        return list(messages)
    if first.role != "system":
        return [Message("system", prompt), *messages]
    return [first._replace(content=f"{first.content}\n\n{prompt}"), *rest]


def fitting(role: Role, text: str, spare: int) -> str:
    """The text, cut if need be so that the role has `spare` tokens left for its next turn."""

    def cut(length: int) -> str:
        return f"{text[:length]} ... cut after {length} characters"

    if role.room(text) >= spare:
        return text
    wanted = min(spare, role.room(cut(0)))  # where even nothing is too much, what there is
    if role.room(text) >= wanted:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if role.room(cut(middle)) >= wanted:
            fits = middle
        else:
            too_long = middle
    return cut(fits)


def checked(reply: Any) -> Reply:
    """What an environment answered to a sub-agent. Raises: EnvError."""
    if not isinstance(reply, Reply) or not isinstance(reply.text, str):
        raise EnvError(f"work answered {reply!r:.80}, not a Reply")
    if not all(map(math.isfinite, reply.parts.values())):
        raise EnvError(f"work answered the parts {dict(reply.parts)!r:.80}: give finite numbers")
    return reply


async def all_of(works: Sequence[Awaitable[str]]) -> list[str]:
    """All results in their order; the first error once none is under way any more."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [str(result) for result in done]
