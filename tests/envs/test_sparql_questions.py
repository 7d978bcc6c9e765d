"""The benchmarks' files: what is read, what is skipped, and what is wrong with a bad one."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.sparql.links import entities, linked
from agentrl.envs.sparql.questions import lcquad, qald
from agentrl.errors import DataError

HERE = Path(__file__).parent / "questions"
QALD, LCQUAD = str(HERE / "qald.json"), str(HERE / "lcquad.json")
XSD = "http://www.w3.org/2001/XMLSchema#"
PREFIXES = {"wd": "W:", "wdt": "T:", "p": "P:", "ps": "PS:", "rdfs": "L:", "xsd": XSD}


def asked(**record):
    """A file with one good record, changed."""
    good = {
        "id": 1,
        "question": [{"language": "en", "string": "Where?"}],
        "query": {"sparql": "ASK {}"},
        "answers": [{"head": {}, "boolean": True}],
    }
    return {"questions": [good | record]}


def written(folder, content):
    path = folder / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def answered(term):
    return [{"head": {"vars": ["x"]}, "results": {"bindings": [{"x": term}]}}]


def test_every_question_of_a_qald_file_is_read():
    reading = qald(QALD)
    found = {question.id: question for question in reading.questions}
    assert (len(found), reading.skipped) == (23, 0)
    assert found["t1"].answers == ('"Große, die"@de',)
    assert found["n1"].answers == (f'"1094"^^<{XSD}integer>',)
    assert found[8].answers == (f'"false"^^<{XSD}boolean>',)
    assert len(found["v1"].answers) == 4
    assert (found["empty"].answers, found["none"].answers, found["none"].query) == ((), None, "")


def test_a_question_falls_back_to_english_then_to_what_there_is():
    found = {question.id: question for question in qald(QALD).questions}
    assert found["r1"].text("de") == ("Wohin fließt die Oder?", "de")
    assert found["r1"].text("lt") == ("Where does the Oder end?", "en")
    assert found["none"].text("lt") == ("Was ist ein Fluss?", "de")


def test_questions_that_nobody_wrote_are_skipped_and_counted():
    reading = lcquad(LCQUAD)
    assert ([question.id for question in reading.questions], reading.skipped) == ([1, 2, 6, 7], 3)
    assert all(question.answers is None for question in reading.questions)
    assert lcquad(LCQUAD, wording="NNQT_question").skipped == 0


def test_each_graph_has_its_own_gold_query():
    assert "wd:Oder" in lcquad(LCQUAD).questions[0].query
    assert "<http://example.org/river/Oder>" in lcquad(LCQUAD, "dbpedia").questions[0].query


def test_answers_that_somebody_added_to_lcquad_are_taken(tmp_path):
    added = ["http://e.x/a", "b", 3, 2.5, True, {"type": "uri", "value": "http://e.x/c"}]
    path = written(tmp_path, [{"uid": 1, "question": "What?", "answer": added}])
    assert lcquad(path).questions[0].answers == (
        "<http://e.x/a>",
        '"b"',
        f'"3"^^<{XSD}integer>',
        f'"2.5"^^<{XSD}double>',
        f'"true"^^<{XSD}boolean>',
        "<http://e.x/c>",
    )


def test_a_file_is_read_again_once_it_changes(tmp_path):
    assert qald(written(tmp_path, asked(id=1))).questions[0].id == 1
    assert qald(written(tmp_path, asked(id="two"))).questions[0].id == "two"


@pytest.mark.parametrize(
    "record",
    [
        {"answers": None},
        {"answers": []},
        {"query": None},
        {"query": {}},
        {"query": {"sparql": None}},
        {"answers": [{"head": {}, "boolean": "False"}]},
        {"answers": [{"head": {}, "results": {}}]},
        {"answers": [{"head": {}, "results": {"bindings": [{}]}}]},
        {"answers": answered({"type": "typed-literal", "value": "1", "datatype": None})},
        {"question": [{"language": "en", "string": "Where?", "keywords": "x"}], "more": 1},
    ],
)
def test_what_real_files_leave_out_is_no_error(tmp_path, record):
    assert len(qald(written(tmp_path, asked(**record))).questions) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        ("\x00", "is no JSON"),
        ([], "is no QALD file"),
        ({"questions": {}}, "is no QALD file"),
        ({"questions": []}, "holds no question"),
        ({"questions": ["a"]}, "record 0 is a text: it must be an object"),
        (asked(id=None), "record 0: id is missing: it must be a text or a number"),
        (asked(id=True), "record 0: id is true or false"),
        (asked(question="Where?"), "record 0: question is a text: it must be a list"),
        (asked(question=["Where?"]), "record 0: question is a text: it must be an object"),
        (asked(question=[{"string": "Where?"}]), "record 0: language is missing"),
        (asked(question=[{"language": "en", "string": " "}]), "holds no question"),
        (asked(query="ASK {}"), "record 0: query is a text: it must be an object"),
        (asked(query={"sparql": 1}), "record 0: sparql is a number: it must be a text"),
        (asked(answers={}), "record 0: answers is an object: it must be a list"),
        (asked(answers=[1]), "record 0: answers is a number"),
        (asked(answers=[{"boolean": "maybe"}]), "record 0: boolean is 'maybe'"),
        (asked(answers=[{"results": {"bindings": {}}}]), "record 0: bindings is an object"),
        (asked(answers=answered({"type": "iri", "value": "x"})), "bindings hold type='iri'"),
        (asked(answers=answered({"type": "uri"})), "bindings hold .* is no term"),
    ],
)
def test_a_bad_qald_file_is_told_in_one_line(tmp_path, content, told):
    with pytest.raises(DataError, match=told) as caught:
        qald(written(tmp_path, content))
    assert "file.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"questions": []}, "must be a list of objects"),
        ([None], "record 0 is missing"),
        ([{"question": "What?"}], "record 0: uid is missing"),
        ([{"uid": 1, "question": "What?", "sparql_wikidata": []}], "sparql_wikidata is a list"),
        ([{"uid": 1, "question": "What?", "answer": "a"}], "answer is a text"),
        ([{"uid": 1, "question": "What?", "answer": [[]]}], r"answer hold \[\] is no term"),
        ([{"uid": 1, "question": None}, {"uid": 2}], "none of its 2 records has a text"),
    ],
)
def test_a_bad_lcquad_file_is_told_in_one_line(tmp_path, content, told):
    with pytest.raises(DataError, match=told):
        lcquad(written(tmp_path, content))


def test_a_missing_file_is_told():
    with pytest.raises(DataError, match=r"file='nowhere\.json' cannot be read"):
        qald("nowhere.json")


# ---- linking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT ?x { wd:Q1 wdt:P1 ?x . ?x wdt:P2/wdt:P3* wd:Q2 ; a wd:C , wd:D }", "Q1 Q2 C D"),
        (
            "ASK { wd:Q1 wdt:P1 wd:Q2 FILTER(?x = wd:Q3 && xsd:int(?y) > 5.4) ?z ^p:P3 wd:Q4 }",
            "Q1 Q2 Q3 Q4",
        ),
        ("SELECT ?x { VALUES ?x { wd:Q1 wd:Q2 } ?x (wdt:P1|^wdt:P2)+ wd:Q3 }", "Q1 Q2 Q3"),
        (
            "ASK { ?x wdt:P1 ?y FILTER(?y > 1) ?x wdt:P2 wd:Q1 BIND(1 AS ?z) wd:Q2 p:P3 ?w }",
            "Q1 Q2",
        ),
        ("SELECT ?x { VALUES (?x ?y) { (wd:Q1 1) (wd:Q2 2) } ?x wdt:P1 ?y }", "Q1 Q2"),
        ("SELECT ?x { ?x p:P1 [ ps:P1 wd:Q1 ; ps:P2 ?y ] , wd:Q2 . wd:Q3 wdt:P1 ?y }", "Q1 Q2 Q3"),
        ("ASK { ?x wdt:P1 ?y FILTER(NOT EXISTS { ?x wdt:P2 wd:Q1 } && ?y != wd:Q2) }", "Q1 Q2"),
        ("SELECT ?x FROM <g:1> { GRAPH <g:2> { ?x wdt:P1 'wd:Q1 .'@en, \"1\"^^wd:dt . } }", ""),
        ("# wd:Q0\nPREFIX wd: <O:> SELECT (COUNT(?x) AS ?c) { ?x wdt:P1 wd:Q1 }", "O:Q1"),
        ("select ?x where { ?x wdt:P1 wd:Q1 . } group by ?x order by desc(?x) limit 1", "Q1"),
        ("SELECT ?x { ?x wdt:P1 unknown:Q1 . ?x wdt:P1 wd:Q1, wd:Q1 }", "Q1"),
        (
            "SELECT ?x { ?x !(wdt:P1|rdf:type) wd:Q1 . BIND(IF(?y, wd:Q2, wd:Q3) AS ?z) }",
            "Q1 Q2 Q3",
        ),
    ],
)
def test_the_entities_of_a_query(query, names):
    wanted = [name if ":" in name else f"W:{name}" for name in names.split()]
    assert entities(query, PREFIXES) == wanted


@given(st.text("abQ:<>{}()[].;,|/^*+?!\"'# \n1", max_size=40))
def test_any_text_can_be_looked_through_for_entities(query):
    assert isinstance(entities(f"SELECT {query} VALUES", PREFIXES), list)


@pytest.mark.parametrize("opening", ["(", "{(", "VALUES {", "[", "{ FILTER("])
def test_a_query_may_be_nested_at_will(opening):
    assert entities(f"{opening * 300} wd:Q1 {opening * 300}", PREFIXES) in ([], ["W:Q1"])


def test_labels_name_one_entity_each():
    iris = ["http://e.x/Salt_Lake_City", "http://e.x/Q1", "http://e.x/Q2", "http://e.x/%C3%A9#"]
    assert linked(iris, {"http://e.x/Q1": "Paris", "http://e.x/Q2": " Paris\n"}) == {
        "Salt Lake City": iris[0],
        "Paris": iris[1],
        "Paris (Q2)": iris[2],
        "é": iris[3],
    }
