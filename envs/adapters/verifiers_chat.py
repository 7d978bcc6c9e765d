"""A harness for verifiers that runs in this process: a conversation with MCP tools.

verifiers' own chat programs start an interpreter of their own for every turn, which takes seconds;
this one does the same in the event loop. verifiers finds it as the plugin `agentrl_chat`.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import httpx
import verifiers.v1 as vf
from verifiers.v1.dialects.chat import message_to_wire
from verifiers.v1.harnesses.utils.mcp import call_mcp, connect_mcp

__all__ = ["Chat"]

PLUGIN = "agentrl_chat"
"""Its id for verifiers."""


class ChatConfig(vf.HarnessConfig):  # type: ignore[misc]
    """Nothing beyond what every harness has."""


class Chat(vf.Harness[ChatConfig]):  # type: ignore[misc]
    """Completions and tool calls in turn, until a text has no calls."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_MCP = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: Any,
        trace: Any,
        runtime: Any,
        endpoint: str,
        secret: str,
        mcp_urls: Mapping[str, str],
        data: Any,
    ) -> Any:
        """Play one segment; a refused completion ends it."""
        said = self._opening(data)
        servers = {name: {"url": url, "timeout": 600.0} for name, url in mcp_urls.items()}
        headers = {"Authorization": f"Bearer {secret}"}
        async with AsyncExitStack() as stack:
            client = httpx.AsyncClient(timeout=None, headers=headers, verify=trusted())
            http = await stack.enter_async_context(client)
            tools, places, connections = await connect_mcp({"mcpServers": servers}, stack)
            request = {"model": ctx.model, **({"tools": tools} if tools else {})}
            while True:
                body = {**request, "messages": said}
                answer = await http.post(f"{endpoint}/chat/completions", json=body)
                if not answer.is_success:
                    return vf.ProgramResult(1, "", answer.text)
                message = answer.json()["choices"][0]["message"]
                said.append(message)
                if not message.get("tool_calls"):
                    return vf.ProgramResult(0, "", "")
                said += [await result(call, places, connections) for call in message["tool_calls"]]

    def _opening(self, data: Any) -> list[dict[str, Any]]:
        """The task's system prompt and conversation so far."""
        system, prompt = self.resolve_prompt(data)
        said = [{"role": "system", "content": system}] if system else []
        if isinstance(prompt, str):
            return [*said, {"role": "user", "content": prompt}]
        return [*said, *(message_to_wire(message) for message in prompt or [])]


@cache
def trusted() -> ssl.SSLContext:
    """Whom clients trust: read once, which takes longer than a turn."""
    return ssl.create_default_context()


async def result(
    call: Mapping[str, Any], places: Mapping[str, Sequence[str]], connections: Mapping[str, Any]
) -> dict[str, Any]:
    """The message that answers a call; what is wrong with the call is said in it."""
    name = call["function"]["name"]
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
        if name not in places:
            content = f"error: unknown tool {name!r}"
        else:
            content = await call_mcp(connections, places, name, arguments)
    except Exception as error:  # a tool is anybody's code: its failure is what the agent reads
        content = f"error: {error}"
    return {"role": "tool", "tool_call_id": call["id"], "name": name, "content": content}


sys.modules.setdefault(PLUGIN, sys.modules[__name__])
