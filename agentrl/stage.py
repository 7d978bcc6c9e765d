"""Environments behind deadlines: one that raises, hangs or babbles costs its own episode only.

An environment runs in a daemon thread of its own. A call that misses its deadline is abandoned
together with its thread and its environment; a thread cannot be killed, but nothing waits for it
any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import numbers
import queue
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import gymnasium

from agentrl.errors import ConfigError, EnvError, boundary
from agentrl.types import Task

SURROGATE = re.compile("[\ud800-\udfff]")
Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class EnvStage:
    """One environment in one thread; implements `protocols.Stage`."""

    def __init__(self, env: gymnasium.Env[str, str], deadline_seconds: float) -> None:
        self.env = env
        self.deadline_seconds = deadline_seconds
        self.seconds = 0.0
        self.broken = False
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="agentrl-env", daemon=True).start()

    async def reset(self, task: Task, calls: str = "plain") -> tuple[str, Mapping[str, Any]]:
        """Start the task. Raises: EnvError."""
        options = {"task": task, "calls": calls}
        answer = await self._call("reset", lambda: self.env.reset(seed=task.seed, options=options))
        if not (isinstance(answer, tuple) and len(answer) == 2 and _is_text(answer[0])):
            raise self._nonsense("reset", answer, "(text, info)")
        return answer[0], self._info("reset", answer[1])

    async def step(self, text: str) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
        """Take one text. Raises: EnvError."""
        answer = await self._call("step", self.env.step, text)
        if not (isinstance(answer, tuple) and len(answer) == 5 and _is_text(answer[0])):
            raise self._nonsense("step", answer, "(text, reward, terminated, truncated, info)")
        observation, reward, terminated, truncated, info = answer
        if not _is_finite(reward):
            raise self._nonsense("step", reward, "a finite reward")
        info = self._info("step", info)
        return observation, float(reward), bool(terminated), bool(truncated), info

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call another method of the environment. Raises: EnvError."""
        return await self._call(method, lambda: getattr(self.env.unwrapped, method)(*arguments))

    def close(self) -> None:
        """Let the thread close the environment and end, after its current job."""
        self._jobs.put(None)

    async def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.put((loop, future, function, arguments))
        try:
            return await asyncio.wait_for(future, self.deadline_seconds)
        except TimeoutError as error:
            self.broken = True
            if not future.cancelled():  # the environment's own
                raise EnvError(f"{name} raised TimeoutError: {error}") from error
            raise EnvError(
                f"{name} did not answer within {self.deadline_seconds:g} s: the environment is "
                "abandoned; raise rollout.deadline_seconds if it is only slow"
            ) from None
        except (EnvError, ConfigError):
            self.broken = True
            raise
        except Exception as error:  # a foreign environment may raise anything; it becomes data
            self.broken = True
            raise EnvError(f"{name} raised {type(error).__name__}: {error}") from error

    def _info(self, name: str, info: Any) -> dict[str, Any]:
        """The info as a dictionary whose `parts` are finite numbers."""
        parts = info.get("parts", {}) if isinstance(info, Mapping) else None
        if not isinstance(parts, Mapping) or not all(map(_is_finite, parts.values())):
            raise self._nonsense(name, info, "an info mapping whose parts are finite numbers")
        return dict(info)

    def _nonsense(self, name: str, answer: Any, wanted: str) -> EnvError:
        self.broken = True
        return EnvError(f"{name} answered {str(answer)[:200]!r}, not {wanted}")

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, function, arguments = job
            started = time.perf_counter()
            try:
                result, error = function(*arguments), None
            except BaseException as raised:  # handed to the caller, who names it; exits too
                result, error = None, raised
            self.seconds += time.perf_counter() - started
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, result, error)
        with contextlib.suppress(Exception):  # nobody is left who could use the error
            self.env.close()


def _is_text(value: Any) -> bool:
    """Whether a value is a string that can be tokenised: without lone surrogates."""
    return isinstance(value, str) and not SURROGATE.search(value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration) or not isinstance(error, Exception):
        # cannot be raised into a future, or would end the loop
        future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        future.set_exception(error)


class EnvPool:
    """Environments that are reused from episode to episode; broken ones are thrown away."""

    def __init__(
        self, factory: Callable[[], gymnasium.Env[str, str]], deadline_seconds: float
    ) -> None:
        self.factory = factory
        self.deadline_seconds = deadline_seconds
        self._idle: list[EnvStage] = []

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[EnvStage]:
        """An environment for one episode."""
        stage = self._idle.pop() if self._idle else self._make()
        stage.seconds = 0.0
        try:
            yield stage
        except BaseException:
            stage.broken = True
            raise
        finally:
            if stage.broken:
                stage.close()
            else:
                self._idle.append(stage)

    def _make(self) -> EnvStage:
        with boundary(EnvError, "cannot make the environment"):
            return EnvStage(self.factory(), self.deadline_seconds)

    def close(self) -> None:
        """End all idle threads and close their environments."""
        while self._idle:
            self._idle.pop().close()
