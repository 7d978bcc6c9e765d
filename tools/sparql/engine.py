"""The embedded engine's side of the pipe: this module, run as a script by `workers`.

A template process loads the graph once and then forks a worker for every socket it is sent, so that
a new worker costs milliseconds however large the graph. A worker answers JSON lines and opens
nothing any more: no file, no socket, no process, and memory up to the limit.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentrl.tools.sparql.answers import named_blanks
from agentrl.tools.sparql.result import cut, cut_term

READERS: Mapping[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
GRACE_SECONDS = 5.0
"""How long past its limit a worker lives whose asker has gone."""


# ---- the template -------------------------------------------------------------------------------


def main() -> None:
    """Load the graph that standard input describes, then fork workers until the socket closes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    request = json.load(sys.stdin.buffer)
    _limit(resource.RLIMIT_AS, request["memory"])
    _limit(resource.RLIMIT_CORE, 0)
    store, answer = _loaded(request)
    control.sendall(json.dumps(answer).encode() + b"\n")
    while "error" not in answer:
        _, sockets, *_ = socket.recv_fds(control, 1, 1)
        with contextlib.suppress(ChildProcessError):  # there is no child yet
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not sockets:
            return
        if os.fork() == 0:
            control.close()
            _work(store, request, socket.socket(fileno=sockets[0]))
        os.close(sockets[0])


def _loaded(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The store, and how many quads it holds or why it holds none."""
    import pyoxigraph

    store, place, lenient = pyoxigraph.Store(), "the text", request["lenient"]
    try:
        if request["turtle"]:
            turtle = request["turtle"].encode()
            store.bulk_load(turtle, pyoxigraph.RdfFormat.TURTLE, lenient=lenient)
        for place, suffix in request["files"]:
            form, base = pyoxigraph.RdfFormat.from_extension(suffix), Path(place).resolve().as_uri()
            with READERS.get(os.path.splitext(place)[1], open)(place, "rb") as file:
                store.bulk_load(file, form, base_iri=base, lenient=lenient)
    except SyntaxError as error:  # a parse error: it knows its line
        return None, {"error": f"{place}:{error.lineno or 1}: {cut(str(error), 500)}"}
    except MemoryError:  # said as what it is: a limit that the user can raise
        return None, {"error": f"{place}: the graph needs more memory than memory_mb"}
    except (ValueError, OSError, EOFError, lzma.LZMAError) as error:  # no RDF, no such compression
        return None, {"error": f"{place}: {cut(str(error), 500)}"}
    return store, {"loaded": len(store)}


def _limit(what: int, amount: int) -> None:
    _, hard = resource.getrlimit(what)
    amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(what, (amount, amount))


# ---- a worker -----------------------------------------------------------------------------------


def _work(store: Any, settings: Mapping[str, Any], asker: socket.socket) -> None:
    """A worker's whole life: it ends with its socket, or by the alarm that nobody catches."""
    lines = asker.makefile("rwb")
    for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        _limit(what, 0)
    with contextlib.suppress(KeyboardInterrupt, OSError):
        _say(lines, {"pid": os.getpid()})
        for line in lines:
            request = json.loads(line)
            signal.setitimer(signal.ITIMER_REAL, request["seconds"] + GRACE_SECONDS)
            for answer in _answers(store, settings, request):
                _say(lines, answer)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    os._exit(0)


def _say(lines: Any, answer: Mapping[str, Any]) -> None:
    lines.write(json.dumps(answer).encode() + b"\n")
    lines.flush()


def _answers(
    store: Any, settings: Mapping[str, Any], request: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The answer to one query and, where rows were cut, how many there are."""
    try:
        found = store.query(
            request["query"],
            prefixes=settings["prefixes"],
            use_default_graph_as_union=settings["union"],
        )
        if type(found).__name__ == "QueryBoolean":
            yield {"boolean": bool(found)}
        elif hasattr(found, "variables"):
            names = [str(variable.value) for variable in found.variables]
            yield from _take(([row[n] for n in names] for row in found), names, request)
        else:
            triples = ((q.subject, q.predicate, q.object) for q in found)
            yield from _take(triples, ("subject", "predicate", "object"), request)
    except MemoryError:  # Python's own allocations; the engine's end the process
        yield {"error": "the query needs more memory than it may have"}
    except (SyntaxError, ValueError, OSError, RuntimeError) as error:  # the engine's vocabulary
        yield {"error": cut(str(error), request["chars"])}


def _take(
    rows: Iterator[Sequence[Any]], names: Sequence[str], request: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """At most the wanted rows; the rest is counted up to a number and half of the time."""
    limit, kept = request["rows"], list[list[str]]()
    until = time.monotonic() + request["seconds"] / 2
    for row in rows:
        if len(kept) == limit:
            break
        kept.append([_term(term) for term in row])
    else:
        answer = {"variables": list(names), "rows": named_blanks(kept)}
        yield answer | {"total": len(kept), "counted": len(kept)}
        return
    yield {"variables": list(names), "rows": named_blanks(kept), "more": True, "counted": limit}
    total = limit + 1
    for _ in rows:
        if total >= request["count"] or time.monotonic() > until:
            yield {"counted": total}
            return
        total += 1
    yield {"total": total, "counted": total}


def _term(term: Any) -> str:
    return "" if term is None else cut_term(str(term))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        main()
