"""OpenEnv servers: any environment that speaks its WebSocket protocol, through its own client.

    agentrl train ... env.id=agentrl/OpenEnv-v0 env.url=http://127.0.0.1:8000

The agent's text becomes one field of the action, one field of the observation is what it reads.
Which ones, the server's schema says; where it has several, actions are JSON objects, or
observations are shown whole. A server of `agentrl.export.openenv` also tells success, reward parts
and whether an episode was cut. What a seed means, and whether an episode repeats, is the server's.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from agentrl.env import Reply
from agentrl.envs.adapters.base import Adapter, Moved
from agentrl.envs.adapters.library import load
from agentrl.errors import ConfigError, EnvError, boundary
from agentrl.types import Parse

OPENENVS = ("done", "reward", "metadata")
"""What OpenEnv itself puts into actions and observations."""


class OpenEnv(Adapter):
    """An environment behind an OpenEnv server; one session of the server for each instance.

    Args:
        url: of the server; `http://` or `ws://`.
        action: the action's field that takes the agent's text; empty asks the server's schema, and
            agents write a JSON object where that leaves a choice.
        observation: the observation's field that is read; empty asks the schema, and the whole
            observation is read as JSON where that leaves a choice.
        game: what tasks are called; part of their identity, which the address is not.
        reset: further arguments of every reset.
        seconds: for connecting, and for each answer.
        max_turns: turns until truncation; None is 64.
        success: the least sum of rewards that counts as solved, where the server does not say.
        reward_weights: weight of each part in the reward; None is the server's reward alone.
        render_mode: `ansi` or None.

    Raises:
        ConfigError: no URL.
        MissingDependencyError: openenv-core is not installed.
    """

    mends: ClassVar[bool] = False  # the library's faults, if any, are in another process
    pickles = False  # an episode lives in the server, bound to this connection

    def __init__(
        self,
        *,
        url: str = "",
        action: str = "",
        observation: str = "",
        game: str = "openenv",
        reset: Mapping[str, Any] | None = None,
        seconds: float = 30.0,
        max_turns: int | None = None,
        success: float = 1.0,
        reward_weights: Mapping[str, float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            max_turns=max_turns,
            success=success,
            reward_weights=reward_weights,
            mend=False,
            render_mode=render_mode,
        )
        if not url.startswith(("http://", "https://", "ws://", "wss://")):
            raise ConfigError(f"url={url!r}: give the server's, as http://127.0.0.1:8000", "url")
        load("openenv", "openenv-core", "openenv")
        self.url = url.rstrip("/")
        self.what = game
        self.action, self.observation = action, observation
        self.resets = dict(reset or {})
        self.seconds = seconds
        self._client: Any = None
        self._told: Mapping[str, Any] = {}

    def start(self, data: Mapping[str, Any]) -> str:
        """Begin an episode of the task's seed; a connection that was lost is made anew."""
        self._connect()
        result = self._ask("reset", seed=data["seed"], **self.resets)
        self.system_prompt = str(result.observation.get("system") or "")
        return self._read(result.observation)

    def move(self, text: str) -> Moved:
        """Send one action; one that the server finds invalid is the agent's mistake."""
        try:
            result = self._ask("step", self._action(text))
        except (ValueError, RecursionError) as error:  # no JSON object, or not of the action's type
            return Moved(text=f"Error: {error}", parse=Parse.MALFORMED)
        told = result.observation
        cut = bool(told.get("truncated"))
        parts = told.get("parts")
        parse = told.get("parse")
        answer = told.get("answer")
        return Moved(
            text=self._read(told),
            reward=float(result.reward or 0.0),
            terminated=result.done and not cut,
            truncated=result.done and cut,
            parts=parts if isinstance(parts, Mapping) else {},
            parse=Parse(parse) if parse in {one.value for one in Parse} else Parse.OK,
            answer=answer if isinstance(answer, str) else None,
        )

    def act(self, text: str) -> Reply:
        """One step; a server that says whether the task is solved is believed."""
        self._told = {}
        reply = super().act(text)
        said = self._told.get("success")
        return replace(reply, success=said) if isinstance(said, bool) else reply

    def close(self) -> None:
        """End the session; the next reset begins another."""
        super().close()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # ---- the server ----

    def _connect(self) -> None:
        if self._client is not None:
            return
        core = load("openenv.core", "openenv-core", "openenv")
        client = core.GenericEnvClient(
            self.url, connect_timeout_s=self.seconds, message_timeout_s=self.seconds
        )
        with boundary(EnvError, f"the OpenEnv server {self.url} does not answer"):
            if not (self.action and self.observation):
                self._read_schema()
            self._client = client.sync().connect()

    def _ask(self, verb: str, *arguments: Any, **named: Any) -> Any:
        """What the server answers.

        Raises:
            ValueError: it finds the action invalid.
            EnvError: anything else went wrong; the session is given up.
        """
        try:
            result = getattr(self._client, verb)(*arguments, **named)
        except Exception as error:  # the client has no errors of its own: they differ in their text
            if "VALIDATION_ERROR" in str(error) and verb == "step":
                raise ValueError(f"the server refuses this action: {error}") from error
            self.close()
            why = str(error) or type(error).__name__
            raise EnvError(f"the OpenEnv server {self.url}, {verb}: {why}") from error
        self._told = result.observation
        return result

    def _read_schema(self) -> None:
        """The fields that nobody named, where the schema leaves no choice."""
        address = "http" + self.url.removeprefix("http").removeprefix("ws")
        with urllib.request.urlopen(f"{address}/schema", timeout=self.seconds) as answer:
            schema = json.load(answer)
        self.action = self.action or only_text(schema["action"])
        self.observation = self.observation or only_text(schema["observation"])

    def _action(self, text: str) -> Mapping[str, Any]:
        text = text.encode(errors="replace").decode()  # JSON knows no lone surrogates
        if self.action:
            return {self.action: text}
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"an action is a JSON object, not {text!r:.60}")
        return value

    def _read(self, observation: Mapping[str, Any]) -> str:
        if not self.observation:
            return json.dumps(observation, ensure_ascii=False)
        if self.observation not in observation:
            raise EnvError(
                f"the observation of {self.url} has no {self.observation!r}: set `observation` to "
                f"one of {', '.join(observation) or 'none'}"
            )
        value = observation[self.observation]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def only_text(schema: Mapping[str, Any]) -> str:
    """The one required field of a schema, or its only one, if a text; else empty."""
    told = schema.get("properties", {})
    fields = {name: field for name, field in told.items() if name not in OPENENVS}
    asked = [name for name in schema.get("required", ()) if name in fields] or list(fields)
    return asked[0] if len(asked) == 1 and fields[asked[0]].get("type") == "string" else ""
