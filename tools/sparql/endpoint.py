"""SPARQL over HTTP: any endpoint as a client that is polite, bounded and honest about failures."""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from agentrl.errors import ConfigError, MissingDependencyError, ToolError
from agentrl.tools.sparql import access, numbers, pace
from agentrl.tools.sparql.cache import Cache
from agentrl.tools.sparql.guard import INSIDE, Guard, form, named, undeclared
from agentrl.tools.sparql.result import Result, cut
from agentrl.tools.sparql.verdict import TroubleError, judge

PROBE = "ASK { }"
WIKIBASES = (".wikidata.org", ".wikibase.cloud")


@dataclass
class Endpoint:
    """A SPARQL 1.1 endpoint, asked read-only through SPARQLWrapper; share it between threads.

    All clients of a host in this process share its pace. Credentials come from the environment
    variables `<auth_env>_USER`, `<auth_env>_PASSWORD` and `<auth_env>_TOKEN`, never from here.

    Raises:
        ConfigError: an URL or setting that cannot work, or a credential that is not set.
        MissingDependencyError: SPARQLWrapper or pyoxigraph is not installed.
    """

    url: str
    prefixes: Mapping[str, str] = field(default_factory=dict)
    """Declared for queries that use them undeclared."""
    query_seconds: float = 30.0
    """Time for one query, from its sending to the last byte of its answer."""
    probe_seconds: float = 10.0
    """Time in which a sound endpoint answers a trivial query. It is asked one when a query takes
    too long or breaks it, to tell a bad query from an endpoint in trouble."""
    max_rows: int = 20
    error_chars: int = 160
    max_mb: float = 8.0
    """Size of an answer beyond which it is not read any further."""
    services: Sequence[str] | None = None
    """IRIs or names such as `wikibase:label` that may follow SERVICE. None for those that a
    Wikibase answers itself, at the known ones and at servers of one's own: others would call
    `wikiba.se`."""
    graphs: Sequence[str] = ()
    """IRIs that may follow FROM: many servers fetch the others from wherever they point to."""
    default_graph: str = ""
    """Sent as `default-graph-uri`; '' for the endpoint's own default."""
    contact: str = ""
    """Mail address or page for the user agent, as Wikidata asks; else $AGENTRL_CONTACT."""
    auth: access.Kind = "none"
    auth_env: str = "AGENTRL_SPARQL"
    auth_header: str = "X-API-Key"
    """The header of `auth="header"`."""
    retries: int = 4
    """Attempts after the first, when the endpoint is in trouble."""
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 60.0
    """Longest pause between attempts; a server that asks for more is a failure at once."""
    per_second: float | None = None
    """Requests per second to this host; 0 for any number, None for 5, or any to this machine."""
    concurrent: int | None = None
    """Requests at a time; 0 for any number, None for 5, or 32 to this machine."""
    cache: str = ""
    """A file for answers; '' for none."""
    dump_date: str = ""
    """Which state of the data the cache holds, such as `2026-11-01`: part of its key."""
    offline: bool = False
    """Whether only the cache answers."""

    def __post_init__(self) -> None:
        for module in ("SPARQLWrapper", "pyoxigraph"):
            if importlib.util.find_spec(module) is None:
                raise MissingDependencyError(module, 'pip install "agentrl[sparql]"')
        numbers.check(self)
        if self.offline and not self.cache:
            raise ConfigError("offline answers come from a cache: give cache, the path of its file")
        host = access.check_url(self.url)
        self._agent = access.agent("" if self.offline else host, self.contact)
        self._headers, self._digest = ({}, None) if self.offline else access.credentials(self)
        near = access.is_near(host)
        inside = INSIDE if near or f".{host}".endswith(WIKIBASES) else ()
        services = inside if self.services is None else named(self.services, self.prefixes)
        self._guard = Guard(self.prefixes, services=services, graphs=self.graphs)
        self._pace = pace.pace_of(urlsplit(self.url).netloc)
        self._pace.limit(
            (0 if near else 5) if self.per_second is None else self.per_second,
            (32 if near else 5) if self.concurrent is None else self.concurrent,
        )
        self._cache = Cache(self.cache) if self.cache else None
        self._post: bool | None = None
        """Whether the endpoint takes POST or GET alone; None while it takes both."""

    def query(self, text: str, *, max_rows: int | None = None) -> Result:
        """Run a query; what is wrong with it is data.

        Raises:
            ToolError: the endpoint is in trouble, after all retries; or offline and not cached.
        """
        text = self._guard.plain(text)
        refusal = self._guard.refusal(text)
        if refusal:
            return Result(error=refusal)
        limit = self.max_rows if max_rows is None else max_rows
        prologue = self._prologue(text)
        asked = [self.url, self.default_graph, prologue + text, limit, self.dump_date]
        result = self._cache.find(asked) if self._cache else None
        if result is None and self.offline:
            raise ToolError(f"offline, and {self.cache} has no answer to {cut(text, 200)!r}")
        if result is None:
            result, lasting = self._ask(prologue + text, form(text), limit)
            if self._cache and lasting:
                self._cache.keep(asked, result)
        error = cut(_shifted(result.error, len(prologue)), self.error_chars)
        return replace(result, error=error)

    def close(self) -> None:
        """Nothing is held: every request has its own connection."""

    def _prologue(self, query: str) -> str:
        """Declarations of our prefixes that a query uses and does not declare.

        They share the query's first line, so that line numbers in messages are the query's own.
        """
        missing = undeclared(query)
        return "".join(f"PREFIX {p}: <{s}> " for p, s in self.prefixes.items() if p in missing)

    # ---- attempts ----

    def _ask(self, query: str, kind: str, max_rows: int) -> tuple[Result, bool]:
        """The answer, and whether it would be the same tomorrow."""
        trouble = TroubleError("it was not asked")
        for attempt in range(self.retries + 1):
            began = time.monotonic()
            if not trouble.slow:  # else only whether it is there at all
                try:
                    return self._attempt(query, kind, max_rows), True
                except TroubleError as error:
                    trouble = error
            if trouble.suspect and (attempt or trouble.slow) and self._answers(began):
                return Result(error=trouble.suspect), False
            if trouble.final or attempt == self.retries:
                break
            self._wait(attempt, trouble)
        raise ToolError(f"{self.url} does not answer: {trouble}")

    def _attempt(self, query: str, kind: str, max_rows: int) -> Result:
        """An answer by GET or by POST: an endpoint that takes only one of them is asked so.

        Raises:
            TroubleError: no answer.
        """
        try:
            return self._request(query, kind, max_rows)
        except TroubleError as error:
            if error.post is None:
                raise
            self._post = error.post
        return self._request(query, kind, max_rows)

    def _request(self, query: str, kind: str, max_rows: int) -> Result:
        """One request and what its answer means.

        Raises:
            TroubleError: no answer.
        """
        from agentrl.tools.sparql import transport  # imports SPARQLWrapper, which imports rdflib

        seconds = self.probe_seconds if query is PROBE else self.query_seconds
        request = transport.Request(
            url=self.url,
            query=query,
            form=kind,
            agent=self._agent,
            seconds=seconds,
            max_bytes=int(self.max_mb * 1e6),
            headers=self._headers,
            graph=self.default_graph,
            digest=self._digest,
            post=self._post,
        )
        with self._pace.turn():
            try:
                result = judge(transport.fetch(request), kind, max_rows)
            except transport.LateError as error:
                told = f"the query took longer than {seconds:g} s and was stopped"
                raise TroubleError(f"no answer within {seconds:g} s", told, slow=True) from error
            except transport.BrokenError as error:
                raise TroubleError(str(error)) from error
        self._pace.answered = time.monotonic()
        return result

    def _answers(self, since: float) -> bool:
        """Whether the endpoint is fine, so that trouble with a query is the query's own."""
        if self._pace.answered > since:
            return True
        try:
            return self._attempt(PROBE, "ASK", 1).boolean is not None
        except TroubleError:  # then it is the endpoint's
            return False

    def _wait(self, attempt: int, trouble: TroubleError) -> None:
        """Pause before the next attempt.

        Raises:
            ToolError: the server asks for a longer pause than we make.
        """
        pause = pace.backoff(attempt, self.backoff_seconds, self.longest_wait_seconds)
        if trouble.wait is not None:
            if trouble.wait > self.longest_wait_seconds:
                raise ToolError(
                    f"{self.url} asks to wait for {trouble.wait:g} s: {trouble}; wait, or "
                    "raise longest_wait_seconds"
                )
            pause = max(pause, trouble.wait)
            self._pace.hold(trouble.wait)
        time.sleep(pause)


def _shifted(error: str, prologue: int) -> str:
    """A message whose positions on line 1 count from the query's own start."""
    if not prologue:
        return error

    def back(found: re.Match[str]) -> str:
        return f"{found[1]}{max(0, int(found[2]) - prologue)}"

    first_line = r"\b(?:at |line:? ?)1(?:, ?col(?:umn)?:? ?|:)"
    return re.sub(rf"({first_line}|\(at char )(\d+)", back, error)
