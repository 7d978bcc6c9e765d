"""How well answer sets match gold sets: precision, recall and F1, macro and micro, and QALD's own.

    set      P = tp/(tp+fp), R = tp/(tp+fn), F1 their harmonic mean; all 0 without a true positive,
             all 1 where gold and answer are both empty
    macro    the mean of each over the questions; micro: of the summed tp, fp and fn
    QALD     the same, but P = 1 where a question with gold answers got none: saying nothing is no
             wrong statement. `Macro F1 QALD` is the harmonic mean of the macro P and the macro R,
             not the mean of the F1s
    exact    whether the sets are equal; a question without an answer never is
    hits@1   whether the answer named first is right

Source: GERBIL QA's FMeasureCalculator, the official scorer of QALD-9 and QALD-10 (the text of the
QALD-10 call says P = 0 for no answer; the scorer, and so every published number, takes 1).
Differs: GERBIL compares characters, these are keys (`terms`); 0/0 is 0 here, not a number there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agentrl.envs.sparql.terms import DATES, NUMERIC, XSD, Term, term


class Attempt(NamedTuple):
    """One attempt at one question, as keys."""

    gold: frozenset[Term]
    said: tuple[Term, ...] | None
    """In the agent's order, none twice; None where it gave no answer."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """True positives, false positives and false negatives."""
        given = set(self.said or ())
        right = len(given & self.gold)
        return right, len(given) - right, len(self.gold) - right

    @property
    def exact(self) -> bool:
        """Whether the answer is the gold answer."""
        return self.said is not None and set(self.said) == self.gold

    @property
    def hit(self) -> bool:
        """Whether the first term is right; of an empty answer, whether nothing was to be found."""
        return self.said[0] in self.gold if self.said else self.exact


class Measure(NamedTuple):
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def measure(right: float, wrong: float, missed: float, *, silent: float = 0.0) -> Measure:
    """The measure of counts; `silent` is the precision of saying nothing where there is gold."""
    if right > 0:
        precision, recall = right / (right + wrong), right / (right + missed)
        return Measure(precision, recall, harmonic(precision, recall))
    if wrong > 0:
        return Measure(0.0, 0.0, 0.0)
    return Measure(silent, 0.0, 0.0) if missed > 0 else Measure(1.0, 1.0, 1.0)


def harmonic(one: float, two: float) -> float:
    """The harmonic mean, 0 of two zeros."""
    return 2 * one * two / (one + two) if one + two else 0.0


def summary(questions: Sequence[Sequence[Attempt]]) -> dict[str, Any]:
    """The scores of questions with their attempts; a question counts once, as its attempts' mean.

    Without a question there is no score: only `n`, 0.
    """
    if not questions:
        return {"n": 0}
    each = [_question(attempts) for attempts in questions]
    means = {name: sum(scores[name] for scores in each) / len(each) for name in each[0]}
    micro = measure(means["right"], means["wrong"], means["missed"])
    return {
        "n": len(questions),
        "answered": means["answered"],
        "macro": {name: means[name] for name in Measure._fields},
        "micro": micro._asdict(),
        "qald_macro_f1": harmonic(means["qald_precision"], means["recall"]),
        "exact_match": means["exact"],
        "hits_at_1": means["hit"],
    }


def by_type(questions: Iterable[tuple[str, Sequence[Attempt]]]) -> dict[str, dict[str, Any]]:
    """The scores of each answer type."""
    found: dict[str, list[Sequence[Attempt]]] = {}
    for name, attempts in questions:
        found.setdefault(name, []).append(attempts)
    return {name: summary(found[name]) for name in sorted(found)}


def _question(attempts: Sequence[Attempt]) -> dict[str, float]:
    """The mean of each score over a question's attempts."""
    each = [_attempt(attempt) for attempt in attempts]
    return {name: sum(scores[name] for scores in each) / len(each) for name in each[0]}


def _attempt(attempt: Attempt) -> dict[str, float]:
    right, wrong, missed = attempt.counts
    return {
        **measure(right, wrong, missed)._asdict(),
        "qald_precision": measure(right, wrong, missed, silent=1.0).precision,
        **{"right": right, "wrong": wrong, "missed": missed},
        "exact": float(attempt.exact),
        "hit": float(attempt.hit),
        "answered": float(attempt.said is not None),
    }


def answer_type(answers: Iterable[str], counts: bool) -> str:
    """What kind of thing is asked for: resource, string, number, date, boolean, literal or count.

    `mixed` for several kinds, `empty` for no answers; `counts` tells a count from other numbers.
    """
    found = {_kind(term(text)) for text in answers}
    if found == {"number"} and counts:
        return "count"
    return found.pop() if len(found) == 1 else "mixed" if found else "empty"


def _kind(one: Term) -> str:
    if one.kind != "literal":
        return "resource"
    kinds: Mapping[str, str] = {"": "string", XSD + "string": "string", XSD + "boolean": "boolean"}
    kinds = {**kinds, **dict.fromkeys(NUMERIC, "number"), **dict.fromkeys(DATES, "date")}
    return kinds.get(one.datatype, "literal")
