"""verifiers' side of an episode: its Env with what it serves, shared by all instances.

One Env and its servers live as long as the process, in the event loop of `background`; each episode
is a task of that loop which asks our endpoint for completions.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import json
import threading
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

from agentrl.background import loop, wait
from agentrl.envs.adapters.endpoint import Line, exchange
from agentrl.envs.adapters.library import load
from agentrl.errors import ConfigError, DataError, EnvError, boundary

STARTING = threading.Lock()
START_SECONDS = 120.0
STOP_SECONDS = 10.0


class Home:
    """A verifiers Env that is being served, and its tasks."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.vf = load("verifiers.v1", "verifiers", "verifiers")
        load("agentrl.envs.adapters.verifiers_chat", "verifiers", "verifiers")
        with boundary(ConfigError, f"verifiers cannot make {settings['taskset']['id']!r}"):
            self.env = self.vf.load_environment(self._resolved(settings))
            tasks = list(islice(self.env.taskset, settings["limit"]))
        if not tasks:
            raise DataError(f"the verifiers taskset {settings['taskset']['id']!r} has no task")
        self.records = [task.data.model_dump(mode="json", exclude_defaults=True) for task in tasks]
        self._tasks = {
            json.dumps(record, sort_keys=True): task
            for record, task in zip(self.records, tasks, strict=True)
        }
        self._leave: asyncio.Event | None = None
        with boundary(EnvError, f"verifiers cannot serve {settings['taskset']['id']!r}"):
            wait(self._serve(), START_SECONDS)
        atexit.register(self.stop)

    def _resolved(self, settings: Mapping[str, Any]) -> Any:
        """The configuration with every seat on this machine and our harness, unless it says."""
        raw = {"id": settings["env"], "taskset": settings["taskset"], **settings["config"]}
        config = self.vf.resolve_env_config(json.loads(json.dumps(raw)))
        seats = [name for name, value in config if isinstance(value, self.vf.AgentConfig)]
        self.seat: str = settings["agent"] or seats[0]
        if self.seat not in seats:
            raise ConfigError(f"agent={self.seat!r}: the seats are {', '.join(seats)}", "agent")
        for seat in seats:
            told: dict[str, Any] = {"runtime": {"type": "subprocess"}}
            if settings["harness"]:
                told["harness"] = {"id": settings["harness"]}
            if seat == self.seat:
                told["max_turns"] = settings["max_turns"]
            raw[seat] = {**told, **settings["config"].get(seat, {})}
        return self.vf.resolve_env_config(json.loads(json.dumps(raw)))

    async def _serve(self) -> None:
        """Have the Env's servers up, in one task for their whole life as their contexts want it."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()

        async def live() -> None:
            try:
                async with self.env.serving():
                    ready.set_result(None)
                    await self._leave.wait()  # type: ignore[union-attr]
            except Exception as error:  # told to whoever waits
                if not ready.done():
                    ready.set_exception(error)

        self._life = asyncio.ensure_future(live())
        await ready

    def stop(self) -> None:
        """End the servers."""

        async def end() -> None:
            if self._leave is not None:
                self._leave.set()
                await self._life

        try:
            wait(end(), STOP_SECONDS)
        except (TimeoutError, RuntimeError):  # the process is ending: nobody is left to be told
            return

    def task(self, record: Mapping[str, Any]) -> Any:
        """The task of a record, of this taskset or another one of its kind. Raises: DataError."""
        found = self._tasks.get(json.dumps(dict(record), sort_keys=True))
        if found is not None:
            return found
        kind = type(self.env.taskset).task_type()
        with boundary(DataError, f"this is no task of {self.env.config.env_id}"):
            data = kind.data_type().model_validate(dict(record))
            return kind(data, self.env.taskset.config.task)

    def play(self, task: Any, line: Line) -> concurrent.futures.Future[Any]:
        """Start an episode whose model is who holds the line; its result is a verifiers Episode.

        One address serves all, because verifiers keeps a client for every address; it names each
        conversation's trace in a header.
        """
        client = self.vf.EvalClientConfig(base_url=exchange().address())
        context = self.vf.ModelContext(model="agentrl", client=client)

        def begun(trace: Any) -> None:
            exchange().join(line, trace.id)

        episode = self.env.run_episode(task, context, on_trace=begun)
        return asyncio.run_coroutine_threadsafe(episode, loop())


def home(settings: Mapping[str, Any]) -> Home:
    """The home of these settings; made once.

    Raises:
        ConfigError: verifiers does not know or refuses something.
        DataError: there are no tasks.
    """
    with STARTING:
        return _home(json.dumps(settings, sort_keys=True))


@cache
def _home(settings: str) -> Home:
    return Home(json.loads(settings))
