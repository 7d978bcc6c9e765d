"""What never leaves: updates, calls to other hosts, functions of the server. Judged against the
engine itself where it can tell."""

import re

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.tools.sparql import INSIDE, WIKIDATA, Guard
from agentrl.tools.sparql.guard import MAX_CHARS, form, undeclared

NEAR_HOST = "http://127.0.0.1:9/"
EVIL = f"<{NEAR_HOST}evil>"
FAR = Guard(WIKIDATA, services=INSIDE, graphs=("http://x/allowed",))
NEAR = Guard(far=False)


def refusal(query, guard=FAR):
    return guard.refusal(guard.plain(query))


@pytest.mark.parametrize(
    "call",
    [
        "SERVICE wikibase:label { bd:serviceParam wikibase:language 'en' }",
        "service silent wikibase:around { }",
        "SERVICE # which?\n <http://wikiba.se/ontology#box> { }",
        "SERVICE gas:service { }",
        "SERVICE <http://www.bigdata.com/rdf#sample> { }",
    ],
)
def test_services_inside_the_endpoint_pass(call):
    assert refusal(f"SELECT * {{ ?s wdt:P31 ?o {call} }}") == ""


@pytest.mark.parametrize(
    "call",
    [
        f"SERVICE {EVIL} {{ }}",
        "SERVICE ?where { }",
        "SERVICE <http://wikiba.se/ontology#labels> { }",
        "SERVICE <http://wikiba.se/ontology#label/> { }",
        f"SERVICE wikibase:label {{ SERVICE {EVIL} {{ }} }}",
        "SERVICE wikibase:label {} SERVICE :label {}",
        "SERVICE:label { }",
        "SERVICEwikibase:label { }",
        "SERVICE wikibase:",
        "SERVICE",
        f"\u017ferv\u0131ce {EVIL} {{ }}",  # rdflib folds these letters to SERVICE
        f"ＳＥＲＶＩＣＥ {EVIL} {{ }}",  # noqa: RUF001
        f":it\\'s SERVICE {EVIL} {{ }} # '",
        f"<a b#c> SERVICE {EVIL} {{ }}",
        f'<a"> SERVICE {EVIL} {{ }} # "',
        f"?a < 1 SERVICE {EVIL} {{ }} FILTER(2 > ?b)",
        f"# x\r SERVICE {EVIL} {{ }}",
    ],
)
def test_services_elsewhere_are_refused(call):
    assert refusal(f"SELECT * {{ ?s ?p ?o . {call}\n }}").startswith("SERVICE is refused")


@pytest.mark.parametrize(
    "prologue",
    [
        f"PREFIX wikibase: {EVIL}",
        f"prefix wikibase:{EVIL}",
        f"PREFIXwikibase: {EVIL}",
        f"PREFIX wikibase: <http://wikiba.se/ontology#> PREFIX wikibase: {EVIL}",
        f"PREFIX wikibase: # '\n {EVIL} # '\n",
        "BASE <http://127.0.0.1/> PREFIX wikibase: <evil#>",
    ],
)
def test_a_prefix_that_was_declared_anew_is_no_pass(prologue):
    query = f"{prologue} SELECT * {{ SERVICE wikibase:label {{ }} }}"
    assert refusal(query).startswith("SERVICE is refused, except label, around")


def test_a_prefix_of_ones_own_may_name_an_allowed_service():
    query = "PREFIX w: <http://wikiba.se/ontology#> SELECT * { SERVICE w:label { } }"
    assert refusal(query) == ""
    assert Guard().refusal(query) == "SERVICE is refused: this graph answers by itself"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("INSERT DATA { :a :b :c }", "INSERT is refused: the graph is read-only"),
        ("WITH :g DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }", "DELETE is refused"),
        ("PREFIX : <http://x/> LOAD <file:///etc/passwd>", "LOAD is refused"),
        ("CLEAR ALL", "CLEAR is refused"),
        ("DROP GRAPH :g", "DROP is refused"),
        ("ASK { } ; CREATE GRAPH :g", "CREATE is refused"),
        ("MOVE :a TO :b", "MOVE is refused"),
        ("COPY:a TO :b", "COPY is refused"),
        ("\u0131nsert DATA { }", "INSERT is refused"),
        (f"SELECT * FROM {EVIL} {{ ?s ?p ?o }}", "FROM is refused, except allowed"),
        ("SELECT * FROM <file:///etc/passwd> { ?s ?p ?o }", "FROM is refused"),
        (f"SELECT * FROM NAMED {EVIL} {{ ?s ?p ?o }}", "FROM is refused"),
        ("DESCRIBE ?x FROM:g { ?x ?p ?o }", "FROM is refused"),
        (f"define get:soft 'soft' SELECT * {{ GRAPH {EVIL} {{ }} }}", "DEFINE is refused"),
        ("SELECT (bif:http_get('http://x/') AS ?x) {}", "bif:http_get is refused: it runs on"),
        ("SELECT (<bif:http_get>('http://x/') AS ?x) {}", "<bif:http_get> is refused"),
        ("PREFIX q: <bif:> SELECT (q:http_get(1) AS ?x) {}", "q: is refused"),
        ("PREFIX q: <bi> SELECT (q:f:http_get(1) AS ?x) {}", "q:f:http_get is refused"),
        ("SELECT (sql:x() AS ?x) {}", "sql:x is refused"),
        ("SELECT (<java:java.lang.System>(1) AS ?x) {}", "<java:java.lang.System> is refused"),
        ("SELECT * { S\\u0045RVICE <http://x/> { } }", "the query is refused: write the character"),
        ("SELECT * { \\U00000053ERVICE <http://x/> { } }", "the query is refused: write the char"),
        ("SELECT * { :\\u00e9 ?p ?o }", "the query is refused: a name is written out"),
        ("SELECT * { ?s ?p ?o # \u2028 }", "the query is refused: it holds control characters"),
        ("ASK { ?s ?p '\ud800' }", "the query is refused: it holds control characters"),
        (" \n", "the query is empty"),
        ("a" * (MAX_CHARS + 1), "the query is refused: it is longer than 20000 characters"),
    ],
)
def test_what_only_servers_can_do_is_refused(query, told):
    assert refusal(query).startswith(told)


WORDS = "service insert delete load clear drop create copy move add from define bif sql".split()  # noqa: SIM905
HIDDEN = (
    "'{}'",
    '"a {}"',
    "'''x\n{} <y>'''",
    "<http://x/{}#{}>",
    "?{}",
    "$x_{}",
    ":{}",
    ":customer-{}",
    "wd:{}",
    "'a' # {} <http://x/>\n",
    "'it\\'s {}'",
)


@given(st.sampled_from(HIDDEN), st.sampled_from(WORDS), st.sampled_from([str.lower, str.upper]))
@settings(max_examples=100)
def test_words_that_are_no_code_pass(form, word, case):
    query = f"SELECT ?x {{ ?x ?p {form.replace('{}', case(word))} . FILTER(?x < 3 && 1 > 0) }}"
    assert refusal(query) == refusal(query, NEAR) == ""


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM <http://x/allowed> FROM NAMED <http://x/allowed> { ?s ?p ?o }",
        "SELECT ?l { ?x rdfs:label ?l . ?l bif:contains 'berlin' }",
        "SELECT (REPLACE(?a, 'b', '\\u00e9') AS ?c) { ?s wdt:P31/wdt:P279* ?a }",
        "SELECT %x WITH { SELECT ?x { ?x ?y ?z } } AS %x { INCLUDE %x }",
        "SELECT ?undefined { ?x ex:from_load ?undefined }",
    ],
)
def test_usual_queries_pass(query):
    assert refusal(query) == ""


CALL = f" SERVICE {EVIL} {{ }} "
PIECES = st.lists(
    st.sampled_from(
        [
            *("SELECT * {", "ASK {", "}", "{", "}", "?s ?p ?o", " . ", " ", "\n", "\r", "# ", "'"),
            *('"', "'''", '"""', "\\", "\\'", "<", ">", "<http://x/", "#", ":a", ":it", "?x", "1"),
            *(
                "true",
                "FILTER(",
                ")",
                "||",
                "< 3",
                "UNION",
                "OPTIONAL",
                "@en",
                "a",
                "b",
                "-",
                "'#'",
            ),
            *(
                "PREFIX",
                " : ",
                EVIL,
                "SERVICE",
                "SERVICE ",
                "service silent",
                f"SERVICE {EVIL} {{}}",
            ),
        ]
    ),
    max_size=14,
).map("".join)
OBJECTS = ("'x'", "<http://x/#'>", "true", ":a.b", '"\'"@en', "'#'", "'a\\'b'", "1", "'''a'b'''")
WHOLE = st.lists(
    st.sampled_from([f"[] :p {term}" for term in OBJECTS])
    | st.sampled_from([" . ", ".", " ", "\n", "# it's\n", "#\r", "# '\n", '# """\n'])
    | st.sampled_from(["FILTER(1<3)", "FILTER(1<2&&3>2)", "BIND('\"' AS ?b)", "VALUES ?v { '\"' }"])
    | st.sampled_from(["{ } UNION ", "OPTIONAL { ", "{", "}", ":it\\'s :p 1 . ", "[] :p|:q [] ;"]),
    max_size=5,
).map("".join)
CALLS = st.sampled_from(
    [
        CALL,
        CALL.strip(),
        "SERVICE:x{}",
        "SERVICE#'\n:x{}",
        CALL.lower(),
        f"SERVICE SILENT\n{EVIL}{{}}",
    ]
)
NESTS = st.tuples(WHOLE, CALLS, WHOLE).map("SELECT * {{ {0[0]}{0[1]}{0[2]}\n}}".format)


@pytest.fixture(scope="module")
def called():
    """Run a query on the engine itself: whether it tried to call out."""
    store = pyoxigraph.Store()
    data = f"@prefix : <{NEAR_HOST}> . :it\\'s :p {', '.join(OBJECTS)} ."
    store.load(data.encode(), pyoxigraph.RdfFormat.TURTLE)

    def called(query):
        try:
            found = store.query(query, prefixes={"": NEAR_HOST})
            any(True for _ in found) if not isinstance(found, pyoxigraph.QueryBoolean) else None
        except OSError:  # it tried
            return True
        except (SyntaxError, ValueError, RuntimeError):
            return False
        return False

    assert called(f"ASK {{ {CALL} }}")
    return called


@settings(max_examples=200)  # 20,000 were run once
@given(PIECES | NESTS)
def test_no_query_that_the_engine_calls_out_for_passes(called, query):
    plain = NEAR.plain(query)
    if called(plain):
        assert NEAR.refusal(plain).startswith("SERVICE is refused")
        assert FAR.refusal(plain)


UPDATES = (
    "INSERT DATA { :a :b :c }",
    "DELETE DATA { :a :b :c }",
    "DELETE WHERE { ?s ?p ?o }",
    "INSERT { ?s ?p 1 } WHERE { ?s ?p ?o }",
    "LOAD SILENT <http://127.0.0.1:9/>",
    "CLEAR SILENT ALL",
    "DROP SILENT DEFAULT",
    "CREATE SILENT GRAPH :g",
    "COPY SILENT :a TO :b",
    "MOVE SILENT DEFAULT TO :b",
    "ADD SILENT :a TO :b",
)
BEFORE = st.sampled_from(
    ["", " ", "# it's\n", "PREFIX : <http://x/> ", "#'''\n", "BASE <http://x/>"]
)
WRITTEN = st.tuples(BEFORE, BEFORE, st.sampled_from(UPDATES), st.sampled_from(["", ";", " # '''"]))


@settings(max_examples=100)
@given(WRITTEN.map("".join), st.sampled_from([str, str.lower, str.title]))
def test_no_update_passes(update, case):
    update = case(update)
    try:
        pyoxigraph.Store().update(update, prefixes={"": "http://x/"})
    except SyntaxError:
        return
    assert re.search("is refused", refusal(update))


@pytest.mark.parametrize("bomb", ["a.", "<", '"""\\"', "'", "\\", ": ", "PREFIX a:<"])
def test_hostile_texts_are_judged_in_linear_time(bomb):
    assert isinstance(refusal(bomb * 2000), str)


@given(st.text())
def test_any_text_is_judged(text):
    assert isinstance(refusal(text), str)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("PREFIX select: <http://x/> # SELECT\n ask {}", "ASK"),
        ("CONSTRUCT { ?s ?p ?o } { SELECT * { ?s ?p ?o } }", "CONSTRUCT"),
        ("describe :ask", "DESCRIBE"),
        ("nonsense", "SELECT"),
    ],
)
def test_the_form_of_a_query(query, wanted):
    assert form(query) == wanted


def test_prefixes_that_are_not_declared():
    query = "PREFIX a: <http://x/> SELECT * { a:x b:y :z . ?x 'c:d' <e:f> # g:h\n }"
    assert undeclared(query) == {"b", ""}


def test_engines_that_end_comments_elsewhere_get_the_same_lines():
    assert FAR.plain("ASK { # x\r\n # y\r }") == "ASK { # x\n # y\n }"
