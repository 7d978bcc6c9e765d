"""SPARQL over an embedded pyoxigraph store, in processes that can be stopped."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentrl.errors import DataError, MissingDependencyError, ToolError
from agentrl.tools.sparql import numbers
from agentrl.tools.sparql.guard import Guard
from agentrl.tools.sparql.result import Result
from agentrl.tools.sparql.workers import Template, Worker

SUFFIXES = {
    ".ttl": "ttl",
    ".nt": "nt",
    ".nq": "nq",
    ".trig": "trig",
    ".n3": "n3",
    ".rdf": "rdf",
    ".owl": "rdf",
    ".xml": "rdf",
    ".jsonld": "jsonld",
    ".json": "jsonld",
}
PACKED = (".gz", ".bz2", ".xz")


@dataclass
class SparqlStore:
    """A read-only graph from Turtle text, from RDF files or from both, shared by many threads.

    The first query loads it. A query that takes too long or too much memory costs a process that
    holds no data of its own, and the next query has another within milliseconds.

    Raises:
        ConfigError: a number that cannot work.
        DataError: a file is missing or is no RDF; a file that does not parse is told at the first
            query, with its line.
        MissingDependencyError: pyoxigraph is not installed.
    """

    turtle: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    """Paths: .ttl .nt .nq .trig .n3 .rdf .owl .xml .jsonld .json, also with .gz, .bz2 or .xz."""
    lenient: bool = False
    """Whether invalid IRIs and language tags are taken as they are: public dumps hold some."""
    union: bool = False
    """Whether queries that name no graph see the named graphs too."""
    query_seconds: float = 5.0
    max_rows: int = 20
    error_chars: int = 160
    """Length at which the engine's messages are cut: they list every token it would accept."""
    count_rows: int = 10_000
    """Rows up to which the total is counted where rows are cut."""
    memory_mb: int = 2048
    """Address space of a process, the graph included."""
    engines: int = 4
    """Queries that run at the same time."""
    load_seconds: float = 600.0

    def __post_init__(self) -> None:
        if importlib.util.find_spec("pyoxigraph") is None:
            raise MissingDependencyError("pyoxigraph", 'pip install "agentrl[sparql]"')
        numbers.check(self)
        self._formats = [(str(path), _format(Path(path))) for path in self.files]
        self._guard = Guard(self.prefixes, far=False)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.engines)
        self._idle: list[Worker] = []
        self._template: Template | None = None
        self._owner = os.getpid()

    def query(self, text: str, *, max_rows: int | None = None) -> Result:
        """Run a query; what is wrong with it is data.

        Raises:
            DataError: a file does not parse.
            ToolError: the engine itself cannot be started.
        """
        text = self._guard.plain(text)
        refusal = self._guard.refusal(text)
        if refusal:
            return Result(error=refusal)
        request = {
            "query": text,
            "rows": self.max_rows if max_rows is None else max_rows,
            "count": self.count_rows,
            "chars": self.error_chars,
            "seconds": self.query_seconds,
        }
        with self._slots:
            return _result(self._ask(request))

    def close(self) -> None:
        """End the processes; the next query starts them again."""
        with self._lock:
            workers, self._idle = self._idle, []
            template, self._template = self._template, None
        if self._owner == os.getpid():
            for worker in workers:
                worker.kill()
            if template is not None:
                template.stop()

    def __del__(self) -> None:
        if getattr(self, "_template", None) is not None:
            self.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One request and its answer; a worker that died or took too long is no more used."""
        worker, template = self._worker()
        try:
            answer = worker.ask(request, self.query_seconds)
        except TimeoutError:  # the engine cannot be asked to stop
            worker.kill()
            return {"error": f"the query took longer than {self.query_seconds:g} s and was stopped"}
        except OSError:  # it died: the engine aborts where it gets no memory or no stack
            worker.kill()
            told = f"it needs more than {self.memory_mb} MB of memory, or nests too deep"
            return {"error": f"the query made the engine stop: {told}"}
        except BaseException:  # an interrupt: what the worker is about to say is nobody's
            worker.kill()
            raise
        with self._lock:
            if worker.alive and template is self._template:
                self._idle.append(worker)
            else:
                worker.kill()
        return answer

    def _worker(self) -> tuple[Worker, Template]:
        """A worker that was idle, or a new one; a template that died is started again."""
        with self._lock:
            if self._owner != os.getpid():  # after a fork the processes are the parent's
                self._owner, self._template, self._idle = os.getpid(), None, []
            while self._template is not None and self._idle:
                worker = self._idle.pop()
                if worker.waits():
                    return worker, self._template
                worker.kill()
            try:
                return self._fork()
            except OSError:  # the template was killed
                self._stop_template()
            try:
                return self._fork()
            except OSError as error:
                self._stop_template()
                raise ToolError(f"the SPARQL engine does not start: {error!r}") from error

    def _fork(self) -> tuple[Worker, Template]:
        if self._template is None:
            load = {
                "turtle": self.turtle,
                "files": self._formats,
                "prefixes": dict(self.prefixes),
                "union": self.union,
                "lenient": self.lenient,
                "memory": self.memory_mb << 20,
            }
            self._template = Template(load, self.load_seconds)
        return self._template.worker(), self._template

    def _stop_template(self) -> None:
        if self._template is not None:
            self._template.stop()
        self._template = None


def _format(path: Path) -> str:
    """The name of a file's RDF format.

    Raises:
        DataError: there is no such file, or its suffix tells no format.
    """
    suffix = (path.with_suffix("") if path.suffix in PACKED else path).suffix
    if suffix not in SUFFIXES:
        known = " ".join(SUFFIXES)
        raise DataError(f"{path}: the suffix {suffix!r} is no RDF format: {known}, with {PACKED}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    return SUFFIXES[suffix]


def _result(answer: Mapping[str, Any]) -> Result:
    return Result(
        variables=tuple(answer.get("variables", ())),
        rows=tuple(tuple(row) for row in answer.get("rows", ())),
        more=bool(answer.get("more")),
        total=answer.get("total"),
        counted=int(answer.get("counted", 0)),
        boolean=answer.get("boolean"),
        error=str(answer.get("error", "")),
    )
