"""The data set: its categories, and its entries as one record each.

Categories can be named one by one or by group:

    group          categories that run
    simple         simple_python  live_simple
    multiple       multiple  live_multiple
    parallel       parallel  live_parallel  parallel_multiple  live_parallel_multiple
    relevance      irrelevance  live_irrelevance  live_relevance
    multi_turn     multi_turn_base  .._miss_func  .._miss_param  .._long_context
    non_live       simple_python  multiple  parallel  parallel_multiple  irrelevance
    live           every live_*
    single_turn    non_live and live
    all            everything above

The data files are the package's; what else is in it does not run here (`NOT_RUN`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from agentrl.envs.bfcl.package import SERVICES, constant, lines
from agentrl.errors import ConfigError, DataError, suggestion

PREFIX = "BFCL_v4"
NON_LIVE = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance")
LIVE = (
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
MULTI_TURN = (
    "multi_turn_base",
    "multi_turn_miss_func",
    "multi_turn_miss_param",
    "multi_turn_long_context",
)
CATEGORIES = (*NON_LIVE, *LIVE, *MULTI_TURN)
GROUPS: Mapping[str, tuple[str, ...]] = {
    "all": CATEGORIES,
    "simple": ("simple_python", "live_simple"),
    "multiple": ("multiple", "live_multiple"),
    "parallel": tuple(name for name in CATEGORIES if "parallel" in name),
    "relevance": tuple(name for name in CATEGORIES if "relevance" in name),
    "multi_turn": MULTI_TURN,
    "non_live": NON_LIVE,
    "live": LIVE,
    "single_turn": (*NON_LIVE, *LIVE),
}
FOREIGN = "its arguments are source text of another language than the calls"
MEMORY = "its tasks build on memories that earlier conversations of the same model wrote to disk"
NETWORK = "its tool searches the web"
NOT_RUN: Mapping[str, str] = {
    "simple_java": FOREIGN,
    "simple_javascript": FOREIGN,
    "memory_kv": MEMORY,
    "memory_vector": f"{MEMORY}; needs faiss and an embedding model",
    "memory_rec_sum": MEMORY,
    "web_search_base": NETWORK,
    "web_search_no_snippet": NETWORK,
    "format_sensitivity": "26 prompts for the same 200 tasks: no score of its own",
}
NO_VALUE = "a required parameter has no possible value"
UNSOLVABLE: Mapping[str, str] = {
    "live_simple_106-63-0": NO_VALUE,
    "live_simple_112-68-0": NO_VALUE,
    "live_multiple_862-181-3": "its gold demands a parameter that the function does not have",
    "live_multiple_964-207-0": "its gold does not allow a parameter that the function requires",
}
"""Entries of which the package's checker refuses every answer, the data set's own included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry with its gold; nothing in it may be changed."""

    id: str
    category: str
    row: Mapping[str, Any]
    """The line of the data file."""
    question: Sequence[Sequence[Mapping[str, Any]]]
    """The messages of each user turn; one turn unless `multi_turn`."""
    functions: Sequence[Mapping[str, Any]]
    """The documents of the functions that are offered at first."""
    gold: Sequence[Any]
    """Possible answers (single turn), lists of calls as Python text (multi-turn), or nothing."""
    missed: Mapping[int, Sequence[Mapping[str, Any]]]
    """Documents of the functions that are offered only from a user turn on."""
    services: Sequence[str] = ()
    """Classes of the package that the functions belong to."""
    config: Mapping[str, Any]
    """The services' initial state."""

    @property
    def multi_turn(self) -> bool:
        """Whether the functions run and users answer."""
        return self.category in MULTI_TURN

    @property
    def wants_calls(self) -> bool:
        """Whether a call is right; in irrelevance none is."""
        return "irrelevance" not in self.category

    @property
    def long_context(self) -> bool:
        """Whether the services' states and answers are padded."""
        return "long_context" in self.category


def chosen(categories: str | Sequence[str]) -> tuple[str, ...]:
    """Categories by their names and their groups' names, in the order of the data set.

    Raises:
        ConfigError: an unknown name, or a category that does not run here, with the reason.
    """
    names = categories.replace(",", " ").split() if isinstance(categories, str) else categories
    found: set[str] = set()
    for name in names:
        if name in NOT_RUN:
            raise ConfigError(f"the BFCL category {name!r} does not run: {NOT_RUN[name]}")
        if name not in GROUPS and name not in CATEGORIES:
            known = suggestion(str(name), list({*GROUPS, *CATEGORIES}))
            raise ConfigError(f"unknown BFCL category {name!r}: {known}", "categories")
        found.update(GROUPS.get(name, (name,)))
    if not found:
        raise ConfigError(f"categories={categories!r} names none: try 'all'", "categories")
    return tuple(name for name in CATEGORIES if name in found)


@cache
def entries(category: str) -> Mapping[str, Entry]:
    """A category's entries by id, in the order of the data set; read once.

    Raises:
        MissingDependencyError, DataError: the package or its file is missing.
    """
    gold = {}
    if "relevance" not in category:
        gold = {
            answer["id"]: answer["ground_truth"]
            for answer in lines("possible_answer", f"{PREFIX}_{category}.json")
        }
    rows = lines(f"{PREFIX}_{category}.json")
    return {row["id"]: _entry(row, category, gold.get(row["id"], ())) for row in rows}


def entry(id: str) -> Entry:
    """The entry with this id. Raises: DataError, MissingDependencyError."""
    category = id.rpartition("_")[0]
    if category not in CATEGORIES or id not in entries(category):
        raise DataError(
            f"bfcl-eval has no entry {id!r} in the categories that run: {', '.join(CATEGORIES)}"
        )
    return entries(category)[id]


def number(id: str) -> int:
    """An entry's place in its category, as the package sorts: `live_simple_19-3-15` is 19."""
    return int(id.rpartition("_")[2].partition("-")[0])


def group(category: str) -> str:
    """The folder of a category in the package's results."""
    for name in ("non_live", "live", "multi_turn"):
        if category in GROUPS[name]:
            return name
    raise DataError(f"the BFCL category {category!r} belongs to no folder")


def _entry(row: Mapping[str, Any], category: str, gold: Sequence[Any]) -> Entry:
    functions = row["function"] if "function" in row else _documents(row["involved_classes"])
    missed: dict[int, list[Mapping[str, Any]]] = {}
    for turn, names in row.get("missed_function", {}).items():
        held = [one for one in functions if one["name"] in names]
        missed[int(turn)] = held
        functions = [one for one in functions if one["name"] not in names]
    return Entry(
        id=row["id"],
        category=category,
        row=row,
        question=row["question"],
        functions=functions,
        gold=gold,
        missed=missed,
        services=row.get("involved_classes", ()),
        config=row.get("initial_config", {}),
    )


def _documents(services: Sequence[str]) -> list[dict[str, Any]]:
    return [document for service in services for document in _service(service)]


@cache
def _service(name: str) -> Sequence[dict[str, Any]]:
    file = constant(SERVICES, "MULTI_TURN_FUNC_DOC_FILE_MAPPING")[name]
    return lines("multi_turn_func_doc", file)
