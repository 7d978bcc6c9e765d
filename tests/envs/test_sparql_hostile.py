"""What an agent cannot do with a graph: write, leave, read files, fill memory, see the answer."""

import pytest

from agentrl.envs.sparql import Sparql
from agentrl.envs.sparql.graph_env import LOOK_UPS

EVERYTHING = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
CROSS = "?a ?b ?c . ?d ?e ?f . ?g ?h ?i"
MILLIONS = " ".join(f"VALUES ?{name} {{ {' '.join(map(str, range(60)))} }}" for name in "abcd")
HOSTILE = (
    "INSERT DATA { :a :b :c }",
    "DELETE WHERE { ?s ?p ?o }",
    "CLEAR ALL",
    "LOAD <file:///etc/passwd>",
    "DROP ALL",
    "SELECT * { ?s ?p ?o } ; DROP ALL",
    "SELECT * { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }",
    "SELECT * { ?s ?p trueSERVICE <http://127.0.0.1:9/> { ?a ?b ?c } }",
    "SELECT * { SERVICE <http://wikiba.se/ontology#label> { SERVICE <http://x/> { ?s ?p ?o } } }",
    "SELECT * FROM <file:///etc/passwd> { ?s ?p ?o }",
    "SELECT * FROM NAMED <http://127.0.0.1:9/> { GRAPH ?g { ?s ?p ?o } }",
    f"SELECT * {{ {CROSS} }}",
    f"SELECT * {{ {CROSS} }} ORDER BY ?i ?f ?c",
    f"SELECT (COUNT(*) AS ?n) {{ {CROSS} . ?j ?k ?l }}",
    f"SELECT * {{ {MILLIONS} }}",
    f"SELECT (GROUP_CONCAT(CONCAT(STR(?a), STR(?d))) AS ?x) {{ {CROSS} }}",
    f"CONSTRUCT {{ ?a ?e ?i }} {{ {CROSS} }}",
    'SELECT * { ?s ?p ?o FILTER(REGEX(STR(?s), "(((a+)+)+)+$")) }',
    'SELECT * { ?s ?p ?o FILTER(REGEX(STR(?s), "(.{1,1000}){1,1000}")) }',
    'SELECT (REPLACE("' + "a" * 2000 + '", "a*", "$0$0$0$0") AS ?x) {}',
    "SELECT ?x { ?x (!:a|:b)*/(!:c)*/(!:d)* ?y . ?y (!:e)* ?z }",
    "SELECT ?x { " + "{ " * 5000 + "}",
    "SELECT ?x { ?x :a " + "(" * 20_000,
    "SELECT * { VALUES ?x { " + "1 " * 100_000 + "} }",
    "\x00",
)


@pytest.fixture(scope="module")
def env():
    env = Sparql(triples=500, query_seconds=0.5, actions=LOOK_UPS)
    env.reset(seed=0)
    yield env
    env.store.close()


@pytest.mark.parametrize("query", HOSTILE, ids=lambda query: query[:40])
def test_no_query_writes_leaves_reads_or_floods(env, query):
    before = env.store.query(EVERYTHING).rows
    env.reset(seed=0)
    shown, reward, done, _, info = env.step(f"<query>{query}</query>")
    assert len(shown) < 4200
    assert "root:" not in shown
    assert (reward, done, info["success"]) == (0.0, False, False)
    assert env.store.query(EVERYTHING).rows == before != ()


@pytest.mark.parametrize("query", HOSTILE[:11], ids=lambda query: query[:40])
def test_what_would_write_or_leave_is_an_error(env, query):
    env.reset(seed=0)
    shown = env.step(f"<query>{query}</query>")[0]
    assert shown.startswith("Error: ") or shown == "No rows"


PROBES = (
    *(
        "",
        "hm",
        "<query>",
        "<query>SELECT</query>",
        "<query>ASK {</query>",
        "<describe>x</describe>",
    ),
    *("<property>answer</property>", "<describe>:Nobody</describe>"),
    *("<query>SELECT ?answer { :gold :answers ?answer }</query>", "<query>ASK {}</query>"),
)
"""What brings errors, nothing, or things that have nothing to do with the question."""


@pytest.mark.parametrize("linking", ["given", "search"])
@pytest.mark.parametrize("probe", PROBES)
def test_nothing_tells_the_answer_but_the_graph(env, probe, linking):
    env = Sparql(triples=500, renamed=0.4, linking=linking, actions=LOOK_UPS)
    for task in env.tasks("test", 20, 0):
        shown, info = env.reset(options={"task": task})
        said = [shown, *info.values()]
        text, _, _, _, after = env.step(probe)
        said += [text, str(after), env.render(), env.system_prompt]
        (answer,) = task.data["answers"]
        assert not [one for one in said if answer in one or answer.replace("_", " ") in one]


def test_a_wrong_answer_is_told_nothing_but_the_end(env):
    env.reset(options={"task": env.tasks("test", 1, 0)[0]})
    shown, _, done, _, info = env.step("<answer>:Wrong</answer>")
    assert (shown, done, info["answer"]) == ("", True, '["Wrong"]')
    assert env.data["answers"][0] not in str(info)


def test_a_look_up_shows_only_what_the_label_asks_for(env):
    task = env.tasks("test", 1, 0)[0]
    for label in task.data["question"].split():
        env.reset(options={"task": task})
        shown = env.step(f"<entity>{label}</entity>")[0]
        rows = [row for row in shown.splitlines()[1:] if row.startswith(":")]
        assert all(label.lower() in row.lower() for row in rows)
