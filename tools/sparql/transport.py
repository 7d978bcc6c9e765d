"""One HTTP request through SPARQLWrapper, bounded in seconds, in bytes and in hosts.

SPARQLWrapper writes the request and sends it. What it leaves to the process-wide urllib opener is
done by an opener of our own: no redirect to another host, a limit on the whole exchange instead of
on each read, and no global state for digest authentication. It also finds out a query's form with
regular expressions that a hostile query can make run for hours, so it is told the form.
"""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from SPARQLWrapper import GET, JSON, POST, SPARQLWrapper

LONGEST_URL = 2000
"""Characters of an encoded query, beyond which it is sent by POST."""
TABLES = "application/sparql-results+json, application/json;q=0.5"
TRIPLES = "application/n-triples, text/turtle;q=0.8, application/rdf+xml;q=0.5"
ACCEPTED = {"SELECT": TABLES, "ASK": TABLES, "CONSTRUCT": TRIPLES, "DESCRIBE": TRIPLES}


class BrokenError(Exception):
    """No whole answer came; the message says why."""


class LateError(BrokenError):
    """The time was over first."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    whole: bool
    """Whether the body ended within the limit."""
    posted: bool
    """Whether it answers a POST."""

    @property
    def media(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The declared charset, or ''."""
        _, _, tail = self.headers.get("content-type", "").lower().partition("charset=")
        return tail.partition(";")[0].strip(" \"'")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A query on its way."""

    url: str
    query: str
    form: str
    agent: str
    seconds: float
    max_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)
    graph: str = ""
    """The default graph, '' for the endpoint's own."""
    digest: tuple[str, str] | None = None
    """User and password of digest authentication."""
    post: bool | None = None
    """Whether to POST; None for only where it is long."""


class _Clock:
    """Ends an exchange: shuts its sockets when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self.sockets: list[socket.socket] = []
        self.timer = threading.Timer(seconds, self.end)
        self.timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        """Take a socket into account."""
        self.sockets.append(connection)
        if self.over:
            self.end()

    def end(self) -> None:
        """Time is over."""
        self.over = True
        for connection in self.sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue


class _Connection(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, clock: _Clock, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.clock = clock

    def connect(self) -> None:
        super().connect()
        self.clock.watch(self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *arguments: Any, clock: _Clock, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.clock = clock

    def connect(self) -> None:
        super().connect()
        self.clock.watch(self.sock)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.clock = clock

    def http_open(self, req: urllib.request.Request) -> Any:
        connection: Any = partial(_Connection, clock=self.clock)
        return self.do_open(connection, req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.clock = clock

    def https_open(self, req: urllib.request.Request) -> Any:
        connection: Any = partial(_SecureConnection, clock=self.clock)
        return self.do_open(connection, req)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the host; the query goes along."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        down = old.scheme == "https" and new.scheme != "https"
        same_port = old.port == new.port or (old.port in (None, 80) and new.port in (None, 443))
        if down or old.hostname != new.hostname or not same_port:
            fp.close()
            raise BrokenError(f"it redirects to another host, {newurl[:200]!r}: give that address")
        kept = {k: v for k, v in req.header_items() if k.lower() not in ("content-length", "host")}
        method = req.get_method()
        return urllib.request.Request(newurl, data=req.data, headers=kept, method=method)


class _Wrapper(SPARQLWrapper):
    """SPARQLWrapper with our opener, told the form of its query."""

    def __init__(self, request: Request, opener: urllib.request.OpenerDirector) -> None:
        self.request, self.opener = request, opener
        super().__init__(request.url, returnFormat=JSON, agent=request.agent)
        if request.graph:
            self.addParameter("default-graph-uri", request.graph)
        self.setOnlyConneg(True)  # the format goes into Accept, as the protocol says
        self.setQuery(request.query)
        long = len(self._getRequestEncodedParameters(("query", request.query))) > LONGEST_URL
        self.setMethod(POST if (long if request.post is None else request.post) else GET)
        for name, value in {"Accept-Encoding": "gzip", **request.headers}.items():
            self.addCustomHttpHeader(name, value)

    def _parseQueryType(self, query: str) -> str:  # noqa: N802
        return self.request.form

    def _getAcceptHeader(self) -> str:  # noqa: N802
        return ACCEPTED[self.request.form]

    def _query(self) -> tuple[Any, str]:
        try:
            sent = self._createRequest()
            return self.opener.open(sent, timeout=self.request.seconds), JSON
        except urllib.error.HTTPError as reply:  # an answer like any other: its status tells
            return reply, JSON


def fetch(request: Request) -> Reply:
    """Send a query and read what comes, at most `max_bytes` within `seconds`.

    Raises:
        LateError: the time was over.
        BrokenError: no connection, no HTTP, a body that breaks off, a redirect elsewhere.
    """
    clock = _Clock(request.seconds)
    opener = _opener(request, clock)
    clock.timer.start()
    try:
        wrapper = _Wrapper(request, opener)
        posted = wrapper.method == POST
        with wrapper.query().response as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            body, whole = _read(response, headers, request.max_bytes)
            if clock.over:  # a shut socket looks like the end of the body
                raise BrokenError("its body did not end")
            status = response.status
            return Reply(status=status, headers=headers, body=body, whole=whole, posted=posted)
    except BrokenError as error:
        raise (LateError if clock.over else BrokenError)(str(error)) from error
    # Sockets, HTTP, gzip and closed files each have their own way to say that no answer came.
    except (OSError, http.client.HTTPException, ValueError, AttributeError, zlib.error) as error:
        late = clock.over or isinstance(getattr(error, "reason", error), TimeoutError)
        kind = LateError if late else BrokenError
        raise kind(f"{type(error).__name__}: {error}") from error
    finally:
        clock.timer.cancel()


def _opener(request: Request, clock: _Clock) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Plain(clock),
        _Secure(clock),
        _SameHost(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    if request.digest:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, request.url, *request.digest)
        opener.add_handler(urllib.request.HTTPDigestAuthHandler(passwords))
    return opener


def _read(response: Any, headers: Mapping[str, str], limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes of a body, unpacked, and whether that was all."""
    packed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate")
    unpacker = zlib.decompressobj(47) if packed else None
    body = bytearray()
    while len(body) <= limit:
        piece = response.read1(1 << 16)
        if not piece:
            if getattr(response, "length", 0) or (unpacker and not unpacker.eof):
                raise BrokenError(f"its body broke off after {len(body)} bytes")
            return bytes(body), True
        body += unpacker.decompress(piece, limit + 1 - len(body)) if unpacker else piece
    return bytes(body[:limit]), False
