"""SPARQL over an embedded pyoxigraph store that can be stopped.

The engine has no way to cancel a query, so it runs in a child process (this module, run as a
script) that talks JSON lines over pipes; a query that outlives its limit costs the process, and the
next query starts a new one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentrl.errors import MissingDependencyError, ToolError

START_SECONDS = 60.0
MAX_TERM = 1000
"""Characters of one term, beyond which it is cut: one aggregate can be as long as the graph."""
OPAQUE = re.compile(
    r"""\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}"""
    r"""|"(?:\\.|[^"\\\r\n])*"|'(?:\\.|[^'\\\r\n])*'"""
    r"""|<[^<>"{}|^`\x00-\x20]*>|\#[^\r\n]*|[?$]\w+|:[\w:%-]*"""
)
"""What a keyword cannot hide in or behind: strings, IRIs, comments, variables, local names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a query came back with: rows, a truth value, or the reason why not."""

    variables: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """Terms in N-Triples notation, in the order of `variables`; '' for unbound."""
    more: bool = False
    """Whether rows were cut at the limit."""
    boolean: bool | None = None
    """The answer of an ASK."""
    error: str = ""
    """The engine's own message with its position, or the limit that was hit."""


@dataclass
class SparqlStore:
    """A read-only graph. Safe to share between threads: queries take turns.

    Raises:
        MissingDependencyError: pyoxigraph is not installed.
    """

    turtle: str
    prefixes: Mapping[str, str] = field(default_factory=dict)
    query_seconds: float = 5.0
    max_rows: int = 20
    error_chars: int = 160
    """Length at which the engine's messages are cut: they list every token it would accept."""

    def __post_init__(self) -> None:
        if importlib.util.find_spec("pyoxigraph") is None:
            raise MissingDependencyError("pyoxigraph", 'pip install "agentrl[sparql]"')
        self._lock = threading.Lock()
        self._engine: subprocess.Popen[bytes] | None = None

    def query(self, text: str) -> Result:
        """Run a query; what is wrong with it is data.

        Raises:
            ToolError: the engine itself cannot be started.
        """
        if calls_out(text):
            return Result(error="SERVICE is refused: this store answers from its own graph only")
        with self._lock:
            if self._engine is None or self._engine.poll() is not None:
                self._start()
            request = {"query": text, "rows": self.max_rows, "chars": self.error_chars}
            return _result(self._ask(request, self.query_seconds))

    def close(self) -> None:
        """End the engine's process; the next query starts a new one."""
        with self._lock:
            self._stop()

    def __del__(self) -> None:
        if getattr(self, "_engine", None) is not None:
            self._stop()

    def _start(self) -> None:
        self._stop()
        command = [sys.executable, "-m", "agentrl.tools.sparql"]
        self._engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        load = {"load": self.turtle, "prefixes": dict(self.prefixes)}
        answer = self._ask(load, START_SECONDS)
        if "error" in answer:
            self._stop()
            raise ToolError(f"the SPARQL engine did not load its graph: {answer['error']}")

    def _ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """One request and its answer; an engine that died or took too long is stopped."""
        engine = self._engine
        if engine is None or engine.stdin is None or engine.stdout is None:
            return {"error": "the engine is not running"}
        line = b""
        with contextlib.suppress(OSError):  # a broken pipe: the engine died, and line stays empty
            engine.stdin.write(json.dumps(request).encode() + b"\n")
            engine.stdin.flush()
            if not select.select([engine.stdout], [], [], seconds)[0]:
                self._stop()
                return {"error": f"the query took longer than {seconds:g} s and was stopped"}
            line = engine.stdout.readline()
        if not line:
            self._stop()
            return {"error": "the query made the engine stop; the next one starts it again"}
        return dict(json.loads(line))

    def _stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        engine.kill()
        for pipe in (engine.stdin, engine.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        engine.wait()


def calls_out(query: str) -> bool:
    """Whether the query may hold a federated SERVICE call.

    The engine needs no space before a keyword (`trueSERVICE <...>` calls out), so the word is
    refused anywhere but in what is `OPAQUE`, in one pass: a comment may hold a quote.
    """
    return "service" in OPAQUE.sub(" ", query).lower()


def _result(answer: Mapping[str, Any]) -> Result:
    rows = tuple(tuple(row) for row in answer.get("rows", ()))
    return Result(
        variables=tuple(answer.get("variables", ())),
        rows=rows,
        more=bool(answer.get("more")),
        boolean=answer.get("boolean"),
        error=str(answer.get("error", "")),
    )


def _answer(store: Any, prefixes: Mapping[str, str], request: Mapping[str, Any]) -> dict[str, Any]:
    """Inside the child: one query."""
    try:
        found = store.query(request["query"], prefixes=prefixes)
        if not hasattr(found, "variables"):
            if type(found).__name__ == "QueryBoolean":
                return {"boolean": bool(found)}
            return _take(
                ([_term(t) for t in (q.subject, q.predicate, q.object)] for q in found),
                ("subject", "predicate", "object"),
                request["rows"],
            )
        names = [str(variable.value) for variable in found.variables]
        return _take(
            ([_term(row[name]) for name in names] for row in found), names, request["rows"]
        )
    except (
        SyntaxError,
        ValueError,
        OSError,
        RuntimeError,
    ) as error:  # the engine's whole vocabulary
        message = " ".join(str(error).split())
        limit = request["chars"]
        return {"error": message if len(message) <= limit else message[:limit] + " ..."}


def _load(store: Any, turtle: str, form: Any) -> dict[str, Any]:
    try:
        store.bulk_load(turtle.encode(), format=form)
    except (SyntaxError, ValueError) as error:
        return {"error": str(error)}
    return {"loaded": len(store)}


def _term(term: Any) -> str:
    text = "" if term is None else str(term)
    return text if len(text) <= MAX_TERM else text[:MAX_TERM] + " ..."


def _take(rows: Any, names: Sequence[str], limit: int) -> dict[str, Any]:
    kept: list[list[str]] = []
    for row in rows:
        if len(kept) == limit:
            return {"variables": list(names), "rows": kept, "more": True}
        kept.append(row)
    return {"variables": list(names), "rows": kept, "more": False}


def _serve() -> None:
    """The child's whole life: load once, answer lines until the pipe closes."""
    import pyoxigraph

    store, prefixes = pyoxigraph.Store(), {}
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "load" in request:
            prefixes = request["prefixes"]
            answer = _load(store, request["load"], pyoxigraph.RdfFormat.TURTLE)
        else:
            answer = _answer(store, prefixes, request)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        _serve()
