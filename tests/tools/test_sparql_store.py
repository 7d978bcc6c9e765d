"""The SPARQL tool: bounded rows and seconds, errors as data, nothing leaves the machine."""

import bz2
import gzip
import importlib.util
import lzma
import os
import re
import resource
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.errors import ConfigError, DataError, MissingDependencyError, ToolError
from agentrl.tools.sparql import MAX_TERM, SparqlClient, SparqlStore, calls_out, connect

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


def test_a_store_without_engines_is_refused():  # it would wait for one forever
    with pytest.raises(ConfigError, match="engines is 0: give a whole number from 1"):
        SparqlStore("", engines=0)


def test_a_slow_query_is_stopped_and_the_next_one_runs(store):
    started = time.perf_counter()
    result = store.query(SLOW)
    assert result.error == "the query took longer than 0.3 s and was stopped"
    assert time.perf_counter() - started < 5
    assert store.query("ASK { :p0 :knows :p1 }").boolean is True


def test_a_killed_engine_is_started_again(store):
    store.query("ASK {}")
    store._template.process.kill()
    store._template.process.wait()
    os.kill(store._idle[0].pid, signal.SIGKILL)
    while store._idle[0].waits():
        time.sleep(0.01)
    assert store.query("ASK {}").boolean is True


def test_an_engine_killed_in_the_middle_is_told_and_started_again():
    store = SparqlStore(TURTLE, PREFIXES, query_seconds=30.0)
    store.query("ASK {}")
    worker = store._idle[0]
    threading.Timer(0.2, lambda: os.kill(worker.pid, signal.SIGKILL)).start()
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


HUGE = "?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?n ?o"
A = f"'{'a' * 1000}'"
BOMBS = {
    "ten million rows": f"SELECT * {{ {HUGE} }}",
    "a cross product": f"SELECT (COUNT(*) AS ?x) {{ {HUGE} }}",
    "a sorted cross product": f"SELECT * {{ {HUGE} }} ORDER BY ?o ?a",
    "one huge term": f"SELECT (GROUP_CONCAT(STR(?a)) AS ?x) {{ {HUGE} }}",
    "distinct rows": f"SELECT DISTINCT ?a ?d ?g ?j ?m (RAND() AS ?r) {{ {HUGE} }} ORDER BY ?r",
    "a regular expression": f"SELECT (REGEX('{'a' * 2000}!', '^(a+)+(a+)+(a+)+$') AS ?x) {{}}",
    "a large pattern": "SELECT (REGEX('a', '((a{1000}){1000}){1000}') AS ?x) {}",
    "growing text": f"SELECT (REPLACE(REPLACE(REPLACE({A},'a',{A}),'a',{A}),'a',{A}) AS ?x) {{}}",
    "deep nests": "SELECT * {" + "{" * 5000 + "}" * 5000 + "}",
    "deep expressions": f"SELECT ({'(' * 9000}1{')' * 9000} AS ?x) {{}}",
    "a long path": "SELECT (COUNT(*) AS ?x) { ?a (:knows|^:knows)* ?b . ?c (!:no)* ?d . ?e ?p ?f }",
}


@pytest.fixture(scope="module")
def small():
    store = SparqlStore(TURTLE, PREFIXES, query_seconds=0.5, memory_mb=400, max_rows=5)
    yield store
    store.close()


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_query_takes_more_than_it_may(small, bomb):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = small.query(BOMBS[bomb])
    assert len(result.rows) <= 5
    assert re.search("took longer than 0.5 s|more than 400 MB|more memory|^$", result.error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert small.query("ASK {}").boolean is True


@pytest.mark.parametrize("query", ["SERVICE <{}> {{ ?s ?p ?o }}", "?s ?p ?o SERVICE <{}> {{ }}"])
def test_a_worker_has_no_socket_to_call_with(small, query, monkeypatch):
    lax = SimpleNamespace(plain=str, refusal=lambda text: "")
    monkeypatch.setattr(small, "_guard", lax)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.1)
        call = query.format(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert "Too many open files" in small.query(f"SELECT * {{ {call} }}").error
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_slow_query_holds_nobody_up(store):
    slow = threading.Thread(target=store.query, args=(SLOW,))
    slow.start()
    for _ in range(20):
        assert store.query("ASK { :p0 :knows :p1 }").boolean is True
    assert slow.is_alive()
    slow.join()


@pytest.mark.parametrize(
    ("limit", "counted", "total", "size"),
    [(5, 30, 30, "30"), (40, 30, 30, "30"), (0, 30, 30, "30")],
)
def test_rows_beyond_the_limit_are_counted(store, limit, counted, total, size):
    result = store.query("SELECT ?x { ?x :knows ?y }", max_rows=limit)
    assert (result.counted, result.total, result.size) == (counted, total, size)
    assert (len(result.rows), result.more) == (min(limit, 30), limit < 30)


def test_counting_has_an_end():
    store = SparqlStore(TURTLE, PREFIXES, count_rows=10, max_rows=5)
    result = store.query("SELECT ?x { ?x :knows ?y }")
    assert (result.total, result.size, len(result.rows)) == (None, "more than 10", 5)
    store.close()


def test_blank_nodes_have_the_same_names_every_time():
    text = "[] <http://x/p> [] . _:x <http://x/p> _:x ."
    for _ in range(2):
        store = SparqlStore(text)
        query = "SELECT ?s ?o { ?s ?p ?o } ORDER BY (?s = ?o)"
        assert store.query(query).rows == (("_:b0", "_:b1"), ("_:b2", "_:b2"))
        store.close()


def test_a_process_that_was_forked_has_workers_of_its_own(store):
    store.query("ASK {}")
    child = os.fork()
    if child == 0:
        fine = store.query("ASK { :p0 :knows :p1 }").boolean
        store.close()
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.query("ASK { :p0 :knows :p1 }").boolean is True


# ---- files --------------------------------------------------------------------------------------

TRIPLE = "<http://x/s> <http://x/p> <http://x/{}> ."
RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:x="http://x/">'
    '<rdf:Description rdf:about="http://x/s"><x:p rdf:resource="http://x/rdf"/></rdf:Description>'
    "</rdf:RDF>"
)
FILES = {
    "a.ttl": "@prefix : <http://x/> . :s :p :ttl .",
    "b.nt": TRIPLE.format("nt"),
    "c.nq": TRIPLE.format("nq").replace(" .", " <http://x/g> ."),
    "d.trig": "<http://x/g> { " + TRIPLE.format("trig") + " }",
    "e.rdf": RDF,
    "f.owl": RDF.replace("x/rdf", "x/owl"),
    "g.jsonld": '{"@id": "http://x/s", "http://x/p": {"@id": "http://x/jsonld"}}',
    "h.ttl.gz": TRIPLE.format("gz"),
    "i.nt.bz2": TRIPLE.format("bz2"),
    "j.nt.xz": TRIPLE.format("xz"),
}
ZIPPED = ("gz", "bz2", "xz")
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.fixture
def files(tmp_path):
    for name, text in FILES.items():
        pack = PACKERS.get(Path(name).suffix, bytes)
        (tmp_path / name).write_bytes(pack(text.encode()))
    return [str(tmp_path / name) for name in FILES]


@pytest.mark.parametrize("union", [False, True])
def test_files_of_every_format(files, union):
    store = SparqlStore(files=files, union=union)
    found = {row[0] for row in store.query("SELECT ?o { <http://x/s> ?p ?o }").rows}
    store.close()
    named = {"nq", "trig"} if union else set()
    assert found == {
        f"<http://x/{n}>" for n in {"ttl", "nt", "rdf", "owl", "jsonld", *ZIPPED} | named
    }


@pytest.mark.parametrize("lenient", [False, True])
def test_public_dumps_hold_invalid_iris(tmp_path, lenient):
    (tmp_path / "dump.nt").write_text("<http://x/a> <http://x/b> <http://x/a b> .\n")
    store = SparqlStore(files=[str(tmp_path / "dump.nt")], lenient=lenient)
    if lenient:
        assert store.query("SELECT ?o { ?s ?p ?o }").rows == (("<http://x/a b>",),)
    else:
        with pytest.raises(DataError, match=r"dump\.nt:1: "):
            store.query("ASK {}")
    store.close()


def test_connect_shares_the_store_of_equal_arguments(files):
    store = connect(files, prefixes={"": "http://x/"})
    assert connect(files, prefixes={"": "http://x/"}) is store
    assert connect(files[0], prefixes={"": "http://x/"}) is not store
    assert len(store.query("SELECT ?o { :s :p ?o }").rows) == 8
    assert isinstance(store, SparqlClient)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("bad.nt", b"<a:> <b:> <c:> .\n<a:> <b:>\n", r"bad\.nt:3: Parser error at line 3"),
        ("bad.ttl.gz", gzip.compress(b"<a:> <b:> <c:> .\n\nno"), r"bad\.ttl\.gz:3: Parser error"),
        ("bad.jsonld", b'{\n"a"]', r"bad\.jsonld:2: "),
        ("bad.rdf", b"<rdf>", r"bad\.rdf:1: "),
        ("bad.nt.gz", b"no gzip", r"bad\.nt\.gz: Not a gzipped file"),
        (
            "bad.nt.gz",
            gzip.compress(b"<a:> <b:> <c:> .")[:-9],
            r"bad\.nt\.gz: Compressed file ended",
        ),
        ("bad.nt.xz", b"no xz", r"bad\.nt\.xz: Input format not supported"),
    ],
    ids=range(7),  # names, or they hold the time of compression
)
def test_a_file_that_does_not_parse_is_named_with_its_line(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told):
        SparqlStore(files=[str(tmp_path / name)]).query("ASK {}")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("none.ttl", "there is no such file"),
        ("x.csv", "'.csv' is no RDF format"),
        ("x.gz", "no RDF"),
    ],
)
def test_a_file_that_is_none_is_told_at_once(path, told):
    with pytest.raises(DataError, match=told):
        connect(path)


def test_a_graph_larger_than_its_memory_is_told(tmp_path):
    lines = (f"<http://x/{i}> <http://x/p> '{i}' .\n" for i in range(100_000))
    (tmp_path / "large.nt").write_text("".join(lines))
    with pytest.raises((DataError, ToolError), match="memory"):
        SparqlStore(files=[str(tmp_path / "large.nt")], memory_mb=130).query("ASK {}")


def test_a_setting_that_is_none_is_a_config_error(files):
    with pytest.raises(ConfigError, match=r"max_row.*did you mean 'max_rows'"):
        connect(files, max_row=3)


def test_a_graph_that_does_not_parse_is_a_tool_error():
    with pytest.raises(ToolError, match=r"did not load its graph: .* line 1"):
        SparqlStore("this is no Turtle").query("ASK {}")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"agentrl\[sparql\]\""):
        SparqlStore(TURTLE)
