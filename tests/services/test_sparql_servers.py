"""One client, four engines: oxigraph, Virtuoso, rdflib's server, and the embedded store."""

import socket
import threading
import time

import pytest
from sparql_servers import (
    GRAPH,
    needs_oxigraph,
    needs_rdflib,
    needs_virtuoso,
    oxigraph_server,
    rdflib_server,
    virtuoso_server,
)

from agentrl.errors import ToolError
from agentrl.tools.sparql import Endpoint, SparqlStore

pytestmark = pytest.mark.service
PREFIXES = {"": "http://x/", "xsd": "http://www.w3.org/2001/XMLSchema#"}
XSD = "http://www.w3.org/2001/XMLSchema#"
DATA = "@prefix : <http://x/> .\n" + "\n".join(
    f':p{i} :knows :p{i + 1}, :p{i * 7 % 400} ; :age {i % 90} ; :name "Név {i}"@hu .'
    for i in range(400)
)
ODD = r"""
:odd :says "a \"quoted\" \\ line\n and\ttab" ; :says "日本語"@ja ; :born "1990-02-03"^^xsd:date ;
    :half 0.5 ; :friend [ :name "nobody" ] ; :page <http://x/a%20b?c=d&e#f> .
"""
SERVERS = {
    "oxigraph": (oxigraph_server, {}),
    "virtuoso": (virtuoso_server, {"default_graph": GRAPH}),
    "rdflib": (rdflib_server, {}),
}
NEEDED = {"oxigraph": needs_oxigraph, "virtuoso": needs_virtuoso, "rdflib": needs_rdflib}
ENGINES = [pytest.param(name, marks=NEEDED[name]) for name in SERVERS]
STOPPING = ENGINES[:2]
HEAVY = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . FILTER(?a != ?i && ?c != ?d) }"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("graph") / "people.ttl"
    prefixes = f"@prefix xsd: <{XSD}> .\n"
    file.write_text(prefixes + DATA + ODD, encoding="utf-8")
    return str(file)


@pytest.fixture(scope="module")
def store(data):
    store = SparqlStore(files=[data], prefixes=PREFIXES)
    yield store
    store.close()


@pytest.fixture(scope="module")
def servers(data):
    """URLs by engine, each started when it is first asked for."""
    running, open_now = {}, []

    def url(name):
        if name not in running:
            context = SERVERS[name][0]([data])
            running[name] = context.__enter__()
            open_now.append(context)
        return running[name]

    yield url
    for context in open_now:
        context.__exit__(None, None, None)


@pytest.fixture
def client(servers, request):
    """A client of the engine that the test is about."""
    return client_of(servers(request.param), request.param)


def client_of(url, name, **settings):
    usual = {"query_seconds": 20.0, "backoff_seconds": 0.05, "prefixes": PREFIXES}
    return Endpoint(str(url), **(usual | SERVERS[name][1] | settings))


QUERIES = {
    "a lookup": "SELECT ?o { :p3 :knows ?o } ORDER BY ?o",
    "two hops": "SELECT ?b ?c { :p5 :knows ?b . ?b :knows ?c } ORDER BY ?b ?c",
    "a label": 'SELECT ?s { ?s :name "Név 7"@hu }',
    "a count": "SELECT (COUNT(?s) AS ?n) { ?s :age 5 }",
    "sorted and cut": "SELECT ?s ?a { ?s :age ?a } ORDER BY DESC(?a) ?s",
    "unbound": "SELECT ?s ?x { ?s :age 7 OPTIONAL { ?s :says ?x } } ORDER BY ?s",
    "escapes": "SELECT ?t { :odd :says ?t } ORDER BY STRLEN(?t)",
    "datatypes": "SELECT ?b ?h ?p { :odd :born ?b ; :half ?h ; :page ?p }",
    "a blank node": "SELECT ?f ?n { :odd :friend ?f . ?f :name ?n }",
    "nothing": "SELECT ?x { :nobody :knows ?x }",
    "true": "ASK { :p1 :knows :p2 }",
    "false": "ASK { :p2 :knows :p1 }",
    "own prefixes": "PREFIX y: <http://x/> SELECT ?o { y:p3 y:age ?o }",
    "unicode": 'SELECT ?s { ?s :says "日本語"@ja } # \u00e9',
    "posted": "SELECT ?a { :p9 :age ?a } # " + "long " * 800,
    "a group": "SELECT ?a (COUNT(*) AS ?n) {?s :age ?a} GROUP BY ?a HAVING(COUNT(*)>4) ORDER BY ?a",
}


@pytest.mark.parametrize("client", ENGINES, indirect=True)
@pytest.mark.parametrize("name", QUERIES)
def test_every_engine_gives_the_same_result(client, store, name):
    assert client.query(QUERIES[name], max_rows=5) == store.query(QUERIES[name], max_rows=5)


@pytest.mark.parametrize("client", ENGINES, indirect=True)
@pytest.mark.parametrize(
    "form", ["CONSTRUCT { ?s :likes ?o } WHERE { ?s :knows ?o }", "DESCRIBE :p3"]
)
def test_triples_are_rows_everywhere(client, store, form):
    own, far = (set(each.query(form, max_rows=10**5).rows) for each in (store, client))
    assert own
    assert own == far if form.startswith("CONSTRUCT") else own <= far  # a DESCRIBE may say more


@pytest.mark.parametrize("client", ENGINES, indirect=True)
@pytest.mark.parametrize(
    "query", ["SELEC ?x { ?x ?y ?z }", "SELECT ?x {", "SELECT ?x { ?x foo:bar ?y }", "nonsense", ""]
)
def test_what_is_wrong_with_a_query_is_told(client, query):
    result = client.query(query)
    assert result.error
    assert (result.rows, result.boolean) == ((), None)
    assert client.query("ASK { :p1 :knows :p2 }").boolean is True


@pytest.mark.parametrize("client", STOPPING, indirect=True)
def test_a_heavy_join_ends_in_time(servers, client, request):
    name = request.node.callspec.params["client"]
    hasty = client_of(servers(name), name, query_seconds=1.0)
    assert "took longer than" in hasty.query(HEAVY).error
    assert client.query("ASK { :p1 :knows :p2 }").boolean is True


@needs_rdflib
def test_an_endpoint_that_one_query_blocks_is_in_trouble(data):
    with rdflib_server([data]) as url:
        client = client_of(url, "rdflib", query_seconds=1.0, probe_seconds=1.0, retries=1)
        with pytest.raises(ToolError, match=r"does not answer: no answer within 1 s"):
            client.query(HEAVY)
        url.kill()
        url.start()
        assert client.query("ASK { :p1 :knows :p2 }").boolean is True


HOSTILE = (
    "SELECT * {{ SERVICE <{0}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ \u017ferv\u0131ce <{0}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ S\\u0045RVICE <{0}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ ?s ?p ?o # x\rSERVICE <{0}> {{ ?a ?b ?c }}\n }}",
    "SELECT ?s FROM <{0}> {{ ?s ?p ?o }}",
    "SELECT ?s FROM <file:///etc/passwd> {{ ?s ?p ?o }}",
    "SELECT (bif:http_get('{0}') AS ?x) {{}}",
    "SELECT (<bif:http_get>('{0}') AS ?x) {{}}",
    "PREFIX q: <bif:> SELECT (q:http_get('{0}') AS ?x) {{}}",
    "define get:soft 'soft' SELECT * {{ GRAPH <{0}> {{ ?s ?p ?o }} }}",
    "LOAD <{0}>",
    "INSERT DATA {{ GRAPH <http://x/g> {{ :p1 :knows :evil }} }}",
    "DELETE WHERE {{ ?s ?p ?o }}",
    "CLEAR ALL",
)


@pytest.mark.parametrize("client", ENGINES, indirect=True)
def test_no_hostile_query_reaches_another_host_or_the_data(client):
    size = client.query("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.2)
        target = f"http://127.0.0.1:{listener.getsockname()[1]}/evil"
        results = [client.query(query.format(target)) for query in HOSTILE]
        with pytest.raises(TimeoutError):
            listener.accept()
    assert all(result.error or not result.rows for result in results)
    assert client.query("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }") == size


def together(number, task):
    """Run a task in threads and collect what it returns or raises."""
    found = [None] * number

    def run(place):
        try:
            found[place] = task(place)
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    yield found
    for thread in threads:
        thread.join()
    yield found


@pytest.mark.parametrize("client", ENGINES, indirect=True)
def test_sixty_four_at_once(client, store):
    texts = [f"SELECT ?b ?c {{ :p{i} :knows ?b . ?b :knows ?c }} ORDER BY ?b ?c" for i in range(64)]
    *_, found = together(64, lambda place: client.query(texts[place]))
    assert found == [store.query(text) for text in texts]


@pytest.mark.parametrize("name", STOPPING)
def test_a_server_that_is_killed_and_started_again_costs_no_query(data, store, name):
    def many(place):
        text = "SELECT ?b ?c {{ :p{} :knows ?b . ?b :knows ?c }} ORDER BY ?b ?c"
        return [client.query(text.format(place * 20 + i)) for i in range(20)]

    def expected(place):
        text = "SELECT ?b ?c {{ :p{} :knows ?b . ?b :knows ?c }} ORDER BY ?b ?c"
        return [store.query(text.format(place * 20 + i)) for i in range(20)]

    with SERVERS[name][0]([data]) as url:
        client = client_of(url, name, retries=40, longest_wait_seconds=1.0, per_second=150)
        running = together(16, many)
        next(running)
        for _ in range(2):
            time.sleep(0.5)
            url.kill()
            time.sleep(0.3)
            url.start()
        found = next(running)
    assert found == [expected(place) for place in range(16)]


@needs_virtuoso
def test_rows_that_the_server_cut_are_not_taken_for_all(data):
    with virtuoso_server([data], max_rows=50) as url:
        client = client_of(url, "virtuoso")
        result = client.query("SELECT ?s { ?s :age ?a }", max_rows=10)
        assert (result.more, result.total, result.size) == (True, None, "more than 50")
        assert client.query("SELECT ?s { ?s :age 5 }").total == 5
