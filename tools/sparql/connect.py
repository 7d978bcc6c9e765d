"""One client per graph and process, however many environments ask."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from agentrl.errors import ConfigError, suggestion
from agentrl.tools.sparql.endpoint import Endpoint
from agentrl.tools.sparql.prefixes import prefix_table
from agentrl.tools.sparql.result import SparqlClient
from agentrl.tools.sparql.store import SparqlStore

_clients: dict[tuple[Any, ...], SparqlClient] = {}
_lock = threading.Lock()


def connect(source: str | Sequence[str], **settings: Any) -> SparqlClient:
    """The client of a graph, shared by everyone in this process who asks with equal arguments.

    `source` is the URL of an endpoint (`http://...`), the path of an RDF file or several, or, where
    it holds a line break, Turtle text itself. `settings` are those of `Endpoint` or `SparqlStore`;
    `prefixes` may be the name of a table: `wikidata`, `dbpedia`.

    Raises:
        ConfigError: no source, or a setting that the client does not have.
        MissingDependencyError: the client's package is not installed.
    """
    sources = (source,) if isinstance(source, str) else tuple(source)
    key = (os.getpid(), sources, json.dumps(settings, sort_keys=True, default=str))
    with _lock:
        if key not in _clients:
            _clients[key] = _client(sources, settings)
        return _clients[key]


def _client(sources: tuple[str, ...], settings: dict[str, Any]) -> SparqlClient:
    prefixes = prefix_table(settings.pop("prefixes", {}))
    if not any(sources):
        raise ConfigError("no graph is named: give the URL of an endpoint, or RDF files")
    far = any("://" in source and "\n" not in source for source in sources)
    known = [each.name for each in fields(Endpoint if far else SparqlStore)]
    for name in settings:
        if name not in known:
            raise ConfigError(f"a graph has no setting {name!r}: {suggestion(name, known)}")
    if far:
        if len(sources) > 1:
            raise ConfigError(f"one endpoint at a time, and no files beside it: {list(sources)}")
        return Endpoint(sources[0], prefixes, **settings)
    if len(sources) == 1 and "\n" in sources[0]:
        return SparqlStore(sources[0], prefixes, **settings)
    return SparqlStore("", prefixes, files=sources, **settings)
