"""`agentrl/Sparql-v0`: answer a multi-hop question by querying the graph, turn by turn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from agentrl.env import SPLITS, Reply, TextEnv, check_split
from agentrl.envs.sparql.graph import (
    PREFIX,
    PREFIXES,
    SCHEMA,
    KnowledgeGraph,
    knowledge_graph,
)
from agentrl.errors import ConfigError, DataError
from agentrl.parsing import tagged
from agentrl.tools.sparql import Result, SparqlStore
from agentrl.types import Parse, Task

VARIABLES = "abcdefgh"

PROMPTS = {
    "full": (
        "Answer the question from a knowledge graph whose names begin with a colon. In each turn "
        "write one SPARQL query as <query>SELECT ...</query> and read its rows, or finish with "
        "<answer>:Name</answer>. The prefixes :, rdf: and rdfs: are declared. Properties: "
        + ", ".join(f":{relation.name}" for relation in SCHEMA)
        + "."
    ),
    "short": "",
}


class Sparql(TextEnv):
    """A turn is one query, `<query>SELECT ...</query>`, or the answer, `<answer>:Name</answer>`.

    Parts: `solved` (the answer set is the gold set), `executed` (per query that ran and found
    rows), `format` (per well-formed turn). Only `solved` is paid unless `reward_weights` says
    otherwise.
    """

    def __init__(
        self,
        *,
        hops: Sequence[int] = (2,),
        triples: int = 3000,
        graph_seed: int = 0,
        max_turns: int = 6,
        max_rows: int = 10,
        query_seconds: float = 5.0,
        error_chars: int = 160,
        expert_retry: float = 0.25,
        prompt: Literal["full", "short"] = "full",
        reward_weights: Mapping[str, float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        if not hops or not all(1 <= hop <= 4 for hop in hops):
            raise ConfigError(f"env.hops is {list(hops)!r}: give one or more numbers from 1 to 4")
        self.hops = tuple(hops)
        self.max_turns = max_turns
        self.expert_retry = expert_retry
        self.system_prompt = PROMPTS[prompt]
        self.reward_weights = {"solved": 1.0} if reward_weights is None else reward_weights
        self.graph = knowledge_graph(graph_seed, triples)
        self.store = _store(graph_seed, triples, query_seconds, max_rows, error_chars)
        self.result: Result | None = None

    # ---- tasks ----

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` tasks of the finite pool of chains, in an order drawn by `seed`."""
        check_split(split)
        pool = _pools(self.graph, self.hops, self.id)[split]
        if not pool:
            raise DataError(
                f"{self.id} has no task in the split {split!r}: raise env.triples "
                f"or let env.hops hold more than {list(self.hops)}"
            )
        order = np.random.default_rng(seed).permutation(len(pool))[:count]
        return [pool[i] for i in order]

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A random chain of the graph, asked as a question."""
        chains = _chains(self.graph, self.hops)
        return question(self.graph, *chains[int(rng.integers(len(chains)))])

    # ---- play ----

    def begin(self, data: Mapping[str, Any]) -> str:
        """The question; its entity is linked, as in `the author of :The_Triam_Nond`."""
        self.result = None
        return str(data["question"])

    def act(self, text: str) -> Reply:
        """Run the query or judge the answer."""
        parsed = tagged(text, "query", "answer")
        if parsed.status is not Parse.OK:
            return Reply(text=f"Error: {parsed.reason}", parse=parsed.status)
        if parsed.name == "answer":
            right = answer_set(parsed.value) == set(self.data["answers"])
            return Reply(done=True, success=right, parts={"format": 1.0})
        self.result = self.store.query(parsed.value)
        found = bool(self.result.rows) or self.result.boolean is not None
        return Reply(text=show(self.result), parts={"format": 1.0, "executed": float(found)})

    def oracle(self) -> str:
        """The gold query, then its answer."""
        if self.result is None:
            return f"<query>{self.data['query']}</query>"
        return f"<answer> {', '.join(':' + name for name in self.data['answers'])}</answer>"

    def expert(self, rng: np.random.Generator) -> str:
        """Perfect SPARQL with the right relations in any order; answers with what it last saw.

        After an empty result it tries another order with probability `expert_retry`, else it gives
        up and answers with the question's own entity.
        """
        if self.result is not None and self.result.rows:
            return f"<answer> {compact(self.result.rows[0][-1])}</answer>"
        if self.result is not None and rng.random() >= self.expert_retry:
            return f"<answer> :{self.data['entity']}</answer>"
        order = [str(name) for name in rng.permutation(self.data["relations"])]
        return f"<query>{chain_query(self.data['entity'], order)}</query>"

    def corpus(self) -> Iterator[str]:
        """Every name that questions, queries and results hold, and the engine's usual errors."""
        for names in self.graph.entities.values():
            for name in names:
                yield f" :{name}"
        for relation in SCHEMA:
            yield f":{relation.name} " + " ".join(relation.phrases)
        words = chain_query(*_chains(self.graph, self.hops)[0]).split()
        for cut in range(1, len(words)):
            yield show(self.store.query(" ".join(words[:cut] + words[cut + 1 :])))


def question(graph: KnowledgeGraph, entity: str, relations: tuple[str, ...]) -> dict[str, Any]:
    """A chain as a task: natural text, gold query and gold answer."""
    answer, phrase = entity, f":{entity}"
    for position, name in enumerate(relations):
        answer = graph.facts[name][answer]
        choices = next(relation.phrases for relation in SCHEMA if relation.name == name)
        pick = (sum(map(ord, entity)) + position) % len(choices)  # fixed by the task, not by a draw
        phrase = f"the {choices[pick]} of {phrase}"
    return {
        "question": f"What is {phrase}?",
        "entity": entity,
        "relations": list(relations),
        "query": chain_query(entity, relations),
        "answers": [answer],
    }


def chain_query(entity: str, relations: Sequence[str]) -> str:
    """SPARQL that follows the relations from the entity."""
    nodes = [f":{entity}", *(f"?{VARIABLES[i]}" for i in range(len(relations) - 1)), "?x"]
    steps = [
        f"{s} :{r} {o}" for (s, o), r in zip(itertools.pairwise(nodes), relations, strict=True)
    ]
    return f"SELECT ?x WHERE {{ {' . '.join(steps)} }}"


def show(result: Result) -> str:
    """A result as the agent sees it."""
    if result.error:
        return f"Error: {result.error}"
    if result.boolean is not None:
        return str(result.boolean).lower()
    if not result.rows:
        return "No rows"
    rows = [" ".join(compact(term) for term in row) for row in result.rows]
    count = "1 row:" if len(rows) == 1 else f"{len(rows)} rows:"
    listed = ", ".join(rows) if len(result.variables) == 1 else "\n" + "\n".join(rows)
    tail = f" ... cut after {len(rows)} rows" if result.more else ""
    return f"{count} {listed}{tail}"


def compact(term: str) -> str:
    """A term with the graph's prefix shortened."""
    if term.startswith(f"<{PREFIX}") and term.endswith(">"):
        return ":" + term[len(PREFIX) + 1 : -1]
    return term


def answer_set(text: str) -> set[str]:
    """The names in an answer: `:Name` or full IRIs, separated by commas or spaces."""
    names = text.replace(",", " ").split()
    return {compact(name).removeprefix(":") for name in names}


@lru_cache(maxsize=8)
def _store(
    graph_seed: int, triples: int, query_seconds: float, max_rows: int, error_chars: int
) -> SparqlStore:
    turtle = knowledge_graph(graph_seed, triples).turtle()
    return SparqlStore(
        turtle,
        PREFIXES,
        query_seconds=query_seconds,
        max_rows=max_rows,
        error_chars=error_chars,
    )


@lru_cache(maxsize=8)
def _chains(graph: KnowledgeGraph, hops: tuple[int, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Every (entity, relations) of the wanted lengths that visits no entity twice."""
    starts = [name for names in graph.entities.values() for name in names]
    found = [chain for name in starts for chain in _walk(graph, name, max(hops))]
    return [chain for chain in found if len(chain[1]) in hops]


def _walk(graph: KnowledgeGraph, start: str, depth: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    frontier: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((start,), ())]
    for _ in range(depth):
        frontier = [
            ((*seen, facts[seen[-1]]), (*path, name))
            for seen, path in frontier
            for name, facts in graph.facts.items()
            if seen[-1] in facts and facts[seen[-1]] not in seen and name not in path
        ]
        yield from ((start, path) for _, path in frontier)


@lru_cache(maxsize=8)
def _pools(graph: KnowledgeGraph, hops: tuple[int, ...], env: str) -> dict[str, list[Task]]:
    """All tasks by split, made once per process."""
    tasks = [Task(env=env, data=question(graph, *chain)) for chain in _chains(graph, hops)]
    return {split: [task for task in tasks if task.split == split] for split in SPLITS}
