"""Which questions of a benchmark's file can be asked and scored at a graph, as tasks.

Made once per process, file and graph, however many environments play: it runs every gold query.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from agentrl.envs.sparql import gold as gold_queries
from agentrl.envs.sparql.gold import Gold, Verdict
from agentrl.envs.sparql.links import entities, labels, linked
from agentrl.envs.sparql.questions import Question, Reading
from agentrl.envs.sparql.scores import answer_type
from agentrl.errors import DataError
from agentrl.tools.sparql import SparqlClient

Basis = Literal["endpoint", "file"]
Rule = Literal["executable", "single_answer"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is taken of a file."""

    language: str
    basis: Basis
    """Whose answers are the gold: those that the endpoint finds now, or those of the file."""
    rules: tuple[Rule, ...]
    limit: int | None
    """Questions from the file's beginning; None for all."""
    labels: bool
    """Whether the graph is asked for the labels of the entities."""


class Truth(NamedTuple):
    """What the graph adds to a question: no part of a task, whose identity is the file's."""

    answers: tuple[str, ...]
    """The gold answers in N-Triples notation, sorted: two engines find them in two orders."""
    answer_type: str
    entities: Mapping[str, str]
    """Label -> IRI."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The questions that can be scored, and what became of the others; equal to itself only."""

    asked: tuple[Mapping[str, Any], ...]
    """Task data, in the file's order."""
    truths: Mapping[int, Truth]
    """By the question's place in the file."""
    texts: Mapping[int, Mapping[str, tuple[str, ...]]]
    """The questions by place and language, as the file has them."""
    questions: Mapping[str, Any]
    """How many the file holds, how many are scored, and why the others are not."""
    gold: Mapping[str, Any]
    """What became of the gold queries."""

    def truth(self, data: Mapping[str, Any]) -> Truth:
        """What is known of a task. Raises: DataError."""
        if data.get("number") not in self.truths:
            raise DataError(
                f"question {data.get('id')!r} is none of those that can be scored here: play it "
                "with the file, the endpoint and the subset that it was drawn from"
            )
        return self.truths[data["number"]]


_pools: dict[tuple[Any, ...], tuple[Pool, Reading, SparqlClient]] = {}
_lock = threading.Lock()


def pool(reading: Reading, choice: Choice, client: SparqlClient, where: str) -> Pool:
    """The pool of a file at a graph that `where` names; the same one for the same arguments.

    Raises:
        DataError: not one question can be scored.
        ToolError: the endpoint is down.
    """
    key = (id(reading), choice, id(client))  # ids stay theirs, since both are kept
    with _lock:
        if key not in _pools:
            _pools[key] = (_pool(reading, choice, client, where), reading, client)
        return _pools[key][0]


def _pool(reading: Reading, choice: Choice, client: SparqlClient, where: str) -> Pool:
    questions = reading.questions[: choice.limit]
    run = choice.basis == "endpoint" or "executable" in choice.rules
    ran = gold_queries.executed(client, questions, where) if run else []
    golds = ran if choice.basis == "endpoint" else gold_queries.as_filed(questions)
    reasons = [_left_out(gold, choice, ran[i] if ran else gold) for i, gold in enumerate(golds)]
    kept = [gold for gold, reason in zip(golds, reasons, strict=True) if not reason]
    report = gold_queries.report(ran or golds, choice.basis)
    if not kept:
        raise DataError(f"{reading.path}: {_nothing(where, report, reasons)}")
    asked = tuple(_asked(gold.question, choice.language) for gold in kept)
    named = [entities(gold.question.query, client.prefixes) for gold in kept]
    wanted = {iri for iris in named for iri in iris}
    known = labels(client, sorted(wanted), choice.language) if choice.labels else {}
    told = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons) if reason}
    beyond = len(reading.questions) - len(questions)
    return Pool(
        asked=asked,
        truths=dict(_truths(kept, named, known)),
        texts={gold.question.number: gold.question.texts for gold in kept},
        questions={
            "file": len(reading.questions) + reading.skipped,
            "scored": len(kept),
            "no_text": reading.skipped,
            "left_out": told | ({"beyond the limit": beyond} if beyond else {}),
            "other_language": sum(data["language"] != choice.language for data in asked),
            "unlabelled_entities": len(wanted - known.keys()),
        },
        gold=report,
    )


def _left_out(gold: Gold, choice: Choice, ran: Gold) -> str:
    """Why a question is not scored; empty if it is. `ran` is what its query found."""
    if gold.verdict is Verdict.FAILED:
        return "gold query fails" if choice.basis == "endpoint" else "no gold answers"
    if gold.verdict is Verdict.EMPTY or ("executable" in choice.rules and not ran.usable):
        return "gold query finds nothing" if ran.verdict is Verdict.EMPTY else "not executable"
    several = "single_answer" in choice.rules and len(gold.answers) != 1
    return "more or less than one answer" if several else ""


def _nothing(where: str, report: Mapping[str, Any], reasons: Sequence[str]) -> str:
    """The message about a file of which nothing can be scored."""
    why = "; ".join(f"{reasons.count(reason)}: {reason}" for reason in dict.fromkeys(reasons))
    failed = next(iter(report["failed_ids"].items()), None)
    first = f" (question {failed[0]}: {failed[1]})" if failed else ""
    other = "gold=file" if report["basis"] == "endpoint" else "gold=endpoint"
    return (
        f"none of its {len(reasons)} questions can be scored at {where}: {why}{first}; "
        f"give the graph that the file asks about, or {other}"
    )


def _asked(question: Question, language: str) -> dict[str, Any]:
    """Task data: the file's alone, so that a split holds whatever the graph says next year."""
    text, spoken = question.text(language)
    return {
        "id": question.id,
        "number": question.number,
        "question": text,
        "language": spoken,
        "query": question.query,
    }


def _truths(
    golds: Sequence[Gold], named: Sequence[Sequence[str]], known: Mapping[str, str]
) -> Iterator[tuple[int, Truth]]:
    """What the graph adds to every question."""
    for gold, iris in zip(golds, named, strict=True):
        kind = answer_type(gold.answers, gold_queries.counts(gold.question.query))
        truth = Truth(tuple(sorted(gold.answers)), kind, linked(iris, known))
        yield gold.question.number, truth
