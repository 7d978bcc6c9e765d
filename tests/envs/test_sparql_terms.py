"""RDF terms as answers: what two notations say, and when two terms are the same answer."""

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.sparql.said import canonical, listed, said, shown
from agentrl.envs.sparql.terms import XSD, Term, keys, term, term_of
from agentrl.errors import DataError
from agentrl.tools.sparql import shorten

PREFIXES = {
    "wd": "http://www.wikidata.org/entity/",
    "dbr": "http://dbpedia.org/resource/",
    "": "http://e.x/",
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IRIS = st.from_regex(r"http://[a-z]{1,5}/[^\s<>\"{}|^`\\\x00-\x20]{0,8}", fullmatch=True)
LITERALS = st.one_of(
    st.builds(lambda text: Term("literal", text), TEXTS),
    st.builds(lambda text: Term("literal", text, "", "en-GB"), TEXTS),
    st.builds(lambda n: Term("literal", str(n), XSD + "integer"), st.integers()),
    st.builds(lambda x: Term("literal", repr(x), XSD + "double"), st.floats()),
    st.builds(lambda day: Term("literal", day.isoformat(), XSD + "dateTime"), st.datetimes()),
    st.builds(lambda text, kind: Term("literal", text, kind), TEXTS, IRIS),
)
TERMS = st.one_of(LITERALS, st.builds(lambda iri: Term("uri", iri), IRIS))


@given(TERMS)
def test_both_notations_bring_a_term_back(one):
    assert term(one.text) == one
    assert term_of(json.loads(json.dumps(one.json))) == one


@given(TERMS)
def test_a_key_is_its_own_key(one):
    assert one.key.key == one.key
    assert term(one.key.text) == one.key


@given(st.lists(TERMS, max_size=6))
def test_what_is_shown_can_be_said(terms):
    texts = [one.text for one in terms]
    assert said(shown(texts), {}) == list(dict.fromkeys(texts))


@given(st.text("ab:.,-_%é('42", max_size=8), st.booleans())
def test_what_an_observation_shortens_can_be_said(local, is_datatype):
    iri = f"http://dbpedia.org/resource/{local}"
    text = Term("literal", "5", iri).text if is_datatype else Term("uri", iri).text
    assert said(shorten(text, PREFIXES), PREFIXES) == [text]


@given(st.lists(TERMS, max_size=6), st.randoms())
def test_equal_answers_have_equal_texts(terms, random):
    texts = [one.text for one in terms]
    shuffled = random.sample(texts, len(texts)) + texts[:1]
    assert canonical(shuffled) == canonical(texts)
    assert keys(listed(canonical(texts))) == keys(texts)


@pytest.mark.parametrize(
    "equal",
    [
        ('"100"^^xsd:integer', '"+100"^^xsd:decimal', '"1.0E2"^^xsd:double', "100", "100.0", "1e2"),
        ('"-0"^^xsd:integer', "0", "0.0", '"-0.0"^^xsd:float', "0e9"),
        ('"0.10"^^xsd:decimal', "0.1", "1e-1", ".1"),
        ('"1871"^^xsd:gYear', "1871"),
        ("2001-02-03", '"2001-02-03T00:00:00Z"^^xsd:dateTime', "2001-02-03T00:00:00.000"),
        ('"2001-02-03T01:30:00+01:30"^^xsd:dateTime', '"2001-02-03Z"^^xsd:date'),
        ('"-0044-03-15"^^xsd:date', '"-0044-03-15T00:00:00Z"^^xsd:dateTime'),
        ("2001-02-03T04:05:06.5Z", '"2001-02-03T04:05:06.500"^^xsd:dateTime'),
        ('"Star Wars"', '"Star Wars"@en', "'Star Wars'@de-CH", '"Star Wars"^^xsd:string'),
        ('"é"', r'"\u00e9"', "'é'@fr"),
        ("true", '"1"^^xsd:boolean', '"true"^^xsd:boolean', "TRUE"),
        ("wd:Q42", "<http://www.wikidata.org/entity/Q42>", "http://www.wikidata.org/entity/Q42"),
        ("dbr:Foo_(bar)", r"<http://dbpedia.org/resource/Foo_\u0028bar)>"),
    ],
)
def test_terms_that_are_the_same_answer(equal):
    assert all(
        canonical(said(a, PREFIXES)) == canonical(said(b, PREFIXES)) for a, b in pairwise(equal)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("100", '"100"'),
        ("100", "100.5"),
        ("<http://e.x/a>", "<https://e.x/a>"),
        ("<http://e.x/%C3%A9>", "<http://e.x/é>"),
        ('"a"', '"A"'),
        ("<http://e.x/a>", '"http://e.x/a"'),
        ("2001-02-03", "2001-02-03T00:00:01Z"),
        ("2001-02-03", '"2001-02-03+02:00"^^xsd:date'),
        ('"5"^^<http://e.x/metre>', '"5"^^<http://e.x/foot>'),
        ("true", '"true"'),
        ("9007199254740993", "9007199254740992"),
        ('"INF"^^xsd:double', '"NaN"^^xsd:double'),
    ],
)
def test_terms_that_are_not(one, other):
    assert canonical(said(one, PREFIXES)) != canonical(said(other, PREFIXES))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("wd:Q1, wd:Q2", ["<W1>", "<W2>"]),
        ("wd:Q1\nwd:Q2\n", ["<W1>", "<W2>"]),
        ("wd:Q1,wd:Q2 wd:Q1.", ["<W1>", "<W2>"]),
        ("<http://e.x/a,b>,<http://e.x/c>", ["<http://e.x/a,b>", "<http://e.x/c>"]),
        (
            "dbr:Washington,_D.C, 'a, b'",
            ["<http://dbpedia.org/resource/Washington,_D.C>", '"a, b"'],
        ),
        (":a,:b", ["<http://e.x/a>", "<http://e.x/b>"]),
        (r'"say \"x\"\n"', [r'"say \"x\"\n"']),
        ("''", ['""']),
        (" None. ", []),
    ],
)
def test_answers_as_they_are_written(text, values):
    wanted = [value.replace("<W", "<http://www.wikidata.org/entity/Q") for value in values]
    assert said(text, PREFIXES) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Douglas Adams", "'Douglas' is no RDF term: write <IRI>"),
        ("wd:Q1 (Adams)", r"'\(Adams\)' is no RDF term"),
        ("wikidata:Q1", "the prefix 'wikidata' is not declared: use one of :, dbr:, wd:, xsd:"),
        ('"5"^^unit:m', "the prefix 'unit' is not declared"),
        ('"never closed', "is no RDF term"),
        ("<http://a b>", "is no RDF term"),
        ('"a""b"', "is no RDF term"),
        (" , \n", "is no RDF term"),
    ],
)
def test_what_is_no_answer_is_told(text, told):
    with pytest.raises(DataError, match=told):
        said(text, PREFIXES)


@given(st.text(max_size=60))
def test_any_text_is_an_answer_or_told(text):
    with suppress(DataError):
        assert all(term(one) for one in said(text, PREFIXES))


@pytest.mark.parametrize("text", ["a", "<a b>", '"a', '"a"^^b', "", "_:", '"a"@'])
def test_what_is_no_n_triples_term_is_refused(text):
    with pytest.raises(DataError, match="no RDF term"):
        term(text)


@pytest.mark.parametrize("record", [None, {}, {"type": "uri"}, {"type": "x", "value": "y"}, "a"])
def test_what_is_no_term_in_json_is_refused(record):
    with pytest.raises(DataError):
        term_of(record)


@pytest.mark.parametrize("answer", [None, "", "text", "{}", "[1]", '"a"'])
def test_what_is_no_canonical_answer_is_none(answer):
    assert listed(answer) is None
