"""`agentrl/Sparql-v0`: multi-hop questions over a generated graph, answered by querying it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from agentrl.env import SPLITS, check_split
from agentrl.envs.sparql.graph import (
    PREFIX,
    PREFIXES,
    SCHEMA,
    KnowledgeGraph,
    knowledge_graph,
    label,
)
from agentrl.envs.sparql.graph_env import THINK_FIRST, Action, GraphEnv
from agentrl.envs.sparql.observe import show
from agentrl.errors import ConfigError, EmptySplitError
from agentrl.tools.sparql import SparqlClient, SparqlStore, shorten
from agentrl.types import Task

VARIABLES = "abcdefgh"
PROMPT = (
    "Answer the question from a knowledge graph whose names begin with a colon. In each turn "
    "write one SPARQL query as <query>SELECT ...</query> and read its rows, or finish with "
    "<answer>:Name</answer>. The prefixes :, rdf: and rdfs: are declared. Properties: "
)
EMPTY, FOUND, OVER = "no rows", "found it", "nothing found"
"""What the expert thinks of a result."""


class Sparql(GraphEnv):
    """Chains such as `the birthplace of the author of X`, asked over a graph made from a seed.

    Args:
        hops: lengths of the chains.
        triples: about how many the graph has.
        graph_seed: of the graph.
        renamed: share of the facts that the graph keeps under their property's other name
            (`:bornIn` for `:birthPlace`), which only a query tells.
        expert_retry: probability that the expert tries again after an error or an empty result.
        expert_slip: probability that a query of the expert is malformed or turned round.
        actions: what an agent may do besides answering.
        totals: whether a result that was cut says how many rows it has.
        play: as `GraphEnv` has it. With an `endpoint` the same questions are asked there: it must
            hold `knowledge_graph(graph_seed, triples, renamed).turtle()`.
    """

    prefixes = PREFIXES

    def __init__(
        self,
        *,
        hops: Sequence[int] = (2,),
        triples: int = 3000,
        graph_seed: int = 0,
        renamed: float = 0.0,
        expert_retry: float = 0.25,
        expert_slip: float = 0.0,
        actions: Sequence[Action] = ("query",),
        totals: bool = False,
        **play: Any,
    ) -> None:
        if not hops or not all(1 <= hop <= 4 for hop in hops):
            raise ConfigError(f"env.hops is {list(hops)!r}: give one or more numbers from 1 to 4")
        for name, share in (("renamed", renamed), ("expert_slip", expert_slip)):
            if not 0 <= share <= 1:
                raise ConfigError(f"env.{name} is {share}: give a share from 0 to 1", name)
        self.hops = tuple(hops)
        self.expert_retry = expert_retry
        self.expert_slip = expert_slip
        self.graph = knowledge_graph(graph_seed, triples, renamed)
        super().__init__(actions=actions, totals=totals, **play)

    def embedded(self, settings: Mapping[str, Any]) -> SparqlClient:
        """The generated graph in a store that environments of the same settings share."""
        return _store(self.graph, json.dumps(dict(settings), sort_keys=True, default=str))

    def instructions(self) -> str:
        """The actions and all properties."""
        names = [f":{name}" for r in SCHEMA for name in r.names[: 2 if self.graph.renamed else 1]]
        if self.actions == ("query",) and not self.one_query:
            return PROMPT + ", ".join(names) + "." + THINK_FIRST * self.reasoning
        return f"{super().instructions()} Properties: {', '.join(names)}."

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Chains of every length, and every way to play."""
        small = {"triples": 1000}
        names = {"renamed": 0.4, "expert_slip": 0.2, "reasoning": True}
        search = {"linking": "search", "actions": ["query", "entity", "property", "describe"]}
        return {
            "": small,
            "names": {**small, **names},
            "search": {**small, **search},
            "one query": {**small, "one_query": True, "hops": [1, 2, 3]},
        }

    # ---- tasks ----

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` tasks of the finite pool of chains, in an order drawn by `seed`."""
        check_split(split)
        pool = _pools(self.graph, self.hops, self.id)[split]
        if not pool:
            raise EmptySplitError(
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

    def asked(self, data: Mapping[str, Any]) -> str:
        """The question, its entity linked as in `the author of :The_Triam_Nond`, or labelled."""
        name = str(data["entity"])
        told = str(data["question"])
        return told if self.linking == "given" else told.replace(f":{name}", label(name))

    def entities(self) -> Mapping[str, str]:
        """The entity at the chain's beginning."""
        return {label(self.data["entity"]): PREFIX + self.data["entity"]}

    def answered(self, text: str) -> str:
        """Names, with or without a colon, or full IRIs."""
        return json.dumps(sorted(answer_set(text)))

    def canonical(self, terms: Sequence[str]) -> str:
        """The names in a result."""
        return json.dumps(sorted({compact(term).removeprefix(":") for term in terms}))

    def gold(self) -> str:
        """The task's own names."""
        return json.dumps(sorted(self.data["answers"]))

    def gold_text(self) -> str:
        """The names with their colon."""
        return f" {', '.join(':' + name for name in self.data['answers'])}"

    def expert(self, rng: np.random.Generator) -> str:
        """The right relations in any order, now and then with a slip; answers what it last saw.

        After an empty result it tries another order with probability `expert_retry`, else it gives
        up and answers with the question's own entity. Which of a property's names the graph keeps
        a fact under it guesses.
        """
        if self.linking == "search" and not self.tried:
            return self.turn_text("entity", next(iter(self.entities())), "who is it")
        if self.result is not None and self.result.rows:
            return self.turn_text("answer", f" {compact(self.result.rows[0][-1])}", FOUND)
        if self.result is not None and rng.random() >= self.expert_retry:
            return self.turn_text("answer", f" :{self.data['entity']}", OVER)
        order = [str(name) for name in rng.permutation(self.data["relations"])]
        if self.graph.renamed:
            order = [str(rng.choice(BY_NAME[name].names)) for name in order]
        text = chain_query(self.data["entity"], order)
        if self.expert_slip and rng.random() < self.expert_slip:
            text = slip(text, self.data["entity"], rng)
        return self.turn_text("query", text, " ".join(f":{name}" for name in order))

    def corpus(self) -> Iterator[str]:
        """Every name that questions, queries and results hold, and the engine's usual errors."""
        for names in self.graph.entities.values():
            for name in names:
                yield f" :{name}"
                if self.linking == "search":
                    yield f" {label(name)}"
        for relation in SCHEMA:
            yield f":{relation.name} " + " ".join(relation.phrases)
        if self.graph.renamed:
            yield from (f":{name}" for relation in SCHEMA for name in relation.names)
        words = chain_query(*_chains(self.graph, self.hops)[0]).split()
        for cut in range(1, len(words)):
            result = self.store.query(" ".join(words[:cut] + words[cut + 1 :]))
            yield show(result, PREFIXES, totals=self.totals)


BY_NAME = {relation.name: relation for relation in SCHEMA}


def question(graph: KnowledgeGraph, entity: str, relations: tuple[str, ...]) -> dict[str, Any]:
    """A chain as a task: natural text, gold query and gold answer."""
    answer, phrase, stored = entity, f":{entity}", []
    for position, name in enumerate(relations):
        stored.append(graph.stored(name, answer))
        answer = graph.facts[name][answer]
        choices = BY_NAME[name].phrases
        pick = (sum(map(ord, entity)) + position) % len(choices)  # fixed by the task, not by a draw
        phrase = f"the {choices[pick]} of {phrase}"
    return {
        "question": f"What is {phrase}?",
        "entity": entity,
        "relations": list(relations),
        "query": chain_query(entity, stored),
        "answers": [answer],
    }


def chain_query(entity: str, relations: Sequence[str]) -> str:
    """SPARQL that follows the relations from the entity."""
    nodes = [f":{entity}", *(f"?{VARIABLES[i]}" for i in range(len(relations) - 1)), "?x"]
    steps = [
        f"{s} :{r} {o}" for (s, o), r in zip(itertools.pairwise(nodes), relations, strict=True)
    ]
    return f"SELECT ?x WHERE {{ {' . '.join(steps)} }}"


def slip(query: str, entity: str, rng: np.random.Generator) -> str:
    """A query as one writes it in haste: a bracket forgotten, or the first fact turned round."""
    head, start, facts = query.partition(f"{{ :{entity} ")
    if rng.random() < 0.5 or not start:
        return query.replace("{ ", "", 1)
    relation, object, *rest = facts.split(" ")
    return " ".join([f"{head}{{ {object}", relation, f":{entity}", *rest])


def compact(term: str) -> str:
    """A term with the graph's prefix shortened."""
    return shorten(term, {"": PREFIX})


def answer_set(text: str) -> set[str]:
    """The names in an answer: `:Name` or full IRIs, separated by commas or spaces."""
    names = text.replace(",", " ").split()
    return {compact(name).removeprefix(":") for name in names}


@lru_cache(maxsize=8)
def _store(graph: KnowledgeGraph, settings: str) -> SparqlStore:
    return SparqlStore(graph.turtle(), **json.loads(settings))


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
