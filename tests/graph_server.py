"""A SPARQL endpoint in this process: pyoxigraph behind the standard library's HTTP server."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pyoxigraph

JSON = "application/sparql-results+json"


class Handler(BaseHTTPRequestHandler):
    """One request; what `server.refuse` says of a query comes instead of its answer."""

    def do_GET(self):
        self.answer(urlsplit(self.path).query)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, form):
        query = parse_qs(form)["query"][0]
        if self.server.refuse(query):
            return self.send(503, "text/plain", b"not now")
        try:
            found = self.server.graph.query(query)
            body = found.serialize(format=pyoxigraph.QueryResultsFormat.JSON)
        except (SyntaxError, ValueError, AttributeError) as error:  # triples are no JSON
            return self.send(400, "text/plain", str(error).encode())
        return self.send(200, JSON, body)

    def send(self, code, kind, body):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def graph_server(path, refuse=lambda query: False):
    """The server of a Turtle file; `server.url` is its endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.graph, server.refuse = pyoxigraph.Store(), refuse
    server.graph.load(path=str(path), format=pyoxigraph.RdfFormat.TURTLE)
    server.url = f"http://127.0.0.1:{server.server_port}/query"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
