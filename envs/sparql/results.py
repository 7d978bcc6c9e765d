"""Played questions -> scores, and QALD's JSON as the official scorer reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentrl.calls.base import thinking
from agentrl.envs.sparql.pool import Pool
from agentrl.envs.sparql.said import listed, said
from agentrl.envs.sparql.scores import Attempt, by_type, summary
from agentrl.envs.sparql.terms import XSD, Term, keys, term
from agentrl.errors import DataError
from agentrl.parsing import tagged
from agentrl.types import Episode, Group

VARIABLE = "result"


def scores(groups: Sequence[Group], pool: Pool, prefixes: Mapping[str, str]) -> dict[str, Any]:
    """All scores of played questions; an attempt that broke is counted and has no score."""
    each = [
        (pool.truth(group.task.data).answer_type, [attempt(e, pool, prefixes) for e in group.live])
        for group in groups
        if group.live
    ]
    total = summary([attempts for _, attempts in each])
    total.pop("n")  # the evaluation says it
    return {
        **total,
        "by_type": by_type(each),
        "questions": {
            **pool.questions,
            "played": len(groups),
            "failed": len(groups) - len(each),
            "failed_ids": {str(group.task.data["id"]): told(group) for group in broken(groups)},
        },
        "gold": pool.gold,
    }


def broken(groups: Sequence[Group]) -> list[Group]:
    """The groups of which at least one attempt broke."""
    return [group for group in groups if len(group.live) < len(group.episodes)]


def told(group: Group) -> str:
    """Why the first attempt broke that did."""
    return next(e.main.error for e in group.episodes if e.main.status.failed)


def attempt(episode: Episode, pool: Pool, prefixes: Mapping[str, str]) -> Attempt:
    """An attempt as keys."""
    given = answers(episode, prefixes)
    ordered = None if given is None else tuple(dict.fromkeys(term(text).key for text in given))
    return Attempt(frozenset(keys(pool.truth(episode.task.data).answers)), ordered)


def answers(episode: Episode, prefixes: Mapping[str, str]) -> list[str] | None:
    """What an episode answered, in N-Triples notation; None where it answered nothing.

    As the agent wrote it, order included, where its last text says so; else in the canonical form
    that the environment kept.
    """
    kept = listed(episode.main.answer)
    if kept is None or not episode.main.turns:
        return kept
    _, rest, closed = thinking(text := episode.main.turns[-1].completion.text)
    parsed = tagged(rest if closed else text, "answer")
    try:
        written = said(parsed.value, prefixes)
        return written if keys(written) == keys(kept) else kept
    except DataError:  # the last text was no answer: its query's result was
        return kept


# ---- QALD's JSON --------------------------------------------------------------------------------


def write(
    groups: Sequence[Group],
    number: int,
    pool: Pool,
    prefixes: Mapping[str, str],
    path: Path,
) -> Path:
    """Write the answers of one attempt at every question; what broke is named, not answered."""
    played = [group.episodes[number] for group in groups if number < len(group.episodes)]
    live = [episode for episode in played if not episode.main.status.failed]
    live.sort(key=lambda episode: int(episode.task.data["number"]))
    failed = [episode.task.data["id"] for episode in played if episode.main.status.failed]
    content = {
        "dataset": {"id": path.stem, "failed_ids": failed},
        "questions": [entry(episode, pool, prefixes) for episode in live],
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def write_gold(pool: Pool, folder: Path, player: str) -> Path:
    """Write what became of every gold query."""
    path = folder / f"gold-{player}.json"
    content = {"questions": pool.questions, "gold": pool.gold}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def entry(episode: Episode, pool: Pool, prefixes: Mapping[str, str]) -> dict[str, Any]:
    """One question with its texts as the file has them, the agent's last query and its answer."""
    data = episode.task.data
    given = [term(text) for text in answers(episode, prefixes) or ()]
    return {
        "id": data["id"],
        "question": [
            {"language": language, "string": line}
            for language, lines in pool.texts[data["number"]].items()
            for line in lines
        ],
        "query": {"sparql": next(queries(episode), "")},
        "answers": [answer_json(given)],
    }


def answer_json(given: Sequence[Term]) -> dict[str, Any]:
    """An answer as SPARQL's JSON results: a truth value alone, or rows of one column."""
    if len(given) == 1 and given[0].datatype == XSD + "boolean":
        return {"head": {}, "boolean": given[0].key.value == "true"}
    rows = [{VARIABLE: one.json} for one in given]
    return {"head": {"vars": [VARIABLE]}, "results": {"bindings": rows}}


def queries(episode: Episode) -> Iterator[str]:
    """The queries that an episode ran, the last one first."""
    for turn in reversed(episode.main.turns):
        _, rest, closed = thinking(turn.completion.text)
        parsed = tagged(rest if closed else turn.completion.text, "query")
        if parsed.value:
            yield parsed.value
