"""Questions with gold queries from the public benchmarks' files, all read into one record.

QALD-9-plus and QALD-10 are `{"questions": [...]}`, LC-QuAD 2.0 is a list. The readers check every
field that is used, name file, record and field where one is wrong, and keep ids as they stand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from agentrl.envs.sparql.terms import XSD, Term, term_of, truth
from agentrl.errors import DataError, boundary

Wording = Literal["question", "paraphrased_question", "NNQT_question"]
"""LC-QuAD's three texts of a question: a person's, another person's, the template's."""
Graph = Literal["wikidata", "dbpedia"]
GOLD_FIELDS: Mapping[Graph, str] = {"wikidata": "sparql_wikidata", "dbpedia": "sparql_dbpedia18"}
"""Where LC-QuAD keeps the gold query of each graph."""
BLANK = {"", "n/a", "na", "none", "null"}
"""What stands, in any case, where nobody wrote a question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question of a benchmark, as its file gives it."""

    number: int
    """Place in the file, from 0."""
    id: str | int
    """The file's own."""
    texts: Mapping[str, tuple[str, ...]]
    """The question by language, in every wording; never empty."""
    query: str
    """Gold SPARQL; empty where the file has none."""
    answers: tuple[str, ...] | None
    """Gold answers in N-Triples notation, none twice; None where the file gives none."""

    def text(self, language: str) -> tuple[str, str]:
        """The question in a language, and that language: else English, else the file's first."""
        known = [name for name in (language, "en", *self.texts) if name in self.texts]
        return self.texts[known[0]][0], known[0]


class Reading(NamedTuple):
    """What a file holds."""

    path: str
    questions: tuple[Question, ...]
    skipped: int
    """Records without a text of their question."""


class Record(NamedTuple):
    """One entry of a file, whose fields are read with their types checked."""

    path: str
    number: int
    fields: Mapping[str, Any]

    def field(self, name: str, *kinds: type, default: Any = ...) -> Any:
        """A field of one of the types; null and absent are the default. Raises: DataError."""
        value = self.fields.get(name)
        if value is None and default is not ...:
            return default
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(KINDS[kind] for kind in kinds)
            raise self.error(name, f"is {kind_of(value)}: it must be {wanted}")
        return value

    def inside(self, name: str, value: Any) -> Record:
        """An object that stands in a field, as a record. Raises: DataError."""
        if not isinstance(value, dict):
            raise self.error(name, f"is {kind_of(value)}: it must be an object")
        return Record(self.path, self.number, value)

    def error(self, name: str, reason: str) -> DataError:
        """The error that names this record and a field."""
        return DataError(f"{self.path}: record {self.number}: {name} {reason}")


KINDS = {dict: "an object", list: "a list", str: "a text", int: "a number", bool: "true or false"}


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return "missing" if value is None else KINDS.get(type(value), "a number")


def qald(path: str) -> Reading:
    """The questions of a file in QALD's JSON; kept in memory until the file changes.

    Raises:
        DataError: with file, record and field.
    """
    return _qald(path, *stamp(path))


def lcquad(path: str, graph: Graph = "wikidata", wording: Wording = "question") -> Reading:
    """The questions of a file of LC-QuAD 2.0; records without the wording are skipped.

    Raises:
        DataError: with file, record and field.
    """
    return _lcquad(path, *stamp(path), GOLD_FIELDS[graph], wording)


def stamp(path: str) -> tuple[int, int]:
    """When a file was written, in nanoseconds, and its size. Raises: DataError."""
    with boundary(DataError, f"file={path!r} cannot be read, give a readable file"):
        stat = Path(path).stat()
        return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def _qald(path: str, _time: int, _size: int) -> Reading:
    content = _content(path)
    if not isinstance(content, dict) or not isinstance(content.get("questions"), list):
        raise DataError(f'{path} is no QALD file: it must be {{"questions": [...]}}')
    return _reading(path, content["questions"], _qald_question)


@lru_cache(maxsize=8)
def _lcquad(path: str, _time: int, _size: int, gold: str, wording: str) -> Reading:
    content = _content(path)
    if not isinstance(content, list):
        raise DataError(f"{path} is no file of LC-QuAD 2.0: it must be a list of objects")
    return _reading(path, content, lambda record: _lcquad_question(record, gold, wording))


def _content(path: str) -> Any:
    with boundary(DataError, f"file={path!r} is no JSON, give a benchmark's file"):
        return json.loads(Path(path).read_bytes())


def _reading(
    path: str, entries: Sequence[Any], read: Callable[[Record], Question | None]
) -> Reading:
    """Every entry as a question; None is skipped."""
    read_all = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: record {number} is {kind_of(entry)}: it must be an object")
        read_all.append(read(Record(path, number, entry)))
    found = tuple(question for question in read_all if question is not None)
    if not found:
        raise DataError(f"{path} holds no question: none of its {len(entries)} records has a text")
    return Reading(path, found, len(entries) - len(found))


# ---- QALD ---------------------------------------------------------------------------------------


def _qald_question(record: Record) -> Question | None:
    texts: dict[str, list[str]] = {}
    for entry in record.field("question", list):
        wording = record.inside("question", entry)
        text = wording.field("string", str, default="").strip()
        if text.lower() not in BLANK:
            texts.setdefault(wording.field("language", str), []).append(text)
    if not texts:
        return None
    query = record.inside("query", record.field("query", dict, default={}))
    return Question(
        number=record.number,
        id=record.field("id", str, int),
        texts={language: tuple(lines) for language, lines in texts.items()},
        query=query.field("sparql", str, default="").strip(),
        answers=_qald_answers(record),
    )


def _qald_answers(record: Record) -> tuple[str, ...] | None:
    """All bound values of all answers' rows and columns, as the official scorer takes them."""
    listed = record.field("answers", list, default=None)
    if not listed:
        return None
    found: dict[str, None] = {}
    for entry in listed:
        answer = record.inside("answers", entry)
        if answer.fields.get("boolean") is not None:
            found[_truth(answer).text] = None
            continue
        results = answer.inside("results", answer.field("results", dict, default={}))
        for row in results.field("bindings", list, default=[]):
            for value in answer.inside("bindings", row).fields.values():
                found[_term(record, "bindings", value).text] = None
    return tuple(found)


def _truth(answer: Record) -> Term:
    """The truth value of an answer; some files write it as a text."""
    value = answer.field("boolean", bool, str)
    if str(value).lower() not in {"true", "false"}:
        raise answer.error("boolean", f"is {value!r:.40}: it must be true or false")
    return truth(str(value).lower() == "true")


def _term(record: Record, name: str, value: Any) -> Term:
    try:
        return term_of(value)
    except DataError as error:  # told again, with its place
        raise record.error(name, f"hold {error}") from None


# ---- LC-QuAD 2.0 --------------------------------------------------------------------------------


def _lcquad_question(record: Record, gold: str, wording: str) -> Question | None:
    text = record.fields.get(wording)  # absent, null, [] or a word for nothing: nobody wrote one
    if not isinstance(text, str) or text.strip().lower() in BLANK:
        return None
    answers = record.field("answer", list, default=[])
    return Question(
        number=record.number,
        id=record.field("uid", str, int),
        texts={"en": (text.strip(),)},
        query=record.field(gold, str, default="").strip(),
        answers=tuple({_value(record, answer).text: None for answer in answers}) or None,
    )


def _value(record: Record, value: Any) -> Term:
    """A gold answer that somebody added: the published files hold none, so any form is taken."""
    if isinstance(value, bool):
        return truth(value)
    if isinstance(value, (int, float)):
        return Term(
            "literal", str(value), XSD + ("integer" if isinstance(value, int) else "double")
        )
    if isinstance(value, str):
        return Term("uri" if value.startswith(("http://", "https://")) else "literal", value)
    return _term(record, "answer", value)
