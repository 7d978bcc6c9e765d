"""Our environments as OpenEnv servers: HTTP and WebSocket, one environment for each session.

    python -m agentrl.export.openenv agentrl/Sudoku-v0 --port 8000 size=4
    uvicorn.run(openenv.app("agentrl/Sudoku-v0", size=4))

An action is `{"text": ...}`; an observation holds `text` and what a trainer needs beside it.
`reset` takes a `seed` or a whole `task`. Tools are told of in the system prompt.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from typing import Any

from agentrl.env import TextEnv, env_class, make
from agentrl.errors import AgentRLError, MissingDependencyError
from agentrl.signature import written_arguments
from agentrl.toolenv import ToolEnv

try:
    from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app
    from openenv.core.env_server.types import EnvironmentMetadata
except ImportError as error:  # whoever imports this module wants to export there
    raise MissingDependencyError("openenv-core", 'pip install "agentrl[openenv]"') from error


class TextAction(Action):  # type: ignore[misc]
    """What an agent says."""

    text: str


class TextObservation(Observation):  # type: ignore[misc]
    """What the environment says; `reward` and `done` are OpenEnv's own fields."""

    text: str
    system: str = ""
    """The system prompt, told at `reset`."""
    success: bool = False
    """Whether the task is solved."""
    truncated: bool = False
    """Whether a limit of the environment ended the episode."""
    parts: dict[str, float] = {}  # noqa: RUF012 - pydantic copies defaults
    """Named parts of the reward."""
    parse: str = "ok"
    """What the environment's parser made of the action: ok, no_call or malformed."""
    answer: str | None = None
    """The final answer in a canonical form."""


class Served(Environment):  # type: ignore[misc]
    """One session's environment."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, env: TextEnv) -> None:
        super().__init__()
        self.env = env
        self.episode: str | None = None

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task: dict[str, Any] | None = None,
        **_: Any,
    ) -> TextObservation:
        """Begin `task` (an environment's own record), else the one that `seed` draws."""
        self.episode = episode_id
        text, info = self.env.reset(seed=seed, options={"task": task} if task else None)
        return TextObservation(text=text, system=info.get("system") or "")

    def step(self, action: TextAction, timeout_s: float | None = None, **_: Any) -> TextObservation:
        """Take one text; refused when no episode is being played."""
        text, reward, terminated, truncated, info = self.env.step(action.text)
        return TextObservation(
            text=text,
            reward=reward,
            done=terminated or truncated,
            truncated=truncated,
            success=info["success"],
            parts=info["parts"],
            parse=info["parse"].value,
            answer=info.get("answer"),
        )

    @property
    def state(self) -> State:
        """Which episode, and how many turns of it were played."""
        return State(episode_id=self.episode, step_count=self.env.turn)

    def get_metadata(self) -> EnvironmentMetadata:
        """The environment's id and the first line of what it says of itself."""
        about = (type(self.env).__doc__ or "").partition("\n")[0]
        return EnvironmentMetadata(name=self.env.id, description=about)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def app(id: str, *, sessions: int = 64, **arguments: Any) -> Any:
    """A FastAPI application that serves an environment to at most `sessions` clients at once.

    Raises: ConfigError.
    """
    told = {"listing": "prompt"} if issubclass(env_class(id), ToolEnv) else {}
    arguments = {**told, **arguments}
    make(id, **arguments).close()  # what cannot be made is said here, not to the first client
    factory = functools.partial(_served, id, arguments)
    functools.update_wrapper(factory, Served)  # the server names the factory in its errors
    return create_fastapi_app(factory, TextAction, TextObservation, max_concurrent_envs=sessions)


def _served(id: str, arguments: Mapping[str, Any]) -> Served:
    return Served(make(id, **arguments))


def main(words: list[str] | None = None) -> None:
    """Serve what the command line says until it is interrupted."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m agentrl.export.openenv", description=__doc__)
    parser.add_argument("id", help="of the environment, such as agentrl/Sudoku-v0")
    parser.add_argument("arguments", nargs="*", help="of the environment, as name=value")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--sessions", type=int, default=64)
    told = parser.parse_intermixed_args(words)
    try:
        arguments = written_arguments(env_class(told.id), told.arguments)
        served = app(told.id, sessions=told.sessions, **arguments)
    except AgentRLError as error:  # one line instead of a traceback
        parser.error(str(error))
    uvicorn.run(served, host=told.host, port=told.port, log_level="warning")


if __name__ == "__main__":
    main()
