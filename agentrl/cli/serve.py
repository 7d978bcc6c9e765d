"""`agentrl serve MODEL`: vLLM servers that a run can publish its weights to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from agentrl.backends.load import check_path
from agentrl.errors import ConfigError, PolicyError


def serve(model: str, *, port: int, host: str, servers: int, options: Sequence[str]) -> None:
    """Start servers on consecutive ports and wait until interrupted. Raises: AgentRLError."""
    from agentrl.backends.vllm.launch import Server

    check_path(model)
    settings = dict(read_option(option) for option in options)
    started = [Server(model, port + i, host, settings) for i in range(servers)]
    try:
        for server in started:
            server.start()
        for server in started:
            server.wait()
            typer.echo(f"{model} is served at {server.url}")
        urls = ",".join(server.url for server in started)
        typer.echo(f"train on it with: engine.name=server engine.urls=[{urls}]")
        ended = [server for server in started if server.process and server.process.wait()]
        raise PolicyError(f"the server at {ended[0].url} ended" if ended else "the servers ended")
    finally:
        for server in started:
            server.stop()


def read_option(text: str) -> tuple[str, Any]:
    """`key=value` as an option of vLLM's server; `key` alone is a switch. Raises: ConfigError."""
    name, given, value = text.removeprefix("--").partition("=")
    if not name or (given and not value):
        raise ConfigError(f"cannot read the option {text!r}: write key=value, as vLLM names it")
    return name.replace("_", "-"), value if given else True
