"""One event loop in a thread, for asynchronous tools of environments, which are synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


STARTING = threading.Lock()


def loop() -> asyncio.AbstractEventLoop:
    """The loop; its daemon thread ends with the process."""
    with STARTING:  # environments ask for it at once, and a cache alone would let each make one
        return _started()


@cache
def _started() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="agentrl-tools", daemon=True).start()
    return made


def wait(work: Awaitable[T], seconds: float) -> T:
    """The result of asynchronous work, from any other thread.

    Raises:
        TimeoutError: it took longer than `seconds` and was cancelled.
    """

    async def bounded() -> T:
        return await asyncio.wait_for(work, seconds)

    return asyncio.run_coroutine_threadsafe(bounded(), loop()).result()


def settle(works: list[Awaitable[Any]], seconds: float) -> list[Any]:
    """The results of concurrent work in order; what failed or took too long is its exception."""

    async def harmless(work: Awaitable[Any]) -> Any:
        try:
            return await work
        except (SystemExit, KeyboardInterrupt) as error:  # either would end the loop for everybody
            return error

    async def each(work: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(harmless(work), seconds)

    async def together() -> list[Any]:
        return await asyncio.gather(*map(each, works), return_exceptions=True)

    return asyncio.run_coroutine_threadsafe(together(), loop()).result()
