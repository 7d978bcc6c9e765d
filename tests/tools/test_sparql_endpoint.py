"""The client of endpoints against real servers that do everything wrong, each fault scripted."""

import base64
import email.utils
import importlib.util
import json
import threading
import time

import pytest
from sparql_scripts import (
    HEAD,
    JSON,
    ROW,
    TRUE,
    drips,
    endless,
    hangs_up,
    packed,
    resets,
    says,
    scripted,
    table,
    usual,
    waits,
)

from agentrl.errors import ConfigError, MissingDependencyError, ToolError
from agentrl.tools.sparql import Endpoint, connect
from agentrl.tools.sparql.pace import Pace, retry_after

ASKED = "SELECT ?x { ?x ?y ?z }"
ANSWER = (('"é"',),)
PREFIXES = {"": "http://x/", "wd": "http://www.wikidata.org/entity/"}


def endpoint(server, **settings):
    """A client that is quick to retry."""
    quick = {"backoff_seconds": 0.01, "query_seconds": 5.0, "prefixes": PREFIXES}
    return Endpoint(server.url, **(quick | settings))


def ask(*script, query=ASKED, **settings):
    """The result of one query to a scripted server, and the server."""
    with scripted(*script) as server:
        return endpoint(server, **settings).query(query), server


# ---- what is asked ------------------------------------------------------------------------------


def test_a_short_query_is_got_and_a_long_one_posted():
    with scripted() as server:
        client = endpoint(server)
        assert client.query(ASKED).rows == client.query(ASKED + " " * 3000).rows == ANSWER
    short, long = server.asked
    assert (short.command, short.fields["query"]) == ("GET", [ASKED])
    assert (long.command, long.query) == ("POST", ASKED + " " * 3000)
    assert set(short.fields) == set(long.fields) == {"query"}


def test_who_asks_is_said(monkeypatch):
    monkeypatch.setenv("AGENTRL_CONTACT", "me@example.org")
    _, server = ask()
    agent = server.asked[0].headers["User-Agent"]
    assert agent.startswith("agentrl/")
    assert "(me@example.org) SPARQLWrapper/2" in agent
    assert server.asked[0].headers["Accept"].startswith(JSON)


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ("basic", "Authorization", "Basic " + base64.b64encode(b"ada:p:w").decode()),
        ("bearer", "Authorization", "Bearer s3cret"),
        ("header", "X-API-Key", "s3cret"),
    ],
)
def test_credentials_come_from_the_environment(monkeypatch, auth, name, value):
    for key, secret in (("USER", "ada"), ("PASSWORD", "p:w"), ("TOKEN", "s3cret")):
        monkeypatch.setenv(f"MY_{key}", secret)
    with scripted() as server:
        client = endpoint(server, auth=auth, auth_env="MY")
        assert client.query(ASKED).rows == ANSWER
        assert server.asked[0].headers[name] == value
    assert "s3cret" not in repr(client)


def test_a_digest_challenge_is_answered(monkeypatch):
    monkeypatch.setenv("AGENTRL_SPARQL_USER", "ada")
    monkeypatch.setenv("AGENTRL_SPARQL_PASSWORD", "pw")
    challenge = says(b"", 401, WWW_Authenticate='Digest realm="r", nonce="n", qop="auth"')
    result, server = ask(challenge, auth="digest")
    assert result.rows == ANSWER
    assert server.asked[1].headers["Authorization"].startswith('Digest username="ada"')


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "ftp://x/"}, "'ftp://x/' is no endpoint"),
        ({"url": "http://u:p@x/"}, "the URL of x holds a password"),
        ({"url": "https://query.wikidata.org/sparql"}, "asks every client for a contact"),
        ({"url": "https://x/", "contact": "a\nb"}, "contact is 'a.nb'"),
        ({"url": "https://x/", "auth": "bearer"}, "AGENTRL_SPARQL_TOKEN is not set"),
        ({"url": "http://x.org/", "auth": "basic"}, "in the clear: use https"),
        ({"url": "https://x/", "auth": "magic"}, "auth is 'magic'"),
        ({"url": "https://x/", "offline": True}, "offline answers come from a cache"),
        ({"url": "http://[::1"}, "is no endpoint: ValueError: Invalid IPv6"),
        ({"url": "https://x/", "retries": "abc"}, "retries is 'abc': give a whole number from 0"),
        ({"url": "https://x/", "per_second": -1}, "per_second is -1: give a number from 0"),
        ({"url": "https://x/", "query_seconds": 0}, "query_seconds is 0: give a number above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        Endpoint(**settings)


def test_prefixes_are_declared_where_a_query_needs_them():
    with scripted() as server:
        client = endpoint(server)
        client.query("SELECT ?x { wd:Q1 ?p ?x }")
        client.query("PREFIX wd: <http://y/> SELECT ?x { wd:Q1 ?p ?x . <wd:Q2> ?p ':Q3' }")
    own, declared = (asked.query for asked in server.asked)
    assert own == "PREFIX wd: <http://www.wikidata.org/entity/> SELECT ?x { wd:Q1 ?p ?x }"
    assert declared.startswith("PREFIX wd: <http://y/> SELECT")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b"error at 1:33: expected }", "error at 1:12: expected }"),
        (b"error at 2:3: expected }", "error at 2:3: expected }"),
        (b"x (at char 25), (line:1, col:26)", "x (at char 4), (line:1, col:5)"),
        (b"Virtuoso 37000 Error SP030: SPARQL compiler, line 1: syntax error at 'x'", None),
    ],
)
def test_positions_are_those_of_the_query_itself(message, shown):
    result, _ = ask(says(message, 400, "text/plain"), query="SELECT ?x { :a ?p }")
    assert result.error == (shown or message.decode())


# ---- what comes back ----------------------------------------------------------------------------


def test_every_kind_of_term():
    terms = [
        {"type": "uri", "value": "http://x/a"},
        {"type": "literal", "value": 'a"b\\\n\x07'},
        {"type": "literal", "value": "a", "xml:lang": "en-GB"},
        {"type": "typed-literal", "value": "5", "datatype": "http://x/int"},
        {"type": "literal", "value": "s", "datatype": "http://www.w3.org/2001/XMLSchema#string"},
        {"type": "bnode", "value": "nodeID://b17"},
    ]
    bindings = [{"x": term, "y": terms[-1]} for term in terms] + [{}]
    body = json.dumps({"head": {"vars": ["x", "y"]}, "results": {"bindings": bindings}})
    result, _ = ask(says(body.encode()))
    assert [row[0] for row in result.rows] == [
        *("<http://x/a>", '"a\\"b\\\\\\n\\u0007"', '"a"@en-gb', '"5"^^<http://x/int>', '"s"'),
        *("_:b0", ""),
    ]
    assert {row[1] for row in result.rows} == {"_:b0", ""}


@pytest.mark.parametrize(
    ("limit", "more", "total"), [(2, True, 3), (3, False, 3), (None, False, 3)]
)
def test_rows_are_bounded_and_counted(limit, more, total):
    with scripted(says(table(3))) as server:
        result = endpoint(server).query(ASKED, max_rows=limit)
    assert (len(result.rows), result.more, result.total) == (limit or 3, more, total)
    assert result.size == "3"


def test_rows_that_the_server_cut_have_no_total():
    result, _ = ask(says(table(3), X_SPARQL_MaxRows="3"))
    assert (result.more, result.total, result.size) == (True, None, "more than 3")


@pytest.mark.parametrize(
    ("body", "truth"),
    [
        (TRUE, True),
        (b'{"boolean": false}', False),
        (b'{"head":{"vars":["__ASK_RETVAL"]},"results":{"bindings":[]}}', False),
    ],
)
def test_ask_has_a_truth_value(body, truth):
    result, _ = ask(says(body), query="ASK { ?s ?p ?o }")
    assert result.boolean is truth


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/n-triples", b'<http://x/a> <http://x/b> "c"@en .\n<http://x/a> <b:> _:q .'),
        ("text/turtle; charset=utf-8", b'<http://x/a> <http://x/b> "c"@en ; <b:> [] .'),
    ],
)
def test_triples_are_rows(media, body):
    result, server = ask(says(body, media=media), query="DESCRIBE <http://x/a>")
    assert result.variables == ("subject", "predicate", "object")
    assert result.rows == (
        ("<http://x/a>", "<http://x/b>", '"c"@en'),
        ("<http://x/a>", "<b:>", "_:b0"),
    )
    assert "application/n-triples" in server.asked[0].headers["Accept"]


@pytest.mark.parametrize(
    "step",
    [
        packed(table(1)),
        says(b"\xef\xbb\xbf" + table(1)),
        says(table(1), media=JSON + "; charset=iso-8859-1"),
        says(table(1).decode().encode("latin-1"), media=JSON + "; charset=iso-8859-1"),
        says(table(1).decode().encode("utf-16"), media=JSON + ";charset=utf-16"),
        says(table(1), media="text/plain"),
    ],
)
def test_text_is_read_whatever_the_server_calls_it(step):
    result, server = ask(step)
    assert (result.rows, len(server.asked)) == (ANSWER, 1)


def test_half_a_surrogate_pair_is_no_text():
    body = HEAD + b'{"x": {"type": "literal", "value": "a\\ud83d"}}]}}'
    result, _ = ask(says(body))
    assert result.rows == (('"a?"',),)


# ---- what is wrong with the query ---------------------------------------------------------------

VIRTUOSO = "Virtuoso 42000 Error The estimated execution time 4944273 (sec) exceeds the limit"
BLAZEGRAPH = (
    "SPARQL-QUERY: queryStr=SELEC\njava.util.concurrent.ExecutionException: org.openrdf.query."
    'MalformedQueryException: Encountered " "a" "a "" at line 1, column 15.\nWas expecting one of'
)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, "error at 1:10: expected CONSTRUCT", "error at 1:10: expected CONSTRUCT"),
        (400, BLAZEGRAPH, 'Encountered " "a" "a "" at line 1, column 15.'),
        (400, '{"message": "Expected x, found y"}', "Expected x, found y"),
        (400, "", "HTTP 400"),
        (
            500,
            "37000 Error SP030: line 3: no\n\nSPARQL query:\nSELEC",
            "37000 Error SP030: line 3: no",
        ),
        (500, VIRTUOSO, f"the query took longer than the endpoint allows: {VIRTUOSO}"),
        (
            500,
            "java.util.concurrent.TimeoutException\n\tat java.base/x",
            "the query took longer than the endpoint allows: java.util.concurrent.TimeoutException "
            "at java.base/x",
        ),
    ],
)
def test_what_is_wrong_with_the_query_is_told_at_once(status, body, error):
    result, server = ask(says(body.encode(), status, "text/plain"))
    assert (result.error, result.rows, len(server.asked)) == (error, (), 1)


def test_an_error_with_a_state_is_the_error():
    result, _ = ask(says(b"37000 Error SP030", 400, "text/plain", X_SQL_State="37000"))
    assert result.error == "37000 Error SP030"


def test_long_messages_are_cut():
    result, _ = ask(says(b"x" * 500, 400, "text/plain"), error_chars=50)
    assert result.error == "x" * 50 + " ..."


def test_rows_that_end_in_a_cancellation_took_too_long():
    body = HEAD + ROW + b",The SPARQL operation has been cancelled"
    result, server = ask(says(body))
    assert result.error == "the query took longer than the endpoint allows"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (says(X_SQL_State="S1TAT", X_SQL_Message="Anytime query"), "Anytime query"),
        (says(status=206), "it sent a part of the rows"),
    ],
)
def test_partial_rows_are_no_answer(step, told):
    result, _ = ask(step)
    assert result.error == f"the query took longer than the endpoint allows: {told}"
    assert result.rows == ()


def test_a_slow_query_is_given_up_while_the_endpoint_is_fine():
    result, server = ask(waits(30), query_seconds=0.2)
    assert result.error == "the query took longer than 0.2 s and was stopped"
    assert [asked.query for asked in server.asked] == [ASKED, "ASK { }"]


def test_a_query_that_breaks_a_sound_endpoint_is_at_fault():
    broken = says(b"NullPointerException", 500, "text/plain")
    result, server = ask(broken, broken)
    assert result.error == "NullPointerException"
    assert [asked.query for asked in server.asked] == [ASKED, ASKED, "ASK { }"]


@pytest.mark.parametrize(
    ("piece", "zipped"), [(ROW + b",", False), (b" ", False), (ROW + b",", True)]
)
def test_a_body_without_end_is_not_read_to_its_end(piece, zipped):
    step = packed(HEAD + piece * 100_000 + ROW + b"]}}") if zipped else endless(piece)
    result, server = ask(step, max_mb=1)
    assert result.error == "result too large: more than 1 MB; ask for less, or use LIMIT"
    assert result.rows == (ANSWER * 20 if piece.startswith(ROW) else ())
    assert server.sent < 30e6


def test_triples_without_end_are_not_read_to_their_end():
    step = endless(b"<a:> <b:> <c:> .\n", b"", "application/n-triples")
    result, _ = ask(step, query="CONSTRUCT WHERE { ?s ?p ?o }", max_mb=0.1)
    assert result.error.startswith("result too large: more than 0.1 MB")


def test_hostile_queries_never_leave():
    with scripted() as server:
        client = endpoint(server)
        for query in (
            "INSERT DATA { }",
            "ASK { SERVICE <http://x/> { } }",
            "ASK FROM <http://x/> {}",
        ):
            assert "is refused" in client.query(query).error
        assert server.asked == []


# ---- what is wrong with the endpoint ------------------------------------------------------------

PAGE = says(b"<!DOCTYPE html><html><body>Gateway <b>time</b></body></html>", 200, "text/html")
TROUBLE = {
    "hangs up": (hangs_up, "RemoteDisconnected|Connection reset|BadStatusLine"),
    "less than promised": (resets, "its body broke off after 40 bytes"),
    "a page": (PAGE, "a page instead of an answer: 'Gateway time'"),
    "a page as JSON": (says(b"<html>x</html>"), "a page instead of an answer"),
    "truncated": (says(table(2)[:-9]), "an answer that does not read"),
    "no JSON": (says(b"yes"), "an answer that does not read"),
    "other JSON": (says(b'{"error": 1}'), "it is no SPARQL result: KeyError"),
    "a list": (says(b"[1]"), "a SPARQL result is an object, not list"),
    "odd terms": (says(HEAD + b'{"x": {"type": "odd", "value": "1"}}]}}'), "unknown kind of term"),
    "wrong charset": (
        says(table(1).decode().encode("latin-1"), media=JSON + "; charset=utf-8"),
        "neither UTF-8 nor the declared charset 'utf-8'",
    ),
    "broken gzip": (says(b"\x1f\x8b????", content_encoding="gzip"), "error|Error"),
    "nests": (says(b'{"head": ' + b"[" * 100_000), "it nests too deep"),
    "empty": (says(b""), "an answer that does not read"),
    "no content": (says(b"", 204), "HTTP 204"),
    "unavailable": (says(b"busy", 503, "text/plain"), "HTTP 503: busy"),
    "too many": (says(b"slow down", 429, "text/plain"), "HTTP 429: slow down"),
}


@pytest.mark.parametrize("fault", TROUBLE)
def test_trouble_that_passes_costs_nothing(fault):
    result, server = ask(TROUBLE[fault][0])
    assert (result.rows, result.error, len(server.asked)) == (ANSWER, "", 2)


@pytest.mark.parametrize("fault", TROUBLE)
def test_trouble_that_stays_is_an_error(fault):
    step, told = TROUBLE[fault]
    with (
        scripted(*[step] * 3) as server,
        pytest.raises(ToolError, match=f"(?s)does not answer: .*({told})"),
    ):
        endpoint(server, retries=2).query(ASKED)
    assert len(server.asked) == 3


@pytest.mark.parametrize("step", [waits(30), drips, endless(b"")], ids=["slow", "drips", "silent"])
def test_an_endpoint_that_hangs_is_an_error(step):
    with scripted() as server:
        server.default = step
        with pytest.raises(ToolError, match=r"does not answer: no answer within 0\.1 s"):
            endpoint(server, query_seconds=0.1, probe_seconds=0.1, retries=1).query(ASKED)
    assert [asked.query for asked in server.asked] == [ASKED, "ASK { }", "ASK { }"]


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "HTTP 401: no .sign in"), (403, "HTTP 403: no .it may have"), (404, "path of its URL")],
)
def test_what_no_retry_mends_is_told_at_once(status, told):
    with scripted(says(b"no", status, "text/plain")) as server:
        with pytest.raises(ToolError, match=told):
            endpoint(server).query(ASKED)
        assert len(server.asked) == 1


def test_an_endpoint_that_is_down_and_comes_back():
    with scripted() as server:
        client = endpoint(server, retries=30, longest_wait_seconds=0.1)
    with pytest.raises(ToolError, match=r"does not answer: .*refused"):
        endpoint(server, retries=1).query(ASKED)
    found = []
    asking = threading.Thread(target=lambda: found.append(client.query(ASKED)))
    asking.start()
    time.sleep(0.1)
    with scripted(port=server.server_port):
        asking.join()
    assert found[0].rows == ANSWER


def test_the_server_says_when_to_come_back():
    result, server = ask(says(b"", 429, retry_after="1"))
    assert result.rows == ANSWER
    assert server.times[1] - server.times[0] >= 1


def test_when_to_come_back_is_seconds_or_a_date():
    later, past = (email.utils.formatdate(time.time() + s, usegmt=True) for s in (100, -100))
    assert 90 < retry_after(later) <= 100
    assert (retry_after("7"), retry_after(past), retry_after("soon")) == (7, 0, None)


def test_nobody_waits_longer_than_wanted():
    with (
        scripted(says(b"", 429, retry_after="3600")) as server,
        pytest.raises(ToolError, match="asks to wait for 3600 s: HTTP 429"),
    ):
        endpoint(server).query(ASKED)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_stay_on_the_host_and_keep_the_query(code):
    query = ASKED + " " * 3000
    result, server = ask(says(b"", code, location="/other"), query=query)
    assert result.rows == ANSWER
    assert [asked.path for asked in server.asked] == ["/sparql", "/other"]
    assert server.asked[1].query == query


@pytest.mark.parametrize("target", ["http://localhost:{}/", "http://127.0.0.1:1/", "file:///etc"])
def test_redirects_elsewhere_are_refused(target):
    with scripted() as other, scripted() as server:
        server.default = says(b"", 302, location=target.format(other.server_port))
        with pytest.raises(ToolError, match=r"redirects to another host|HTTP 302"):
            endpoint(server, retries=0).query(ASKED)
        assert other.asked == []


@pytest.mark.parametrize("status", [405, 501])
@pytest.mark.parametrize(("query", "way"), [(ASKED, "GET"), (ASKED + " " * 3000, "POST")])
def test_an_endpoint_that_knows_one_method_is_asked_so_from_then_on(query, way, status):
    with scripted(says(b"no", status, "text/plain")) as server:
        client = endpoint(server)
        assert client.query(query).rows == client.query(query).rows == ANSWER
    (other,) = {"GET", "POST"} - {way}
    assert [asked.command for asked in server.asked] == [way, other, other]


def test_an_endpoint_that_takes_neither_method_is_told_at_once():
    with scripted() as server:
        server.default = says(b"no", 405, "text/plain")
        with pytest.raises(ToolError, match="neither GET nor POST"):
            endpoint(server).query(ASKED)
        assert [asked.command for asked in server.asked] == ["GET", "POST"]


def test_an_url_that_is_too_long_is_posted():
    result, server = ask(says(b"", 414))
    assert result.rows == ANSWER
    assert [asked.command for asked in server.asked] == ["GET", "POST"]


# ---- all together -------------------------------------------------------------------------------


def together(number, task):
    """Run a task in threads, and collect what it returns."""
    found = [None] * number

    def run(place):
        found[place] = task(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_sixty_four_at_once_through_every_fault():
    faults = [step for step, _ in TROUBLE.values()] * 4
    with scripted(*faults) as server:
        client = endpoint(server, retries=30, longest_wait_seconds=0.05)
        results = together(64, lambda place: client.query(f"{ASKED} # {place}"))
    assert [result.rows for result in results] == [ANSWER] * 64
    assert len(server.asked) == 64 + len(faults)


def test_clients_of_a_host_share_its_pace():
    with scripted() as server:
        clients = [endpoint(server, per_second=40, concurrent=2), endpoint(server)]
        together(12, lambda place: clients[place % 2].query(f"{ASKED} # {place}"))
    times = sorted(server.times)
    assert times[-1] - times[0] >= 10 / 40
    assert server.most <= 2


def test_the_strictest_wish_is_the_pace():
    pace = Pace()
    pace.limit(5, 0)
    pace.limit(0, 3)
    pace.limit(7, 9)
    assert (pace.per_second, pace.concurrent) == (5, 3)


def test_equal_arguments_share_a_client():
    with scripted() as server:
        first = connect(server.url, prefixes="wikidata", retries=0)
        assert connect(server.url, retries=0, prefixes="wikidata") is first
        assert connect(server.url, retries=1, prefixes="wikidata") is not first
        assert first.prefixes["wd"] == "http://www.wikidata.org/entity/"
        assert first.query(ASKED).rows == ANSWER


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "no graph is named"),
        ([], "no graph is named"),
        ("ftp://x/y", "'ftp://x/y' is no endpoint"),
        (["g.ttl", "http://x/sparql"], "one endpoint at a time"),
    ],
)
def test_what_is_no_graph_is_refused(source, told):
    with pytest.raises(ConfigError, match=told):
        connect(source)


def test_packages_are_named_with_their_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"agentrl\[sparql\]\""):
        Endpoint("http://127.0.0.1/")


# ---- the cache ----------------------------------------------------------------------------------


def test_answers_come_from_the_cache_and_offline(tmp_path):
    file = str(tmp_path / "deep" / "cache.sqlite")
    with scripted(says(table(3)), says(b"error at 1:1", 400, "text/plain")) as server:
        client = endpoint(server, cache=file, dump_date="2026-11-01")
        first, wrong = client.query(ASKED), client.query("SELEC")
    offline = endpoint(server, cache=file, dump_date="2026-11-01", offline=True)
    assert (offline.query(ASKED), offline.query("SELEC")) == (first, wrong)
    assert (first.total, wrong.error) == (3, "error at 1:1")


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"dump_date": "2026-12-01"}, {}),
        ({"default_graph": "http://g/"}, {}),
        ({}, {"max_rows": 7}),
        ({}, {"text": ASKED + " "}),
    ],
)
def test_another_question_is_no_hit(tmp_path, settings, asked):
    file = str(tmp_path / "cache.sqlite")
    with scripted() as server:
        endpoint(server, cache=file).query(ASKED)
    offline = endpoint(server, cache=file, offline=True, **settings)
    with pytest.raises(ToolError, match=r"offline, and .*cache\.sqlite has no answer to 'SELECT"):
        offline.query(asked.pop("text", ASKED), **asked)


def test_trouble_and_slow_answers_are_not_cached(tmp_path):
    file = str(tmp_path / "cache.sqlite")
    with scripted(waits(30), usual, says(b"", 503)) as server:
        client = endpoint(server, cache=file, query_seconds=0.2, retries=0)
        assert "took longer" in client.query(ASKED).error
        with pytest.raises(ToolError):
            client.query(ASKED)
        assert client.query(ASKED).rows == client.query(ASKED).rows == ANSWER
    assert len(server.asked) == 4


def test_many_threads_share_a_cache(tmp_path):
    file = str(tmp_path / "cache.sqlite")
    with scripted() as server:
        clients = [endpoint(server, cache=file) for _ in range(2)]
        together(40, lambda place: clients[place % 2].query(f"{ASKED} # {place % 20}"))
        again = together(40, lambda place: clients[place % 2].query(f"{ASKED} # {place % 20}"))
    assert {result.rows for result in again} == {ANSWER}
    assert 20 <= len(server.asked) <= 40
    assert clients[0]._cache.count() == 20


def test_a_file_that_is_no_cache_is_named(tmp_path):
    (tmp_path / "cache").write_text("this is no database, whatever its name may say " * 50)
    with scripted() as server, pytest.raises(Exception, match="does not work as a cache"):
        endpoint(server, cache=str(tmp_path / "cache"))
