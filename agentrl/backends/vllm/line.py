"""The line to one vLLM server: its routes, what is on its way, and whether it may be asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from agentrl.backends.http.endpoint import Endpoint
from agentrl.errors import PolicyError, boundary

GRACE = 5.0
"""Seconds in which a paused server has to answer what it aborted. It forgets requests that were on
their way while it paused."""


class Line:
    """One server: its connection, its load, and whether it may be asked."""

    def __init__(self, url: str, endpoint: Endpoint) -> None:
        from agentrl.backends.http.connection import Connection

        self.url = url.rstrip("/").removesuffix("/v1")
        self.connection = Connection(self.url, "", endpoint)
        self.waiting = 0
        self.adapters = ""
        """Name of the adapters that it draws with, none for the whole model."""
        self.served = 0
        """How often it was given weights."""
        self.open = asyncio.Event()
        self.open.set()
        self.lock = asyncio.Lock()
        self.going: set[asyncio.Task[Any]] = set()
        """Requests on their way."""
        self.dropped: set[asyncio.Task[Any]] = set()

    async def tell(self, path: str, **body: Any) -> bytes:
        """Have a route do something; what it answers is for people. Raises: PolicyError."""
        return await self.connection.send_patiently(path, body)

    async def ask(self, path: str, **body: Any) -> Any:
        """What a route answers. Raises: PolicyError."""
        raw = await self.tell(path, **body)
        with boundary(PolicyError, f"{self.url}{path} answered no JSON"):
            return json.loads(raw)

    async def generate(self, ids: list[int], params: Mapping[str, Any]) -> Any:
        """What follows some ids, with the adapters that are loaded. Raises: PolicyError."""
        model = {"model": self.adapters} if self.adapters else {}
        return await self.ask(
            "/inference/v1/generate", token_ids=ids, sampling_params=dict(params), **model
        )

    async def draw(self, ids: list[int], params: Mapping[str, Any]) -> Any:
        """What follows some ids; None where a publish dropped the request. Raises: PolicyError."""
        request = asyncio.create_task(self.generate(ids, params))
        self.going.add(request)
        try:
            return await request
        except asyncio.CancelledError:
            if request in self.dropped:  # by `drain`, not by whoever waits for the completion
                return None
            request.cancel()
            raise
        finally:
            self.going.discard(request)
            self.dropped.discard(request)

    async def stop(self) -> None:
        """Let nothing begin and call what runs back; what a server forgets is dropped."""
        self.open.clear()
        try:
            await self.tell("/pause?mode=abort")
            if self.going:
                _, forgotten = await asyncio.wait(self.going, timeout=GRACE)
                self.dropped |= forgotten
                for request in forgotten:
                    request.cancel()
            await self.tell("/resume")
        except PolicyError:  # nobody may wait for a server that is gone
            self.open.set()
            raise

    async def go_on(self) -> None:
        """Let requests begin again, with the weights that were handed over."""
        self.served += 1
        self.open.set()

    async def call(self, method: str, **arguments: Any) -> list[Any]:
        """What every worker of the server answers to one of its methods. Raises: PolicyError."""
        told = await self.ask("/collective_rpc", method=method, kwargs=arguments)
        found: list[Any] = told["results"]
        return found
