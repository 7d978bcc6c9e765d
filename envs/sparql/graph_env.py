"""The environment behind every question over a knowledge graph: what an agent may do, and sees.

    user       What is the birthplace of the author of :The_Triam_Nond?
    assistant  <query>SELECT ?x WHERE { :The_Triam_Nond :author ?a . ?a :birthPlace ?x }</query>
    user       1 row: :Driam_City
    assistant  <answer>:Driam_City</answer>

A subclass brings questions: `new_task` or `tasks`, and where its graph is when no endpoint is
given. Its task data holds

    question   what is asked
    entities   {label: IRI} of the entities it names, which are told unless they must be found
    query      the gold SPARQL
    answers    its terms in N-Triples notation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from agentrl.calls.base import THOUGHT, thinking
from agentrl.env import Reply, TextEnv
from agentrl.envs.sparql.lookup import USES, VOCABULARIES, iri_of, language_tag
from agentrl.envs.sparql.observe import NO_ROWS, answer_of, ran, show, troubling
from agentrl.envs.sparql.said import canonical, said, shown
from agentrl.errors import ConfigError, DataError
from agentrl.parsing import tagged
from agentrl.spaces import weighted_range
from agentrl.tools.sparql import Result, SparqlClient, connect, shorten
from agentrl.types import Parse

Action = Literal["query", "entity", "property", "describe"]
LOOK_UPS: tuple[Action, ...] = ("query", "entity", "property", "describe")
MAX_ANSWERS = 10_000
"""Rows of the one query whose result is the answer."""
TABLES = {"generic": "common"}  # the table of prefixes of a vocabulary that has none of its name
THINK_FIRST = " Begin every turn with your reasoning: <think>...</think>."


class GraphEnv(TextEnv):
    """A turn is one action in tags: a query, a look-up, or the answer, which ends the episode.

    Parts: `solved` (the answer is the gold answer), `executed` (per query that ran and found
    rows), `repeated` (per query that was asked before), `format` (per well-formed turn), `troubled`
    (1 at the first error or empty result), `recovered` (1 for a right answer after trouble). Only
    `solved` is paid unless `reward_weights` says otherwise.

    Args:
        endpoint: URL of a SPARQL endpoint, or paths of RDF files; None is the environment's own.
        client: more settings of the client, such as `cache` or `user_agent`.
        vocabulary: how look-ups find labels.
        language: of labels.
        actions: what an agent may do besides answering.
        linking: whether the question's entities are `given`, or to `search` for by their labels.
        reasoning: whether every turn begins with `<think>...</think>`; one that does not is
            malformed, and nothing in it is run. Otherwise a thought is allowed and skipped.
        one_query: the first query ends the episode, and its result is the answer.
        max_turns: turn at which the episode is cut.
        max_rows: rows of a result that are shown.
        totals: whether a result that was cut says how many rows it has.
        observation_chars: of a result as it is shown.
        query_seconds: that a query may take; its retries must fit `rollout.deadline_seconds`.
        error_chars: of the engine's own messages.
        prompt: `full` explains the actions, `short` says nothing.
        reward_weights: of the parts.
        render_mode: `ansi` or None.

    Raises:
        ConfigError: a value that cannot run.
    """

    prefixes: Mapping[str, str] | None = None
    """Of the environment's own graph; None declares those of the vocabulary."""
    pickles = False  # the client holds locks and connections, the store a graph in memory

    def __init__(
        self,
        *,
        endpoint: str | Sequence[str] | None = None,
        client: Mapping[str, Any] | None = None,
        vocabulary: Literal["generic", "wikidata", "dbpedia"] = "generic",
        language: str = "en",
        actions: Sequence[Action] = LOOK_UPS,
        linking: Literal["given", "search"] = "given",
        reasoning: bool = False,
        one_query: bool = False,
        max_turns: int = 6,
        max_rows: int = 10,
        totals: bool = True,
        observation_chars: int = 4000,
        query_seconds: float = 5.0,
        error_chars: int = 160,
        prompt: Literal["full", "short"] = "full",
        reward_weights: Mapping[str, float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        self.vocabulary = VOCABULARIES[vocabulary]
        self.language = language_tag(language)
        self.actions = tuple(actions)
        self.linking = linking
        self.reasoning = reasoning
        self.one_query = one_query
        self.max_turns = max_turns
        self.max_rows = max_rows
        self.totals = totals
        self.result_chars = observation_chars
        self.reward_weights = {"solved": 1.0} if reward_weights is None else reward_weights
        self.reward_range = weighted_range(self.reward_weights, ("solved", "recovered", "troubled"))
        self._check()
        limits = {"query_seconds": query_seconds, "error_chars": error_chars, "max_rows": max_rows}
        prefixes = self.prefixes or TABLES.get(vocabulary, vocabulary)
        settings = {"prefixes": prefixes, **limits, **(client or {})}
        made = self.embedded(settings) if endpoint is None else connect(endpoint, **settings)
        self.store: SparqlClient = made
        self.system_prompt = self.instructions() if prompt == "full" else ""
        self.result: Result | None = None
        """Of the last query."""
        self.troubled = False
        """Whether the episode met an error or an empty result."""
        self.tried: set[str] = set()
        """Queries and labels of the episode so far."""

    # ---- what a subclass may say ----

    def embedded(self, settings: Mapping[str, Any]) -> SparqlClient:
        """The client of the environment's own graph. Raises: ConfigError where there is none."""
        raise ConfigError(
            f"{type(self).__name__} has no graph of its own: set env.endpoint to the URL of a "
            "SPARQL endpoint or to RDF files",
            "endpoint",
        )

    def instructions(self) -> str:
        """The full system prompt."""
        uses = "; ".join(USES[action] for action in self.actions)
        known = ", ".join(f"{name}:" for name in sorted(self.store.prefixes))
        ends = " The first query's result is taken as your answer." * self.one_query
        return (
            f"Answer the question from a knowledge graph. Each turn does one thing: {uses}; or "
            "finish with <answer>the names or values, one a line, or none</answer>. "
            f"Declared prefixes: {known or 'none'}.{THINK_FIRST * self.reasoning}{ends}"
        )

    def entities(self) -> Mapping[str, str]:
        """Label -> IRI of the entities that the question names."""
        return dict(self.data.get("entities", {}))

    def answered(self, text: str) -> str:
        """The canonical form of what stands in `<answer>`. Raises: DataError if it is none."""
        return canonical(said(text, self.store.prefixes))

    def canonical(self, terms: Sequence[str]) -> str:
        """The canonical form of terms in N-Triples notation. Raises: DataError."""
        return canonical(terms)

    def gold(self) -> str:
        """The canonical form of the task's answers."""
        return self.canonical(self.data["answers"])

    def secrets(self) -> Sequence[str]:
        """The gold query; its answer is there to be found."""
        return [self.data["query"]] if self.data["query"] else []

    @classmethod
    def baselines(cls) -> Mapping[str, Mapping[str, Any]]:
        """What a trained agent is compared with: name -> changed arguments."""
        return {"one query": {"one_query": True}, "iterative": {}}

    # ---- play ----

    def begin(self, data: Mapping[str, Any]) -> str:
        """The question, and its entities unless they must be found."""
        self.result = None
        self.troubled = False
        self.tried = set()
        return self.asked(data)

    def asked(self, data: Mapping[str, Any]) -> str:
        """The first observation."""
        linked = self.entities() if self.linking == "given" else {}
        known = self.store.prefixes
        named = [f"{label}: {shorten(f'<{iri}>', known)}" for label, iri in linked.items()]
        return "\n".join([str(data["question"]), *named])

    def act(self, text: str) -> Reply:
        """Take one action, or say why there is none."""
        _, rest, closed = thinking(text)
        if self.reasoning and not (closed and THOUGHT in text):
            return self.refused("the turn does not begin with <think>...</think>")
        parsed = tagged(rest if closed else text, *self.actions, "answer")
        if parsed.status is not Parse.OK:
            return self.refused(parsed.reason, parsed.status)
        takes: Mapping[str, Callable[[str], Reply]] = {
            "query": self.query,
            "entity": lambda label: self.look_up("entity", label),
            "property": lambda label: self.look_up("property", label),
            "describe": self.describe,
            "answer": self.answer,
        }
        return takes[parsed.name](parsed.value)

    def refused(self, reason: str, parse: Parse = Parse.MALFORMED) -> Reply:
        """What is said to a turn that cannot be read; where one query is all, it was the one."""
        text, parts = f"Error: {reason}", self._trouble(True)
        return Reply(text=text, parts=parts, parse=parse, done=self.one_query)

    def query(self, text: str) -> Reply:
        """Run a query."""
        result = self.store.query(text, max_rows=MAX_ANSWERS if self.one_query else None)
        repeated = {"repeated": 1.0} if text in self.tried else {}
        parts = {"executed": float(ran(result)), **repeated}
        self.result = result
        self.tried.add(text)
        if self.one_query:
            return self.judge(self._only_answer(result), parts)
        return self._observed(result, parts)

    def look_up(self, action: str, label: str) -> Reply:
        """Find entities or properties by label."""
        self.tried.add(label)
        queries = self.vocabulary.queries(action, label, self.language)
        return self._first(queries, f"{NO_ROWS}: no {action} is labelled {label!r:.80}")

    def describe(self, name: str) -> Reply:
        """Show what the graph says of one name."""
        if (iri := iri_of(name, self.store.prefixes)) is None:
            error = f"<describe> takes prefix:name or <IRI>, not {name!r:.80}"
            return self._observed(Result(error=error), {})
        queries = self.vocabulary.description(iri, self.language)
        return self._first(queries, f"{NO_ROWS}: the graph says nothing of {name:.80}")

    def answer(self, text: str) -> Reply:
        """Judge the answer; one that cannot be read is told, and the episode goes on."""
        try:
            given = self.answered(text)
        except DataError as error:  # what is wrong with an agent's text is an observation
            return self.refused(str(error))
        return self.judge(given, {})

    def judge(self, given: str | None, parts: Mapping[str, float]) -> Reply:
        """End the episode with a canonical answer, None for none."""
        right = given is not None and given == self.gold()
        parts = {"format": 1.0, **parts} | ({"recovered": 1.0} if right and self.troubled else {})
        return Reply(done=True, success=right, answer=given, parts=parts)

    def oracle(self) -> str:
        """Look up what must be found, then the gold query, then its answer."""
        labels = self.entities() if self.linking == "search" else {}
        if unknown := [label for label in labels if label not in self.tried]:
            return self.turn_text("entity", unknown[0], "The entity's name is needed first.")
        if self.result is None:
            return self.turn_text("query", self.data["query"], "The query follows the question.")
        return self.turn_text("answer", self.gold_text(), "These rows answer it.")

    def gold_text(self) -> str:
        """The gold answer as an agent writes it."""
        return shown(self.data["answers"])

    def turn_text(self, action: str, value: str, thought: str) -> str:
        """A turn as this environment wants it written."""
        told = f"<think>{thought}</think>" if self.reasoning else ""
        return f"{told}<{action}>{value}</{action}>"

    def _check(self) -> None:
        """Refuse what cannot run together. Raises: ConfigError."""
        if "query" not in self.actions or not set(self.actions) <= set(get_args(Action)):
            wanted = "'query' and any of 'entity', 'property', 'describe'"
            raise ConfigError(f"env.actions is {list(self.actions)}: give {wanted}", "actions")
        if self.linking == "search" and "entity" not in self.actions:
            raise ConfigError("env.linking=search: add 'entity' to env.actions", "linking")

    def _first(self, queries: Sequence[str], nothing: str) -> Reply:
        """The first result that has rows; else what is said of nothing, or why all queries fail."""
        results: list[Result] = []
        for query in queries:
            results.append(self.store.query(query, max_rows=self.max_rows))
            if results[-1].rows:
                return self._observed(results[-1], {})
        if results and all(result.error for result in results):
            return self._observed(results[0], {})
        return Reply(text=nothing, parts={"format": 1.0, **self._trouble(True)})

    def _observed(self, result: Result, parts: Mapping[str, float]) -> Reply:
        text = show(result, self.store.prefixes, totals=self.totals, chars=self.result_chars)
        return Reply(text=text, parts={"format": 1.0, **parts, **self._trouble(troubling(result))})

    def _trouble(self, is_trouble: bool) -> dict[str, float]:
        """The part `troubled`, once an episode."""
        first = is_trouble and not self.troubled
        self.troubled = self.troubled or is_trouble
        return {"troubled": 1.0} if first else {}

    def _only_answer(self, result: Result) -> str | None:
        """The answer that a result is, in canonical form."""
        try:
            return None if (terms := answer_of(result)) is None else self.canonical(terms)
        except DataError:  # a term that is too long was cut, and is no term any more
            return None
