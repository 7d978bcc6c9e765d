"""A server on this machine that speaks the OpenAI protocol, and misbehaves as it is told.

`Server` answers with the word after `say`, as the Echo environment wants it. Its `script` holds
behaviours for the next requests: functions that take the request's handler and its body and answer
themselves. A behaviour that returns a dictionary changes the fields of the usual answer.
"""

import json
import socket
import threading
from collections import deque
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-loopback-0123456789"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.app.connections.append(self.connection)

    def log_message(self, *_):
        """Print nothing."""

    def do_GET(self):
        self.answer(200, {"data": [{"id": name, "max_model_len": 64} for name in self.app.names]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.app.lock:
            self.app.requests.append((self.path, body))
            behaviour = self.app.script.popleft() if self.app.script else self.app.usual
        change = behaviour(self, body)
        if change is not None:
            self.answer(200, {**answer_to(body), **change})

    def answer(self, status, value, **headers):
        """A JSON answer, unless the key is wrong."""
        if self.app.key and self.headers["Authorization"] != f"Bearer {self.app.key}":
            words = f"Incorrect API key provided: {self.headers['Authorization']}"
            status, value = 401, {"error": {"message": words, "code": "invalid_api_key"}}
        self.send(status, json.dumps(value).encode(), **headers)

    def send(self, status, raw, length=None, **headers):
        """Bytes, of which more may be promised than come."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)


def answer_to(body):
    """The usual answer: the word to say."""
    usage = {"prompt_tokens": 100, "completion_tokens": 2}
    asked = body["messages"][-1]["content"] if "messages" in body else "say something"
    message = {"role": "assistant", "content": asked.split()[-1]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


def says(content, finish="stop", **message):
    """An answer with this content."""
    message = {"role": "assistant", "content": content, **message}
    return lambda *_: {"choices": [{"index": 0, "finish_reason": finish, "message": message}]}


def calls(*wanted, content=None):
    """Native tool calls: ids, names and arguments."""
    made = [
        {"id": mark, "type": "function", "function": {"name": name, "arguments": arguments}}
        for mark, name, arguments in wanted
    ]
    return says(content, "tool_calls", tool_calls=made)


def refuses(status, message="no", code=None, **headers):
    """An error, as OpenAI words it."""
    error = {"error": {"message": message, "code": code, "type": "some_error"}}
    return lambda handler, _: handler.answer(status, error, **headers)


def raw(content, length=None):
    """A body of these bytes; the connection ends behind it if more were promised."""

    def behave(handler, _):
        handler.send(200, content, length)
        handler.close_connection = True

    return behave


def cut(handler, _):
    """The connection ends before anything was said."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def hangs(handler, _):
    """Nothing is said until the server closes."""
    handler.app.closing.wait(30)
    handler.close_connection = True


def dribbles(handler, _):
    """A body that never ends, a byte at a time."""
    handler.send(200, b"{", length=1000)
    while not handler.app.closing.wait(0.1):
        handler.wfile.write(b" ")


class Server:
    """A server in threads of its own; `stop` and `start` are a restart at the same address."""

    def __init__(self, *, key="", names=("echo",)):
        self.key = key
        self.names = names
        self.usual = lambda *_: {}
        self.script = deque()
        self.requests = []
        self.connections = []
        self.lock = threading.Lock()
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self):
        """What was asked, in order."""
        return [body for _, body in self.requests]

    def start(self):
        app = type("App", (Handler,), {"app": self})
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), app)
        self.server.handle_error = lambda *_: None  # clients that left
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        while self.connections:
            with suppress(OSError):  # most have ended
                self.connections.pop().shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(**options):
    """A server for a while."""
    server = Server(**options)
    try:
        yield server
    finally:
        server.stop()
