"""Every question over a graph: what each action does, what is seen, and what nobody can do."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.config import build_run
from agentrl.conformance import check_environment
from agentrl.envs.sparql import GraphEnv, Sparql
from agentrl.envs.sparql.graph import knowledge_graph
from agentrl.envs.sparql.lookup import VOCABULARIES, iri_of, literal
from agentrl.envs.sparql.observe import show
from agentrl.errors import ConfigError
from agentrl.signature import parameters
from agentrl.tools.sparql import Result
from agentrl.types import Parse

SPACE = "http://birds.example/"
PREFIXES = {"": SPACE, "rdfs": "http://www.w3.org/2000/01/rdf-schema#"}
BIRDS = f"""
@prefix : <{SPACE}> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Q1 rdfs:label "barn owl"@en, "Schleiereule"@de ; :P1 :Q3 ; :wingSpan 0.9 .
:Q2 rdfs:label "say \\"hi\\""@en ; :P1 :Q3 .
:Q3 rdfs:label "Europe" .
:P1 rdfs:label "lives in"@en .
:Q4 rdfs:label "Great Auk"@en ; :P1 :Q3 .
"""


class Birds(GraphEnv):
    """One question about a handful of birds."""

    prefixes = PREFIXES

    def new_task(self, rng):
        return {
            "number": int(rng.integers(1000)),
            "question": "Where does the barn owl live?",
            "entities": {"barn owl": SPACE + "Q1"},
            "query": "SELECT ?x { :Q1 :P1 ?x }",
            "answers": [f"<{SPACE}Q3>"],
        }


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    path = tmp_path_factory.mktemp("birds") / "birds.ttl"
    path.write_text(BIRDS)
    return str(path)


@pytest.fixture
def env(birds):
    env = Birds(endpoint=[birds])
    env.reset(seed=0)
    return env


def says(env, *texts):
    """The last reply and its info; turns are not counted."""
    for text in texts:
        env.turn = 0
        shown, _, done, _, info = env.step(text)
    return shown, done, info


# ---- actions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<entity>barn owl</entity>", '1 row: \n:Q1 "barn owl"@en'),
        ("<entity> Great  Auk </entity>", '1 row: \n:Q4 "Great Auk"@en'),
        ("<entity>great auk</entity>", '1 row: \n:Q4 "Great Auk"@en'),
        ('<entity>say "hi"</entity>', '1 row: \n:Q2 "say \\"hi\\""@en'),
        ("<entity>dodo</entity>", "No rows: no entity is labelled 'dodo'"),
        ("<property>lives in</property>", '1 row: \n:P1 "lives in"@en'),
        ("<property>wing span</property>", "1 row: :wingSpan"),
        ("<property>sings</property>", "No rows: no property is labelled 'sings'"),
        ("<describe>:Q4</describe>", '2 rows: \nrdfs:label "Great Auk"@en\n:P1 :Q3'),
        (f"<describe><{SPACE}Q4></describe>", '2 rows: \nrdfs:label "Great Auk"@en\n:P1 :Q3'),
        ("<describe>:Q9</describe>", "No rows: the graph says nothing of :Q9"),
        (
            "<describe>Q4 } DROP</describe>",
            "Error: <describe> takes prefix:name or <IRI>, not 'Q4 } DROP'",
        ),
        ("<query>SELECT ?x { :Q1 :P1 ?x }</query>", "1 row: :Q3"),
        ("<query>ASK { :Q1 :P1 :Q3 }</query>", "true"),
        ("<query>SELECT ?x { :Q3 :P1 ?x }</query>", "No rows"),
        ("<query>SELECT ?x { :Q3 :P1 ?x</query>", "Error: error at 1:23: expected "),
        ("so?", "Error: no <query> or <entity> or <property> or <describe> or <answer>"),
    ],
)
def test_what_an_action_brings(env, text, seen):
    shown, done, _ = says(env, text)
    assert sorted(shown.splitlines()) == sorted(seen.splitlines()) or shown.startswith(seen)
    assert not done


def test_a_thing_that_is_only_an_object_is_described_by_its_subjects(env):
    env.store.query("ASK {}")
    shown, *_ = says(env, "<describe>rdfs:nothing</describe>")
    assert shown == "No rows: the graph says nothing of rdfs:nothing"


@pytest.mark.parametrize(
    ("answer", "success"),
    [(":Q3", True), (f"<{SPACE}Q3>", True), (":Q1", False), (":Q3, :Q1", False), ("none", False)],
)
def test_answers_are_sets_of_terms(env, answer, success):
    _, done, info = says(env, f"<answer>{answer}</answer>")
    assert (done, info["success"]) == (True, success)
    assert isinstance(json.loads(info["answer"]), list)


def test_an_answer_that_is_no_term_is_told_and_the_episode_goes_on(env):
    shown, done, info = says(env, "<answer>in Europe</answer>")
    assert shown.startswith("Error: 'in' is no RDF term")
    assert (done, info["parse"], "answer" in info) == (False, Parse.MALFORMED, False)


def test_actions_that_are_not_offered_are_not_known(birds):
    env = Birds(endpoint=[birds], actions=["query"])
    env.reset(seed=0)
    assert says(env, "<entity>barn owl</entity>")[0] == "Error: no <query> or <answer>"


def test_given_entities_are_told_and_others_must_be_found(birds):
    given = Birds(endpoint=[birds]).reset(seed=0)[0]
    search = Birds(endpoint=[birds], linking="search").reset(seed=0)[0]
    assert given == "Where does the barn owl live?\nbarn owl: :Q1"
    assert search == "Where does the barn owl live?"


def test_generated_questions_hold_labels_where_entities_must_be_found():
    env = Sparql(triples=500, linking="search", actions=["query", "entity"])
    shown, _ = env.reset(seed=0)
    assert ":" not in shown
    assert env.oracle().startswith("<entity>")
    assert f":{env.data['entity']}" in says(env, env.oracle())[0]


# ---- the reasoning step -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("<think>:P1</think><query>ASK {}</query>", True),
        ("  <think></think> <query>ASK {}</query>", True),
        ("<query>ASK {}</query>", False),
        ("<query>ASK {}</query><think>", False),
        ("<think><query>ASK {}</query>", False),
        ("<think><query>ASK {}</query></think>", False),
    ],
)
def test_where_a_turn_is_to_begin_with_reasoning(birds, text, runs):
    env = Birds(endpoint=[birds], reasoning=True)
    env.reset(seed=0)
    shown, _, info = says(env, text)
    assert (env.result is not None, shown == "true") == (runs, runs)
    assert (info["parse"] is Parse.OK, info["parts"].get("format", 0)) == (runs, float(runs))


def test_a_thought_is_skipped_where_none_is_asked_for(env):
    assert says(env, "<think><answer>:Q3</answer></think><query>ASK {}</query>")[0] == "true"


# ---- one query ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "success"),
    [
        ("<query>SELECT ?x { :Q1 :P1 ?x }</query>", True),
        ("<query>SELECT ?x ?y { :Q1 :P1 ?x OPTIONAL { ?x :P9 ?y } }</query>", True),
        ("<query>SELECT ?x { ?x ?y ?z }</query>", False),
        ("<query>SELECT ?x { :Q1 :P9 ?x }</query>", False),
        ("<query>ASK {}</query>", False),
        ("<query>SELECT</query>", False),
        ("what?", False),
        ("<answer>:Q3</answer>", True),
    ],
)
def test_the_first_query_is_the_answer_where_one_is_all(birds, text, success):
    env = Birds(endpoint=[birds], one_query=True)
    env.reset(seed=0)
    shown, done, info = says(env, text)
    assert (done, info["success"]) == (True, success)
    assert shown == "" or shown.startswith("Error: ")


def test_the_paper_s_baselines():
    assert Sparql.baselines() == {"one query": {"one_query": True}, "iterative": {}}


# ---- parts --------------------------------------------------------------------------------------


def test_trouble_counts_once_and_recovery_at_the_end(env):
    empty, broken = "<query>SELECT ?x { :Q3 :P1 ?x }</query>", "<query>SELECT</query>"
    fine, right = "<query>SELECT ?x { :Q1 :P1 ?x }</query>", "<answer>:Q3</answer>"
    parts = [says(env, text)[2]["parts"] for text in (fine, empty, broken, fine, right)]
    assert [part.get("troubled", 0.0) for part in parts] == [0, 1, 0, 0, 0]
    assert parts[-1] == {"format": 1.0, "recovered": 1.0, "solved": 1.0}


def test_a_query_that_was_asked_before_is_counted(env):
    texts = ["<query>ASK {}</query>", "<query>ASK { }</query>", "<query>ASK {}</query>"]
    counted = [says(env, text)[2]["parts"].get("repeated", 0.0) for text in texts]
    assert counted == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("text", ["hm", "<entity>dodo</entity>", "<describe>x</describe>"])
def test_whatever_finds_nothing_is_trouble(env, text):
    assert says(env, text)[2]["parts"]["troubled"] == 1.0
    env.reset(seed=0)
    assert "recovered" not in says(env, "<answer>:Q3</answer>")[2]["parts"]


def test_neither_is_paid(env):
    env.reset(seed=0)
    assert env.step("hm")[1] == 0.0
    assert env.step("<answer>:Q3</answer>")[1] == 1.0


# ---- what is seen -------------------------------------------------------------------------------


def test_a_large_result_is_counted_and_its_head_shown(birds):
    env = Birds(endpoint=[birds], max_rows=2)
    env.reset(seed=0)
    shown, *_ = says(env, "<query>SELECT ?x { ?x :P1 :Q3 } ORDER BY ?x</query>")
    assert shown == "2 rows: :Q1, :Q2 ... cut after 2 of 3 rows"


def test_an_observation_is_bounded():
    long = Result(variables=("x",), rows=(("y" * 900,),) * 10, more=True, total=99)
    shown = show(long, {}, chars=500)
    assert len(shown) < 600
    assert shown.endswith("... cut after 500 characters ... cut after 10 of 99 rows")


def test_names_are_shortened_where_a_prefix_fits():
    row = (f"<{SPACE}Q1>", f"<{SPACE}a/b>", "<http://else/x>", f'"1"^^<{SPACE}unit>', "")
    shown = show(Result(variables=tuple("abcde"), rows=(row,)), {"b": SPACE})
    assert shown == f'1 row: \nb:Q1 <{SPACE}a/b> <http://else/x> "1"^^b:unit -'


# ---- look-ups are safe --------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.text() | st.text(alphabet='"\\u0022{}.;?x\n\r\t', max_size=30))
def test_a_label_cannot_leave_its_literal(text):
    inside = literal(text)
    assert "\\" not in inside.replace('\\"', "")
    assert '"' not in inside.replace('\\"', "")
    assert inside.isprintable()


@pytest.mark.parametrize(
    "label",
    [
        '" } DROP ALL #',
        "\\u0022 } INSERT DATA { :a :b :c }",
        "$iri",
        "${limit}",
        "'''",
        "x\\",
        "\\",
    ],
)
def test_no_label_breaks_a_look_up(env, label):
    for action in ("entity", "property"):
        shown, *_ = says(env, f"<{action}>{label}</{action}>")
        assert shown.startswith("No rows: no ")


@settings(max_examples=50)
@given(st.text())
def test_only_an_iri_is_described(text):
    found = iri_of(text, {"": SPACE})
    assert found is None or not set(found[1:-1]) & set('<>"{}|^`\\ \n')


@pytest.mark.parametrize("name", sorted(VOCABULARIES))
def test_every_vocabulary_fills_all_its_places(name):
    vocabulary = VOCABULARIES[name]
    made = [q for a in ("entity", "property") for q in vocabulary.queries(a, 'a "b"', "en")]
    made += vocabulary.description("<http://x/y>", "en")
    assert len(made) >= 3
    assert not any("$" in query for query in made)


# ---- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"actions": ["entity"]}, "env.actions is"),
        ({"linking": "search"}, "add 'entity' to env.actions"),
        ({"language": 'en" }'}, "env.language is"),
        ({"renamed": 1.5}, "env.renamed is 1.5"),
    ],
)
def test_what_cannot_run_is_refused(arguments, said):
    with pytest.raises(ConfigError, match=said):
        Sparql(**arguments)


def test_a_graph_environment_without_a_graph_says_what_to_set():
    with pytest.raises(ConfigError, match=r"Birds has no graph of its own: set env\.endpoint"):
        Birds()


def test_settings_of_the_base_are_settings_of_the_run():
    assert {"hops", "endpoint", "reasoning", "prompt"} <= set(parameters(Sparql))
    assert parameters(Sparql)["totals"].default is False
    run = build_run({"env": {"id": "agentrl/Sparql-v0", "reasoning": True}})
    assert run.resolved()["env"]["reasoning"] is True
    with pytest.raises(ConfigError, match="did you mean 'reasoning'"):
        build_run({"env": {"id": "agentrl/Sparql-v0", "reasonin": True}})


# ---- the generated graph with two names ---------------------------------------------------------


def test_some_facts_stand_under_their_other_name():
    plain, mixed = knowledge_graph(0, 800), knowledge_graph(0, 800, 0.4)
    assert (plain.facts, plain.renamed) == (mixed.facts, frozenset())
    assert 0.3 < len(mixed.renamed) / sum(map(len, mixed.facts.values())) < 0.5
    assert mixed.num_triples == plain.num_triples


def test_gold_queries_know_the_names():
    env = Sparql(triples=800, renamed=0.4)
    for task in env.tasks("train", 100, 0):
        ((term,),) = env.store.query(task.data["query"]).rows
        assert term.endswith(f"/{task.data['answers'][0]}>")


def test_the_expert_slips_as_often_as_it_is_told():
    env, rng = Sparql(triples=800, expert_slip=1.0), np.random.default_rng(0)
    seen = []
    for task in env.tasks("train", 30, 0):
        env.reset(options={"task": task})
        seen.append(says(env, env.expert(rng))[0])
    assert 5 < sum(text.startswith("Error: ") for text in seen) < 25
    assert all(text == "No rows" or text.startswith("Error: ") for text in seen)


def test_an_environment_of_files_conforms(birds):
    assert check_environment(lambda: Birds(endpoint=[birds])) == []
