"""SPARQL for agents: one read-only client for embedded graphs and for any endpoint."""

from agentrl.tools.sparql.connect import connect
from agentrl.tools.sparql.endpoint import Endpoint
from agentrl.tools.sparql.guard import INSIDE, Guard, calls_out
from agentrl.tools.sparql.prefixes import COMMON, DBPEDIA, WIKIDATA, expand, prefix_table, shorten
from agentrl.tools.sparql.result import MAX_TERM, Result, SparqlClient
from agentrl.tools.sparql.store import SparqlStore

__all__ = [
    "COMMON",
    "DBPEDIA",
    "INSIDE",
    "MAX_TERM",
    "WIKIDATA",
    "Endpoint",
    "Guard",
    "Result",
    "SparqlClient",
    "SparqlStore",
    "calls_out",
    "connect",
    "expand",
    "prefix_table",
    "shorten",
]
