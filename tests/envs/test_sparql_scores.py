"""Scores of answer sets, computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.sparql.scores import Attempt, answer_type, by_type, measure, summary
from agentrl.envs.sparql.terms import XSD, Term

A, B, C, D = (Term("uri", f"http://e.x/{name}") for name in "abcd")


def attempt(gold, said):
    return Attempt(frozenset(gold), None if said is None else tuple(said))


@pytest.mark.parametrize(
    ("gold", "said", "measured", "silent", "exact", "hit"),
    [
        ([A], [A], (1, 1, 1), 1, True, True),
        ([A, B], [B, A], (1, 1, 1), 1, True, True),
        ([A], [B], (0, 0, 0), 0, False, False),
        ([A], [A, B], (1 / 2, 1, 2 / 3), 1 / 2, False, True),
        ([A], [B, A], (1 / 2, 1, 2 / 3), 1 / 2, False, False),
        ([A, B, C], [A], (1, 1 / 3, 1 / 2), 1, False, True),
        ([A, B, C], [A, D], (1 / 2, 1 / 3, 2 / 5), 1 / 2, False, True),
        ([A], [], (0, 0, 0), 1, False, False),
        ([A], None, (0, 0, 0), 1, False, False),
        ([], [], (1, 1, 1), 1, True, True),
        ([], [A], (0, 0, 0), 0, False, False),
        (
            [],
            None,
            (1, 1, 1),
            1,
            False,
            False,
        ),  # as the official scorer: no answer is the empty one
    ],
)
def test_one_answer(gold, said, measured, silent, exact, hit):
    one = attempt(gold, said)
    assert measure(*one.counts) == pytest.approx(measured)
    assert measure(*one.counts, silent=1.0).precision == pytest.approx(silent)
    assert (one.exact, one.hit) == (exact, hit)


def test_a_file_of_four_questions():
    # tp fp fn:  1 0 0   1 1 1   0 0 2   0 1 1
    said = [([A], [A]), ([A, B], [A, C]), ([A, B], None), ([D], [C])]
    scores = summary([[attempt(gold, answer)] for gold, answer in said])
    assert scores["macro"] == pytest.approx({"precision": 3 / 8, "recall": 3 / 8, "f1": 3 / 8})
    # 2 right, 2 wrong, 4 missed
    assert scores["micro"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5})
    # the silent question's precision is 1: (1 + 1/2 + 1 + 0)/4 = 5/8 against a recall of 3/8
    assert scores["qald_macro_f1"] == pytest.approx(2 * (5 / 8) * (3 / 8) / (5 / 8 + 3 / 8))
    assert (scores["exact_match"], scores["hits_at_1"]) == (1 / 4, 1 / 2)
    assert (scores["n"], scores["answered"]) == (4, 3 / 4)


def test_attempts_at_one_question_count_as_their_mean():
    halves = summary([[attempt([A], [A]), attempt([A], [B])], [attempt([B], [B])]])
    assert halves["macro"]["f1"] == halves["exact_match"] == 3 / 4
    assert halves["micro"] == pytest.approx({"precision": 3 / 4, "recall": 3 / 4, "f1": 3 / 4})


def test_saying_nothing_everywhere_is_worth_nothing():
    assert summary([[attempt([A], None)]] * 3)["qald_macro_f1"] == 0.0


def test_no_question_has_no_score():
    assert summary([]) == {"n": 0}


def test_types_are_scored_apart():
    scores = by_type([("date", [attempt([A], [A])]), ("count", [attempt([A], [B])])])
    assert {name: part["exact_match"] for name, part in scores.items()} == {"count": 0, "date": 1}


SETS = st.lists(st.sampled_from([A, B, C, D]), unique=True)


@given(st.lists(st.tuples(SETS, st.none() | SETS), min_size=1), st.randoms())
def test_the_order_of_questions_does_not_matter(pairs, random):
    attempts = [[attempt(*pair)] for pair in pairs]
    one, other = summary(attempts), summary(random.sample(attempts, len(attempts)))
    assert other.pop("macro") == pytest.approx(one.pop("macro"))
    assert other.pop("micro") == pytest.approx(one.pop("micro"))
    assert other == pytest.approx(one)


@given(st.lists(st.tuples(SETS, st.none() | SETS), min_size=1))
def test_every_score_is_a_share(pairs):
    scores = summary([[attempt(*pair)] for pair in pairs])
    shares = [*scores.pop("macro").values(), *scores.pop("micro").values(), *scores.values()]
    assert all(0 <= share <= 1 for share in shares if share != scores["n"])
    assert scores["exact_match"] <= scores["answered"]


@given(st.lists(SETS, min_size=1))
def test_the_gold_answers_score_one(golds):
    scores = summary([[attempt(gold, gold)] for gold in golds])
    assert scores["qald_macro_f1"] == scores["exact_match"] == scores["macro"]["f1"] == 1.0


@pytest.mark.parametrize(
    ("texts", "counts", "kind"),
    [
        (["<http://e.x/a>"], True, "resource"),
        (['"a"', '"b"@en', f'"c"^^<{XSD}string>'], False, "string"),
        ([f'"1"^^<{XSD}decimal>'], False, "number"),
        ([f'"1"^^<{XSD}integer>'], True, "count"),
        ([f'"2001"^^<{XSD}gYear>', f'"2001-01-01"^^<{XSD}date>'], False, "date"),
        ([f'"2001-01-01"^^<{XSD}date>'], False, "date"),
        ([f'"true"^^<{XSD}boolean>'], False, "boolean"),
        (['"POINT(1 1)"^^<http://e.x/wkt>'], False, "literal"),
        (["<http://e.x/a>", '"a"'], False, "mixed"),
        ([], False, "empty"),
    ],
)
def test_answer_types(texts, counts, kind):
    assert answer_type(texts, counts) == kind
