"""A real HTTP server on loopback that answers SPARQL as it is told, one request after the other."""

import gzip
import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

JSON = "application/sparql-results+json"
TERM = {"type": "literal", "value": "é"}
ROW = json.dumps({"x": TERM}, ensure_ascii=False).encode()
TRUE = b'{"head": {}, "boolean": true}'
HEAD = b'{"head": {"vars": ["x"]}, "results": {"bindings": ['


def table(rows):
    """The body of a SELECT with equal rows."""
    return HEAD + b", ".join([ROW] * rows) + b"]}}"


def says(body=None, status=200, media=JSON, **headers):
    """A step that answers; `retry_after="1"` is a header."""
    body = table(1) if body is None else body

    def step(handler):
        handler.send(status, media, body, **headers)

    return step


def usual(handler):
    """A step that answers properly, with true or with one row."""
    handler.send(200, JSON, TRUE if handler.query.startswith("ASK") else table(1))


def hangs_up(handler):
    """A step that closes the connection without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def resets(handler):
    """A step that promises more than it sends."""
    handler.send(200, JSON, table(1)[:40], content_length="1000")


def waits(seconds):
    """A step that is slow."""

    def step(handler):
        handler.server.stop.wait(seconds)
        handler.send(200, JSON, table(1))

    return step


def drips(handler):
    """A step that sends a byte of its header now and then, without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not handler.server.stop.wait(0.02):
        handler.wfile.write(b"x")


def endless(piece, start=HEAD, media=JSON):
    """A step whose body does not end."""

    def step(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", media)
        handler.end_headers()
        handler.wfile.write(start)
        while not handler.server.stop.is_set():
            handler.wfile.write(piece * 200)
            handler.server.sent += len(piece) * 200

    return step


def packed(body):
    """A step that answers with gzip."""
    return says(gzip.compress(body), content_encoding="gzip")


class Handler(BaseHTTPRequestHandler):
    """Does the next step of the script, or answers with one row."""

    def do_GET(self):
        self.answer(parse_qs(urlsplit(self.path).query))

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        self.answer(parse_qs(self.rfile.read(length).decode()))

    def answer(self, fields):
        self.query = fields.get("query", [""])[0]
        self.fields = fields
        with self.server.lock:
            self.server.asked.append(self)
            self.server.times.append(time.monotonic())
            self.server.running += 1
            self.server.most = max(self.server.most, self.server.running)
            step = self.server.script.pop(0) if self.server.script else self.server.default
        try:
            step(self)
        except OSError:  # the client has gone
            self.close_connection = True
        with self.server.lock:
            self.server.running -= 1

    def send(self, status, media, body, **headers):
        self.send_response(status)
        self.send_header("Content-Type", media)
        if "content_length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """The server; `script` holds its next steps, `default` what it does after them."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.script, self.asked, self.times = [], [], []
        self.running = self.most = self.sent = 0
        self.default = usual
        self.url = f"http://127.0.0.1:{self.server_port}/sparql"


@contextmanager
def scripted(*script, port=0):
    """A running server with a script."""
    server = Server(port)
    server.script = list(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
