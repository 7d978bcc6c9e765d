"""Tools of Model Context Protocol servers, through the official `mcp` package.

    McpServer(command=["python", "server.py"])     a process of its own, spoken to over its pipes
    McpServer(url="http://127.0.0.1:8000/mcp")     a server over streamable HTTP

A `ToolEnv` names them in `functions`: on the class, one server serves every environment; made in
`__init__`, each environment has its own, with its own state.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agentrl.background import loop, wait
from agentrl.errors import (
    ConfigError,
    MissingDependencyError,
    ToolError,
    ToolInputError,
    boundary,
)
from agentrl.functions import Tool, inlined

MAX_PAGES = 100
"""Pages of tools that are listed: a server may never end."""


class McpServer:
    """A server's tools; implements `functions.ToolSource` and may be shared between threads.

    The connection is made when the tools are first asked for. One that breaks costs the episode
    that notices; the next `tools()` makes a new one.

    Args:
        command: program and arguments of a server on standard input and output.
        url: address of a server over HTTP; give this or `command`.
        variables: environment variables for `command` beside the few that are safe to inherit.
        start_seconds: for starting, connecting and listing.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = (),
        url: str = "",
        variables: Mapping[str, str] | None = None,
        start_seconds: float = 30.0,
    ) -> None:
        if bool(command) == bool(url):
            raise ConfigError(f"an MCP server is a command or a URL, not {command!r} and {url!r}")
        if importlib.util.find_spec("mcp") is None:
            raise MissingDependencyError("mcp", 'pip install "agentrl[mcp]"')
        self.command = list(command)
        self.url = url
        self.variables = dict(variables or {})
        self.start_seconds = start_seconds
        self._lock = threading.Lock()
        self._tools: list[Tool] | None = None
        self._client: Any = None
        self._leave: asyncio.Event | None = None

    def __str__(self) -> str:
        return self.url or " ".join(self.command)

    def tools(self) -> list[Tool]:
        """What the server offers. Raises: ToolError when it does not answer."""
        with self._lock:
            if self._tools is None:
                with boundary(ToolError, f"the MCP server {self} does not answer"):
                    self._tools = wait(self._connected(), self.start_seconds)
            return self._tools

    def close(self) -> None:
        """End the connection and the server's process."""
        self._tools = None
        if self._leave is not None:
            loop().call_soon_threadsafe(self._leave.set)

    async def _connected(self) -> list[Tool]:
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        leave = asyncio.Event()
        life = asyncio.ensure_future(self._live(ready, leave))
        try:
            client = await ready
            found = await self._listed(client)
        except BaseException:  # a deadline too: a process that was started may not stay
            life.cancel()
            raise
        self._client, self._leave, self._life = client, leave, life
        return found

    async def _live(self, ready: asyncio.Future[Any], leave: asyncio.Event) -> None:
        """The connection's whole life, in one task as the client wants it."""
        from mcp import Client, StdioServerParameters, stdio_client

        server: Any = self.url
        if self.command:
            program, *arguments = self.command
            started = StdioServerParameters(command=program, args=arguments, env=self.variables)
            server = stdio_client(started)  # mcp 2.0 takes no parameters in its place
        try:
            async with Client(server) as client:
                ready.set_result(client)
                await leave.wait()
        except Exception as error:  # told to whoever waits; later ones show at the next call
            while inner := getattr(error, "exceptions", None):  # groups do not say what happened
                error = inner[0]
            if not ready.done():
                ready.set_exception(error)

    async def _listed(self, client: Any) -> list[Tool]:
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += [self._tool(one) for one in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    def _tool(self, told: Any) -> Tool:
        described = {
            "name": told.name,
            "description": told.description or "",
            "parameters": inlined(told.input_schema),
        }
        schema = {"type": "function", "function": described}
        return Tool(name=told.name, schema=schema, call=partial(self._call, told.name))

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """A call's text.

        Raises:
            ToolInputError: the server or the tool refused it.
            ToolError: the server is gone.
        """
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        client = self._client
        try:
            result = await client.call_tool(name, dict(arguments))
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise ToolInputError(f"{name}: {error.message}") from error
            raise self._gone(client, error.message) from error
        except (OSError, RuntimeError) as error:  # the transports' own words for a lost connection
            raise self._gone(client, str(error)) from error
        if result.is_error:
            raise ToolInputError(f"{name}: {content(result)}")
        return content(result)

    def _gone(self, client: Any, reason: str) -> ToolError:
        """Give up the connection, unless another thread has already made a new one."""
        if client is self._client:
            self.close()
        return ToolError(f"the MCP server {self} is gone: {reason}")


def content(result: Any) -> str:
    """A result as text: its text blocks, else its structured value; other blocks by their kind."""
    blocks = [getattr(block, "text", f"[{block.type}]") for block in result.content]
    if not blocks and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(blocks)
