"""`agentrl/Qald-v0` and `agentrl/Lcquad-v0`: public questions over a knowledge graph, by file.

The file brings questions, gold queries and perhaps answers, the endpoint the graph. By default the
gold answers are what the gold queries find at the endpoint now; questions whose query fails there
or finds nothing are no tasks, and the scores say how many they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.env import SPLITS, check_split
from agentrl.envs.sparql import results
from agentrl.envs.sparql.gold import terms
from agentrl.envs.sparql.graph_env import GraphEnv
from agentrl.envs.sparql.pool import Basis, Choice, Pool, Rule, pool
from agentrl.envs.sparql.questions import Graph, Reading, Wording, lcquad, qald
from agentrl.envs.sparql.said import NONE, shown
from agentrl.envs.sparql.terms import TERM
from agentrl.errors import ConfigError, DataError, EmptySplitError
from agentrl.tools.sparql import DBPEDIA, WIKIDATA, Result, SparqlClient, connect
from agentrl.types import Group, Task

EXPERT_ROWS = 10
"""Rows that the expert asks for: it knows how queries are written, not which one answers."""


class Benchmark(GraphEnv):
    """Questions of a file as tasks; what `GraphEnv` says of turns and parts holds.

    Args:
        file: the benchmark's questions.
        gold: whose answers are right: those that the gold query finds at the `endpoint` now, or
            those of the `file`.
        subset: rules that a question must meet besides: `executable` (its query runs and finds
            something; with `gold=endpoint` all do) and `single_answer`, the paper's two.
        limit: questions from the file's beginning; None for all.
        labels: whether the graph is asked for the labels of the entities that a question names;
            otherwise they are called as their IRIs end.
        gold_seconds: that a gold query may take; None is `query_seconds`.
        play: as `GraphEnv` has it; `language` is also that of the questions.
    """

    prefixes = DBPEDIA | WIKIDATA

    def __init__(
        self,
        *,
        file: str,
        gold: Basis = "endpoint",
        subset: Sequence[Rule] = (),
        limit: int | None = None,
        labels: bool = True,
        gold_seconds: float | None = None,
        **play: Any,
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"env.limit is {limit}: give a number from 1, or none", "limit")
        super().__init__(**play)
        self.file = file
        self.choice = Choice(
            language=self.language, basis=gold, rules=tuple(subset), limit=limit, labels=labels
        )
        self.where: str | Sequence[str] = play["endpoint"]
        self.asker: SparqlClient = self.store
        """Who runs the gold queries."""
        if gold_seconds is not None:
            settings = {"prefixes": self.prefixes, **(play.get("client") or {})}
            self.asker = connect(self.where, **settings | {"query_seconds": gold_seconds})

    def reading(self) -> Reading:
        """The file. Raises: DataError."""
        raise NotImplementedError

    @cached_property
    def pool(self) -> Pool:
        """The questions that can be scored; the first environment of a process finds them.

        Raises:
            DataError: the file is not what it should be, or nothing of it can be scored.
            ToolError: the endpoint is down.
        """
        where = self.where if isinstance(self.where, str) else ", ".join(self.where)
        return pool(self.reading(), self.choice, self.asker, where)

    # ---- tasks ----

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` questions of a split, in an order drawn by `seed`."""
        check_split(split)
        found = _tasks(self.pool, self.id)[split]
        if not found:
            raise EmptySplitError(
                f"{self.id} has no task in the split {split!r}: {self.file} has "
                f"{len(self.pool.asked)} questions to ask, all in the other"
            )
        return [found[i] for i in np.random.default_rng(seed).permutation(len(found))[:count]]

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A random question."""
        asked = self.pool.asked
        return asked[int(rng.integers(len(asked)))]

    # ---- play ----

    def entities(self) -> Mapping[str, str]:
        """Label -> IRI of the entities that the gold query names."""
        return self.pool.truth(self.data).entities

    def gold(self) -> str:
        """The canonical form of the gold answers."""
        return self.canonical(self.pool.truth(self.data).answers)

    def gold_text(self) -> str:
        """The gold answers as an agent writes them."""
        return shown(self.pool.truth(self.data).answers)

    def oracle(self) -> str:
        """As `GraphEnv` has it; a question whose file holds no query is answered at once."""
        if not self.data["query"]:
            return self.turn_text("answer", self.gold_text(), "The file says so.")
        return super().oracle()

    def expert(self, rng: np.random.Generator) -> str:
        """Asks for anything about an entity of the question and answers with anything it saw."""
        if self.result is not None:
            seen = [text for row in self.result.rows for text in row if TERM.fullmatch(text)]
            named = [text for text in seen if not text.startswith("_:")]
            answer = named[int(rng.integers(len(named)))] if named else NONE
            return self.turn_text("answer", answer, "This may be it.")
        iris = list(self.entities().values()) if self.linking == "given" else []
        about = f"<{iris[int(rng.integers(len(iris)))]}>" if iris else "?s"
        pattern = f"{about} ?p ?x" if rng.random() < 0.5 else f"?x ?p {about}"
        query = f"SELECT ?x WHERE {{ {pattern} }} LIMIT {EXPERT_ROWS}"
        return self.turn_text("query", query, "Let me see what there is.")

    def _only_answer(self, result: Result) -> str | None:
        """The answer that one query's result is: all its columns, as a gold query's."""
        if result.error or result.more:
            return None
        try:
            return self.canonical(list(terms(result)))
        except DataError:  # a term that is too long was cut, and is no term any more
            return None

    # ---- what is reported ----

    def scores(self, groups: Sequence[Group]) -> Mapping[str, Any]:
        """Precision, recall and F1 in all forms, per answer type, and what was left out."""
        return results.scores(groups, self.pool, self.store.prefixes)

    def export(self, groups: Sequence[Group], folder: Path, player: str) -> list[Path]:
        """The answers in QALD's JSON, a file per attempt, and what became of the gold queries."""
        made = [results.write_gold(self.pool, folder, player)]
        for attempt in range(max(len(group.episodes) for group in groups) if groups else 0):
            path = folder / f"qald-{player}{f'-{attempt}' if attempt else ''}.json"
            made.append(results.write(groups, attempt, self.pool, self.store.prefixes, path))
        return made


class Qald(Benchmark):
    """QALD-9-plus and QALD-10: `{"questions": [...]}` with queries and answers, in many languages.

    A question without a text in the `language` is asked in English; the scores say how many.
    """

    def reading(self) -> Reading:
        """The file, in QALD's JSON."""
        return qald(self.file)


class Lcquad(Benchmark):
    """LC-QuAD 2.0: a list of questions with a query for Wikidata and one for DBpedia, no answers.

    Args:
        graph: whose query is the gold query.
        wording: which of the three texts is asked; questions without it are skipped and counted.
        more: as `Benchmark` has it.
    """

    def __init__(
        self, *, graph: Graph = "wikidata", wording: Wording = "question", **more: Any
    ) -> None:
        self.prefixes = DBPEDIA if graph == "dbpedia" else WIKIDATA
        super().__init__(**more)
        self.graph: Graph = graph
        self.wording: Wording = wording

    def reading(self) -> Reading:
        """The file, a list of objects."""
        return lcquad(self.file, self.graph, self.wording)


@lru_cache(maxsize=8)
def _tasks(found: Pool, env: str) -> Mapping[str, list[Task]]:
    """All tasks by split, made once per process."""
    tasks = [Task(env=env, data=data) for data in found.asked]
    return {split: [task for task in tasks if task.split == split] for split in SPLITS}
