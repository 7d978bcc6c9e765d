"""Environments of verifiers: any installed taskset, with its rewards, tools, users and harness.

    agentrl train ... env.id=agentrl/Verifiers-v0 env.taskset=my_taskset

verifiers runs the episode as ever, and asks an endpoint of ours for completions: what is new in a
request is the observation, the agent's text is the completion. Its rewards come with the episode's
end; each is a named part, already weighted.
"""

from __future__ import annotations

import concurrent.futures
import json
import queue
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentrl.env import Reply
from agentrl.envs.adapters.endpoint import Asked, Line, exchange
from agentrl.envs.adapters.library import load
from agentrl.envs.adapters.verifiers_home import home
from agentrl.errors import ConfigError, EnvError
from agentrl.functions import Tool
from agentrl.toolenv import ToolEnv
from agentrl.types import Message, Parse

CHAT = "agentrl_chat"


class Verifiers(ToolEnv):
    """A verifiers Env: its taskset's tasks, played in its own way.

    Args:
        taskset: id of an installed taskset, as verifiers imports it.
        taskset_config: its further settings.
        env: id of an Env to pair it with; empty is the taskset's own.
        config: further settings of the Env, its seats by name among them.
        agent: the seat whose rewards count; empty is the first. Seats without a client of their own
            in `config` are played by the same agent.
        harness: id of the seats' harness; ours runs in this process, empty is the taskset's own.
        limit: tasks that are read of the taskset.
        seconds: for whatever verifiers does between two completions.
        max_turns: completions of an episode.
        success: the least sum of rewards that counts as solved.
        reward_weights: weight of each part, of verifiers' rewards and `solved`; None is their sum.
        **settings: those of every `ToolEnv`: calls, listing and so on.

    Raises:
        ConfigError: verifiers does not know or refuses something.
        DataError: the taskset is empty.
        MissingDependencyError: verifiers is not installed.
    """

    pickles = False  # an episode runs in this process's event loop

    def __init__(
        self,
        *,
        taskset: str = "",
        taskset_config: Mapping[str, Any] | None = None,
        env: str = "",
        config: Mapping[str, Any] | None = None,
        agent: str = "",
        harness: str = CHAT,
        limit: int = 10_000,
        seconds: float = 60.0,
        max_turns: int = 16,
        success: float = 1.0,
        reward_weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if not taskset:
            raise ConfigError("taskset='': give an installed verifiers taskset's id", "taskset")
        load("verifiers", "verifiers", "verifiers")
        self.home = home(
            {
                "taskset": {"id": taskset, **(taskset_config or {})},
                "env": env,
                "config": dict(config or {}),
                "agent": agent,
                "harness": harness,
                "limit": limit,
                "max_turns": max_turns,
            }
        )
        self.what = taskset
        self.seconds = seconds
        self.success = success
        self.max_turns = self._fixed_turns = max_turns
        self.reward_weights = self._fixed_weights = reward_weights
        self._line: Line | None = None
        self._episode: concurrent.futures.Future[Any] | None = None
        self._asked: Asked | None = None
        self._known: list[Any] = []

    def offered(self) -> Sequence[Tool]:
        """The tools of the last request; verifiers runs them."""
        told = self._asked.body.get("tools") or () if self._asked else ()
        return [Tool(name=one["function"]["name"], schema=one, call=dict) for one in told]

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A task of the taskset, as verifiers writes it down."""
        records: Sequence[Mapping[str, Any]] = self.home.records
        return records[int(rng.integers(len(records)))]

    def begin(self, data: Mapping[str, Any]) -> str:
        """Start verifiers' episode; what it asks first. Raises: DataError, EnvError."""
        task = self.home.task(data)
        self._hang_up()
        self.max_turns, self.system_prompt = self._fixed_turns, ""
        self._known = []
        self._line = line = exchange().open()
        self._episode = self.home.play(task, line)
        self._episode.add_done_callback(line.events.put)
        event = self._next()
        if not isinstance(event, Asked):
            raise EnvError(f"{self.what}: the episode ended before its first turn: {fault(event)}")
        return "\n".join(message.content for message in self._new(event))

    def act(self, text: str) -> Reply:
        """Give verifiers the completion; what it asks next, or how the episode ended."""
        assert self._asked is not None  # `begin` or the last step left a request
        self.heard = self.form.parse(text)
        self._asked.answers.put(self._completion(text))
        event = self._next()
        if not isinstance(event, Asked):
            return self._ended(event)
        new = self._new(event)
        told = "\n".join(message.content for message in new)
        return Reply(text=told, messages=new if self.native else (), parse=self._parse())

    def close(self) -> None:
        """Give the episode up; the servers stay for others."""
        super().close()
        self._hang_up()

    # ---- the line ----

    def _next(self) -> Any:
        """What comes next: `Asked`, or the finished future. Raises: EnvError."""
        assert self._line is not None
        try:
            event = self._line.events.get(timeout=self.seconds)
        except queue.Empty:
            self._hang_up()
            raise EnvError(
                f"{self.what}: verifiers asked nothing for {self.seconds:g} s: raise `seconds` if "
                "its tools or judges are only slow"
            ) from None
        self._asked = event if isinstance(event, Asked) else None
        return event

    def _hang_up(self) -> None:
        line, episode = self._line, self._episode
        self._line = self._episode = self._asked = None
        if line is not None:
            exchange().hang_up(line)
        if episode is not None:
            episode.cancel()

    def _new(self, asked: Asked) -> list[Message]:
        """What the agent has not read yet; all of it where the conversation is another one."""
        told = [one for one in asked.body["messages"] if one["role"] != "assistant"]
        rest = [one for one in told if one["role"] in ("user", "tool")]
        goes_on = rest[: len(self._known)] == self._known
        new = rest[len(self._known) :] if goes_on else told
        if not self.turn:
            systems = [words(one) for one in told if one not in rest]
            self.system_prompt = "\n\n".join(systems)
        self._known = rest
        return [message(one) for one in new]

    def _completion(self, text: str) -> dict[str, Any]:
        """The text as an assistant's message; calls that cannot be read are plain text."""
        if self.heard.status is Parse.MALFORMED:
            return {"role": "assistant", "content": plain(text)}
        said = {"role": "assistant", "content": plain(self.heard.content)}
        if self.heard.thinking:
            said["reasoning_content"] = plain(self.heard.thinking)
        calls = [
            {
                "id": call.id or self._id(number),
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for number, call in enumerate(self.heard.calls)
        ]
        return {**said, **({"tool_calls": calls} if calls else {})}

    def _parse(self) -> Parse:
        """Malformed calls are told apart; a text without calls is what many tasks want."""
        malformed = self.heard.status is Parse.MALFORMED
        return Parse.MALFORMED if malformed else Parse.OK

    def _ended(self, event: concurrent.futures.Future[Any]) -> Reply:
        """The rewards of our seat. Raises: EnvError, if verifiers or its task failed."""
        if why := fault(event):
            raise EnvError(f"{self.what}: {why}")
        traces = event.result().traces
        mine = [trace for trace in traces if trace.agent.name in (self.home.seat, "")] or traces
        trace = mine[-1]
        parts = {name: one.value for name, one in trace.rewards.items() if one is not None}
        success = trace.reward >= self.success - 1e-6
        self.reward_weights = self._fixed_weights or dict.fromkeys(parts, 1.0)
        done = success or trace.stop_condition != "max_turns"
        if not done:
            self.max_turns = self.turn  # the base truncates at its limit, which is here then
        return Reply(parts=parts, done=done, success=success, parse=self._parse())


def fault(event: concurrent.futures.Future[Any]) -> str:
    """What broke an episode, empty if nothing did."""
    if event.cancelled():
        return "the episode was given up"
    if (error := event.exception()) is not None:
        return f"{type(error).__name__}: {error}"
    episode = event.result()
    if episode.ok:
        return ""
    errors = [*episode.errors, *(one for trace in episode.traces for one in trace.errors)]
    return f"{errors[-1].type}: {errors[-1].message}" if errors else "it failed without a reason"


def message(told: Mapping[str, Any]) -> Message:
    """A message of OpenAI's API as ours; a new system prompt in mid-episode is the user's."""
    role = "tool" if told["role"] == "tool" else "user"
    name, call = told.get("name", ""), told.get("tool_call_id", "")
    return Message(role, words(told), name=name, call=call)


def words(message: Mapping[str, Any]) -> str:
    """A message's text; other parts of it by their kind."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(one.get("text") or f"[{one.get('type')}]" for one in content)


def plain(text: str) -> str:
    """A text that JSON and HTTP can carry: no lone surrogates."""
    return text.encode(errors="replace").decode()
