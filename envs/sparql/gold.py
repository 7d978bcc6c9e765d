"""Gold queries, run where the agent will run its own: are the file's answers still true there?

Knowledge graphs move on, and a test's graph may hold little of them. So the answers of the endpoint
are the gold, unless the file's are asked for; and whatever the endpoint cannot answer is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, NamedTuple

from agentrl.envs.sparql.links import PROLOGUE, TOKEN
from agentrl.envs.sparql.questions import Question
from agentrl.envs.sparql.terms import Term, keys, number, term, truth
from agentrl.errors import DataError, ToolError
from agentrl.tools.sparql import Result, SparqlClient

MAX_GOLD = 10_000
"""Terms beyond which an answer is no answer to a question any more."""
AT_ONCE = 4
"""Gold queries under way at the same time."""
IN_A_ROW = 5
"""Queries that an endpoint may leave unanswered, one after the other, until it counts as down."""
NOTHING = {number("0"), truth(False)}
ANY_TRIPLE = "ASK { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"
DOWN = "the endpoint: "
"""How the reasons begin that are no fault of a query."""
FORMS = {"SELECT", "ASK", "CONSTRUCT", "DESCRIBE"}
COUNTS = re.compile(r"\bCOUNT\s*\(", re.IGNORECASE)


class Verdict(Enum):
    """What became of a gold query."""

    SAME = "same"
    """It found what the file says."""
    CHANGED = "changed"
    """It found something else."""
    NEW = "new"
    """It found something, and the file says nothing."""
    EMPTY = "empty"
    """It found nothing; or 0 or false, where the file says otherwise: what graphs without the facts
    say."""
    FILED = "filed"
    """It was not run: the file's answers are taken."""
    FAILED = "failed"
    """It did not run, or found what is no answer."""


class Gold(NamedTuple):
    """A question with what its query found."""

    question: Question
    verdict: Verdict
    answers: tuple[str, ...] = ()
    """In N-Triples notation, none twice."""
    reason: str = ""
    """Why it failed."""

    @property
    def usable(self) -> bool:
        """Whether there is something to find."""
        return self.verdict not in {Verdict.EMPTY, Verdict.FAILED}


def executed(client: SparqlClient, questions: Sequence[Question], where: str) -> list[Gold]:
    """Every question with what its gold query finds in the graph that `where` names.

    Raises:
        DataError: the graph is empty.
        ToolError: the endpoint is down.
    """
    if client.query(ANY_TRIPLE).boolean is False:  # an engine without named graphs says an error
        raise DataError(f"the graph at {where} holds no triple: give the one that is asked about")
    found: list[Gold] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for gold in pool.map(lambda question: _executed(client, question), questions):
            found.append(gold)
            if len(found) >= IN_A_ROW and all(g.reason.startswith(DOWN) for g in found[-IN_A_ROW:]):
                pool.shutdown(cancel_futures=True)
                raise ToolError(f"{IN_A_ROW} gold queries in a row failed: {gold.reason}")
    return found


def _executed(client: SparqlClient, question: Question) -> Gold:
    if not question.query:
        return Gold(question, Verdict.FAILED, reason="the file holds no query")
    if form(question.query) not in {"SELECT", "ASK"}:
        return Gold(question, Verdict.FAILED, reason="the query is neither SELECT nor ASK")
    try:
        result = client.query(question.query, max_rows=MAX_GOLD)
        if result.error or result.more:
            reason = result.error or f"more than {MAX_GOLD} rows"
            return Gold(question, Verdict.FAILED, reason=reason)
        answers = tuple(dict.fromkeys(terms(result)))
        known = {term(text).key for text in answers}
    except ToolError as error:  # counted, and told with its reason
        return Gold(question, Verdict.FAILED, reason=f"{DOWN}{error}")
    except DataError:  # the client cut a term, and what is left is none
        return Gold(question, Verdict.FAILED, reason="a term is too long to compare")
    return Gold(question, judged(question, known), answers)


def judged(question: Question, known: set[Term]) -> Verdict:
    """What the keys that a gold query found mean beside the file's answers."""
    if question.answers is None:
        return Verdict.NEW if known else Verdict.EMPTY
    filed = keys(question.answers)
    if not known or (known != filed and known <= NOTHING):
        return Verdict.EMPTY
    return Verdict.SAME if known == filed else Verdict.CHANGED


def terms(result: Result) -> Iterator[str]:
    """What a result answers: its truth value, or all bound terms of all columns.

    Blank nodes are left out: they name nothing that a second query would find again.
    """
    if result.boolean is not None:
        yield truth(result.boolean).text
    for row in result.rows:
        yield from (text for text in row if text and not text.startswith("_:"))


def form(query: str) -> str:
    """SELECT, ASK, CONSTRUCT or DESCRIBE; empty for none of them."""
    tokens = TOKEN.finditer(PROLOGUE.sub(" ", query))
    words = (token.group().upper() for token in tokens if token.lastgroup == "word")
    return next((word for word in words if word in FORMS), "")


def counts(query: str) -> bool:
    """Whether what a query selects is a count."""
    return COUNTS.search(query.split("{", 1)[0]) is not None


def as_filed(questions: Sequence[Question]) -> list[Gold]:
    """Every question with its file's answers, an empty list of them included."""
    reason = "the file holds no answers"
    return [
        Gold(q, Verdict.FILED, q.answers)
        if q.answers is not None
        else Gold(q, Verdict.FAILED, reason=reason)
        for q in questions
    ]


def report(golds: Sequence[Gold], basis: str) -> dict[str, Any]:
    """How many there are of each verdict, with ids where something is amiss; for JSON."""
    number = Counter(gold.verdict for gold in golds)
    ids = {
        f"{verdict.value}_ids": [g.question.id for g in golds if g.verdict is verdict]
        for verdict in (Verdict.CHANGED, Verdict.EMPTY)
    }
    failed = [g for g in golds if g.verdict is Verdict.FAILED]
    return {
        "basis": basis,
        **{verdict.value: number[verdict] for verdict in Verdict},
        **ids,
        "failed_ids": {str(g.question.id): g.reason for g in failed},
    }
