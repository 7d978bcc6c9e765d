"""The SPARQL tool: bounded rows and seconds, errors as data, nothing leaves the machine."""

import importlib.util
import os
import signal
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.errors import MissingDependencyError, ToolError
from agentrl.tools.sparql import MAX_TERM, SparqlStore, calls_out

PREFIXES = {"": "http://x/"}
PEOPLE = "\n".join(f":p{i} :knows :p{i + 1} ; :name 'é {i}' ." for i in range(30))
TURTLE = "@prefix : <http://x/> .\n" + PEOPLE
SLOW = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?o ?q }"
CALL = "<http://127.0.0.1:9/> { ?a ?b ?c }"


@pytest.fixture(scope="module")
def store():
    store = SparqlStore(TURTLE, PREFIXES, query_seconds=0.3, max_rows=5, error_chars=80)
    yield store
    store.close()


def test_rows_come_in_n_triples_notation(store):
    result = store.query("SELECT ?x ?n ?no { :p3 :knows ?x ; :name ?n OPTIONAL { ?x :no ?no } }")
    assert result.variables == ("x", "n", "no")
    assert result.rows == (("<http://x/p4>", '"é 3"', ""),)
    assert (result.more, result.error, result.boolean) == (False, "", None)


@pytest.mark.parametrize(("limit", "rows", "more"), [(4, 4, False), (5, 5, False), (6, 5, True)])
def test_rows_are_bounded(store, limit, rows, more):
    result = store.query(f"SELECT ?x {{ ?x :knows ?y }} LIMIT {limit}")
    assert (len(result.rows), result.more) == (rows, more)


def test_one_term_is_bounded(store):
    result = store.query("SELECT (GROUP_CONCAT(STR(?s)) AS ?all) { ?s ?p ?o . ?a ?b ?c }")
    assert len(result.rows[0][0]) == MAX_TERM + len(" ...")


def test_no_row_is_no_error(store):
    result = store.query("SELECT ?x { :nobody :knows ?x }")
    assert (result.rows, result.error) == ((), "")


@pytest.mark.parametrize(("who", "truth"), [("p1", True), ("p2", False)])
def test_ask_has_a_truth_value(store, who, truth):
    assert store.query(f"ASK {{ :p0 :knows :{who} }}").boolean is truth


def test_constructed_triples_are_rows(store):
    result = store.query("CONSTRUCT { ?y :known ?x } WHERE { ?x :knows ?y }")
    assert result.variables == ("subject", "predicate", "object")
    assert (len(result.rows), result.more) == (5, True)
    assert {row[1] for row in result.rows} == {"<http://x/known>"}


def test_describe_is_bounded_too(store):
    assert len(store.query("DESCRIBE ?x { ?x :knows ?y }").rows) == 5


@pytest.mark.parametrize(
    ("query", "position"), [("SELECT ?x WHERE { ?x ", "1:22"), ("SELECT ?x\nWHERE ?x", "2:7")]
)
def test_a_syntax_error_says_where(store, query, position):
    result = store.query(query)
    assert f"error at {position}" in result.error
    assert len(result.error) <= 80 + len(" ...")
    assert result.rows == ()


@pytest.mark.parametrize("query", ["", "\x00", "\ud800", "SELECT ?x { ?x no:thing ?y }", "{" * 500])
def test_no_query_crashes_the_engine(store, query):
    assert store.query(query).error
    assert store.query("ASK {}").boolean is True


@settings(max_examples=25)
@given(st.text() | st.text(alphabet='SELECTWHERE?x{}.:<>"# \n', max_size=40))
def test_any_text_is_answered(store, text):
    result = store.query(text)
    assert isinstance(result.error, str)
    assert len(result.rows) <= 5


def test_a_slow_query_is_stopped_and_the_next_one_runs(store):
    started = time.perf_counter()
    result = store.query(SLOW)
    assert result.error == "the query took longer than 0.3 s and was stopped"
    assert time.perf_counter() - started < 5
    assert store.query("ASK { :p0 :knows :p1 }").boolean is True


def test_a_killed_engine_is_started_again(store):
    store.query("ASK {}")
    os.kill(store._engine.pid, signal.SIGKILL)
    store._engine.wait()
    assert store.query("ASK {}").boolean is True


def test_an_engine_killed_in_the_middle_is_told_and_started_again():
    store = SparqlStore(TURTLE, PREFIXES, query_seconds=30.0)
    store.query("ASK {}")
    threading.Timer(0.2, store._engine.kill).start()
    assert "made the engine stop" in store.query(SLOW).error
    assert store.query("ASK {}").boolean is True
    store.close()


def test_threads_take_turns(store):
    answers = [None] * 8

    def ask(number):
        answers[number] = store.query(f"SELECT ?x {{ :p{number} :knows ?x }}").rows

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [((f"<http://x/p{number + 1}>",),) for number in range(8)]


@pytest.mark.parametrize("update", ["INSERT DATA { :a :b 1 }", "DROP ALL", "LOAD <http://x/>"])
def test_updates_are_refused(store, update):
    assert "error at 1:" in store.query(update).error
    assert store.query("ASK { :a :b 1 }").boolean is False


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT * {{ ?s ?p ?o SERVICE {CALL} }}",
        f"SELECT * {{ ?s ?p ?o service silent {CALL} }}",
        f"SELECT * {{ ?s ?p trueSERVICE {CALL} }}",
        f"SELECT * {{ ?s ?p 1SERVICE {CALL} }}",
        f"SELECT * {{ ?s ?p :a.b.SERVICE {CALL} }}",
        f"SELECT * {{ ?s ?p ?o # it's\n SERVICE {CALL} # '\n }}",
        f"SELECT * {{ ?s ?p '#' SERVICE {CALL} }}",
        f"SELECT * {{ ?s ?p <http://x/\\u0041#> SERVICE {CALL} }}",
        f"SELECT * {{ ?s ?p <http://x/\xa0#> SERVICE {CALL} }}",
        f'SELECT * {{ ?s ?p """a\\"""" SERVICE {CALL} }}',
        f"SELECT * {{ ?s ?p '''a''' SERVICE {CALL} }}",
        "SELECT * { ?s ?p ?o SERVICE ?s { ?a ?b ?c } }",
        "SELECT * { ?s ?p ?o SERVICE :s { ?a ?b ?c } }",
    ],
)
def test_calls_to_other_servers_are_refused(store, query):
    assert store.query(query).error.startswith("SERVICE is refused")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ?service { ?service :knows ?x }",
        "SELECT * { ?x :service ?y . ?x :customer-service $service }",
        "SELECT * { ?x :name 'SERVICE <http://x/>' }",
        "ASK {} # no SERVICE here",
        "ASK { ?x <http://x/service> ?y }",
    ],
)
def test_the_word_alone_is_no_call(store, query):
    assert not calls_out(query)
    assert store.query(query).error == ""


def test_a_graph_that_does_not_parse_is_a_tool_error():
    with pytest.raises(ToolError, match=r"did not load its graph: .* line 1"):
        SparqlStore("this is no Turtle").query("ASK {}")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"agentrl\[sparql\]\""):
        SparqlStore(TURTLE)
