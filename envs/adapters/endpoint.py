"""An OpenAI-compatible endpoint on loopback whose model is whoever holds the line.

Programs that want a model's address get one for each episode, or the one for all of them, if they
name their session in a header. What they ask waits in the line until the agent has said something;
a streamed answer is one piece.
"""

from __future__ import annotations

import json
import queue
import secrets
import sys
import threading
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SESSION = "X-Session-ID"
"""The header that names a line at the address for all."""
Told = Mapping[str, Any]
"""A JSON object."""


class Asked(NamedTuple):
    """One request for a completion."""

    body: Told
    """As OpenAI's chat completions have it: messages, tools."""
    answers: queue.SimpleQueue[Told | None]
    """Takes the assistant's message; None refuses the request."""


class Line:
    """One episode's address, and the queue of what is asked there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[str] = []
        """Its names: in its address, and of its sessions."""
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """`Asked`, and whatever else the holder waits for."""
        self._waiting: list[Asked] = []
        self._open = True
        self._lock = threading.Lock()

    def ask(self, body: Told) -> Told | None:
        """Wait for the answer to a request; None after `close`."""
        asked = Asked(body, queue.SimpleQueue())
        with self._lock:
            if not self._open:
                return None
            self._waiting.append(asked)
        self.events.put(asked)
        return asked.answers.get()

    def close(self) -> None:
        """Refuse what is asked and what will be."""
        with self._lock:
            self._open = False
            for asked in self._waiting:
                asked.answers.put(None)
            self._waiting.clear()


class Exchange(ThreadingHTTPServer):
    """The server of all lines of this process."""

    daemon_threads = True
    request_queue_size = 1024
    """Connections that may wait at once: an episode is lost with one that is refused."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lines: dict[str, Line] = {}
        threading.Thread(target=self.serve_forever, name="agentrl-endpoint", daemon=True).start()

    def address(self, key: str = "all") -> str:
        """The address of a line, or the one for all."""
        return f"http://127.0.0.1:{self.server_port}/{key}/v1"

    def open(self) -> Line:
        """A new line with an address that nobody can guess."""
        key = secrets.token_hex(16)
        line = Line(self.address(key))
        self.join(line, key)
        return line

    def join(self, line: Line, key: str) -> None:
        """Let a line have another name, such as a session's."""
        self.lines[key] = line
        line.keys.append(key)

    def hang_up(self, line: Line) -> None:
        """Close a line and forget its names."""
        line.close()
        for key in line.keys:
            self.lines.pop(key, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone, which given-up episodes do."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


STARTING = threading.Lock()


def exchange() -> Exchange:
    """The server; it starts with the first line and ends with the process."""
    with STARTING:
        return _started()


@cache
def _started() -> Exchange:
    return Exchange()


class Handler(BaseHTTPRequestHandler):
    """One request; an address that was hung up is gone, which no client tries again."""

    protocol_version = "HTTP/1.1"
    server: Exchange

    def do_POST(self) -> None:
        """Wait for the line's answer."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        line = self.server.lines.get(self.headers.get(SESSION) or self.path.split("/")[1])
        message = line.ask(body) if line and self.path.endswith("/chat/completions") else None
        if message is None:
            told = {"error": {"message": "the episode is over", "type": "gone"}}
            self._send(410, "application/json", json.dumps(told))
        elif body.get("stream"):
            pieces = [_completion(body, message, piece) for piece in ("delta", None)]
            text = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
            self._send(200, "text/event-stream", text + "data: [DONE]\n\n")
        else:
            told = _completion(body, message, "message")
            self._send(200, "application/json", json.dumps(told))

    def _send(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # whoever asked has gone: its episode was given up
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a request is no news."""


def _completion(body: Told, message: Told, field: str | None) -> dict[str, Any]:
    """A completion, or a piece of a streamed one: `delta` holds it all, None ends it."""
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice: dict[str, Any] = {"index": 0, "finish_reason": None if field == "delta" else reason}
    choice[field or "delta"] = _numbered(message) if field == "delta" else dict(message)
    if field is None:
        choice["delta"] = {}
    kind = "chat.completion" if field == "message" else "chat.completion.chunk"
    told = {"id": "agentrl", "object": kind, "created": 0, "model": body.get("model", "")}
    return {**told, "choices": [choice]}


def _numbered(message: Told) -> dict[str, Any]:
    """Streamed calls say which one they are."""
    calls = [{**call, "index": number} for number, call in enumerate(message.get("tool_calls", ()))]
    return {**message, **({"tool_calls": calls} if calls else {})}
