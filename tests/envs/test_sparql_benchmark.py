"""Public benchmarks as environments: gold answers, players, scores and result files."""

import json
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from builders import completion
from graph_server import graph_server
from runs import cli, one_line

from agentrl.conformance import check_environment
from agentrl.env import SPLITS, make
from agentrl.envs.sparql.questions import qald
from agentrl.envs.sparql.terms import keys
from agentrl.errors import ConfigError, DataError, ToolError
from agentrl.types import Episode, Group, Status, Trajectory, Turn

HERE = Path(__file__).parent / "questions"
QALD, LCQUAD, GRAPH = (str(HERE / name) for name in ("qald.json", "lcquad.json", "graph.ttl"))
RIVERS = {"prefixes": {"wd": "http://example.org/river/", "wdt": "http://example.org/property/"}}


def rivers(**arguments):
    return make("agentrl/Qald-v0", **{"file": QALD, "endpoint": GRAPH, **arguments})


def chains(**arguments):
    made = {"file": LCQUAD, "endpoint": GRAPH, "client": RIVERS, **arguments}
    return make("agentrl/Lcquad-v0", **made)


def every(env):
    """All tasks by the file's ids."""
    found = []
    for split in SPLITS:
        with suppress(DataError):  # a small file may lie in the other split
            found += env.tasks(split, 10**6, 0)
    return {task.data["id"]: task for task in found}


def group(env, task, *texts, status=Status.COMPLETED):
    """One attempt that says these texts."""
    env.reset(options={"task": task})
    turns, infos = [], [{}]
    for text in texts:
        infos.append(env.step(text)[-1])
        turns.append(Turn(spans=(), completion=completion([1], text=text)))
    last = infos[-1]
    main = Trajectory(
        turns=tuple(turns),
        answer=last.get("answer"),
        success=bool(last.get("success")),
        status=status,
        error="it broke" if status.failed else "",
    )
    return Group(task=task, episodes=(Episode(task=task, trajectories=(main,)),))


def asked(env, id, *texts, **more):
    return group(env, every(env)[id], *texts, **more)


def perfect(env):
    """Every question, answered with its gold answer."""
    groups = []
    for task in every(env).values():
        env.reset(options={"task": task})
        groups.append(group(env, task, f"<answer>{env.gold_text()}</answer>"))
    return groups


# ---- gold ---------------------------------------------------------------------------------------


def test_what_became_of_every_gold_query():
    pool = rivers().pool
    told = {name: value for name, value in pool.gold.items() if not name.endswith("_ids")}
    assert told == {
        **{"basis": "endpoint", "same": 16, "changed": 1},
        **{"new": 0, "empty": 3, "failed": 3, "filed": 0},
    }
    assert pool.gold["changed_ids"] == ["changed"]
    assert pool.gold["empty_ids"] == ["empty", "blank", "gone"]
    assert pool.gold["failed_ids"]["built"] == "the query is neither SELECT nor ASK"
    assert pool.gold["failed_ids"]["broken"].startswith("error at 1:")
    assert pool.questions == {
        **{"file": 23, "scored": 17, "no_text": 0, "other_language": 0, "unlabelled_entities": 1},
        "left_out": {"gold query finds nothing": 3, "gold query fails": 3},
    }


def test_a_graph_without_the_facts_answers_nothing(tmp_path):
    """ASK and COUNT find something everywhere: false and 0, which the file knows better."""
    graph = tmp_path / "other.ttl"
    graph.write_text("<http://e.x/a> <http://e.x/b> <http://e.x/c> .")
    assert rivers(endpoint=str(graph)).pool.gold["empty"] == 19
    assert list(every(rivers(endpoint=str(graph)))) == [8]


def test_answers_of_the_file_are_the_gold_where_they_are_asked_for():
    env = rivers(gold="file", labels=False)
    assert env.pool.questions["left_out"] == {"no gold answers": 1}
    assert (env.pool.gold["basis"], env.pool.gold["filed"], env.pool.gold["same"]) == (
        "file",
        22,
        0,
    )
    truth = env.pool.truth(every(env)["changed"].data)
    assert truth.answers == ('"1740"^^<http://www.w3.org/2001/XMLSchema#integer>',)
    assert truth.entities == {"Baltic": "http://example.org/river/Baltic"}


@pytest.mark.parametrize(
    ("subset", "left_out"),
    [
        (("single_answer",), {"more or less than one answer": 6, "no gold answers": 1}),
        (
            ("executable",),
            {"gold query finds nothing": 3, "not executable": 2, "no gold answers": 1},
        ),
    ],
)
def test_the_papers_rules_leave_questions_out(subset, left_out):
    assert rivers(gold="file", subset=subset).pool.questions["left_out"] == left_out


def test_a_question_has_the_same_identity_whatever_the_graph_says():
    here, filed = (every(rivers(gold=basis)) for basis in ("endpoint", "file"))
    assert all(filed[id] == task for id, task in here.items())


def test_questions_are_asked_in_a_language_and_the_others_counted():
    env = rivers(language="de", limit=4)
    assert every(env)["r1"].data["question"] == "Wohin fließt die Oder?"
    assert env.pool.truth(every(env)["r1"].data).entities == {
        "Oder": "http://example.org/river/Oder"
    }
    assert env.pool.questions["other_language"] == 2
    assert env.pool.questions["left_out"] == {"beyond the limit": 19}


def test_lcquad_has_no_answers_but_those_of_the_endpoint():
    env = chains()
    assert (env.pool.gold["new"], env.pool.gold["empty"], env.pool.questions["no_text"]) == (
        3,
        1,
        3,
    )
    assert len(env.pool.truth(every(env)[6].data).answers) == 2
    assert every(chains(graph="dbpedia")).keys() == {1, 2, 6}
    with pytest.raises(DataError, match=r"none of its 4 .*4: no gold answers .*gold=endpoint"):
        chains(gold="file").tasks("train", 1, 0)


def test_a_file_without_an_answerable_question_is_told_in_one_line(tmp_path):
    file = tmp_path / "file.json"
    lost = [q for q in json.loads(Path(QALD).read_text())["questions"] if q["id"] == "gone"]
    file.write_text(json.dumps({"questions": lost}))
    code, printed, message = cli(
        *("eval", "qald", "--file", file, "--endpoint", GRAPH),
        *("--model", "oracle", "--json", "--out", tmp_path),
    )
    assert (code, printed) == (2, "")
    assert "none of its 1 questions can be scored at" in one_line(message)
    assert "1: gold query finds nothing; give the graph" in message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"limit": 0}, r"env\.limit is 0"),
        ({"endpoint": None}, r"set env\.endpoint"),
    ],
)
def test_arguments_that_cannot_run_are_refused(arguments, told):
    with pytest.raises(ConfigError, match=told):
        rivers(**arguments)


def test_a_task_of_another_file_is_refused():
    env = rivers()
    with pytest.raises(DataError, match="question 'x' is none of those"):
        env.reset(options={"task": {"id": "x", "number": 99, "question": "?", "query": ""}})


# ---- players ------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [rivers, chains, lambda: rivers(reasoning=True, linking="search")])
def test_the_environments_conform(made):
    found = check_environment(made)
    assert [finding for finding in found if "no task in the split" not in finding] == []


@pytest.mark.parametrize("arguments", [{}, {"gold": "file"}, {"one_query": True}])
def test_the_oracle_solves_every_question(arguments):
    env = rivers(**arguments)
    for task in every(env).values():
        env.reset(options={"task": task})
        for _ in range(2):
            *_, done, _, info = env.step(env.oracle())
            if done:
                break
        assert info["success"]


@pytest.mark.parametrize(
    ("id", "said", "right"),
    [
        ("r2", "<http://example.org/river/Poland>", False),
        ("r1", "<http://example.org/river/Baltic>", True),
        ("t1", '"Große, die"', True),
        ("n1", "1094", True),
        ("n1", '"1094"', False),
        ("d1", "1875-05-01", True),
        ("y1", "1871", True),
        (8, "False", True),
        (8, "none", False),
        ("c1", "3.0, 3", True),
        ("v1", "<http://example.org/river/Warsaw,_M.>", False),
    ],
)
def test_answers_are_judged_as_sets_of_terms(id, said, right):
    played = asked(rivers(), id, f"<answer>{said}</answer>")
    assert played.episodes[0].main.success is right


def test_what_is_no_term_costs_a_turn_and_is_told():
    env = rivers()
    env.reset(options={"task": every(env)["r1"]})
    text, _, done, _, info = env.step("<answer>the Baltic Sea</answer>")
    assert (done, info["success"]) == (False, False)
    assert text.startswith("Error: 'the' is no RDF term")


def test_observations_do_not_tell_the_gold_answer():
    env = rivers()
    for task in every(env).values():
        first, info = env.reset(options={"task": task})
        told = first + info["system"]
        answers = env.pool.truth(task.data).answers
        given = set(env.entities().values())
        assert not [a for a in answers if a.strip("<>") in told and a.strip("<>") not in given]


# ---- scores and files ---------------------------------------------------------------------------


def test_scores_of_a_few_answers():
    env = rivers()
    groups = [
        asked(env, "r1", "<answer><http://example.org/river/Baltic></answer>"),
        asked(env, "r2", "<answer><http://e.x/a>\n<http://example.org/river/Poland></answer>"),
        asked(env, "n1", "I do not know"),
        asked(env, "s1", status=Status.TOOL_FAILED),
    ]
    scores = env.scores(groups)
    # P 1 1/2 0, R 1 1/3 0, F1 1 2/5 0; the third is silent: QALD's P is 1
    assert scores["macro"] == pytest.approx({"precision": 1 / 2, "recall": 4 / 9, "f1": 7 / 15})
    assert scores["qald_macro_f1"] == pytest.approx(2 * (5 / 6) * (4 / 9) / (5 / 6 + 4 / 9))
    assert scores["hits_at_1"] == scores["exact_match"] == pytest.approx(1 / 3)
    assert {name: part["n"] for name, part in scores["by_type"].items()} == {
        "number": 1,
        "resource": 2,
    }
    assert scores["questions"]["failed_ids"] == {"s1": "it broke"}
    assert json.loads(json.dumps(scores)) == scores


def test_the_first_answer_is_the_one_that_was_written_first():
    env = rivers()
    poland, other = "<http://example.org/river/Poland>", "<http://a.x/a>"
    hits = [
        env.scores([asked(env, "r2", f"<answer>{first}, {second}</answer>")])["hits_at_1"]
        for first, second in ((poland, other), (other, poland))
    ]
    assert hits == [1.0, 0.0]


def test_an_answer_in_another_order_is_the_same_answer():
    env = rivers()
    terms = env.pool.truth(every(env)["m1"].data).answers
    one, other = (
        asked(env, "m1", f"<think>?</think><answer>{', '.join(order)}</answer>").episodes[0].main
        for order in (terms, terms[::-1])
    )
    assert one.answer == other.answer
    assert one.success


def test_gold_answers_score_one_everywhere_and_silence_nothing():
    env = rivers()
    assert env.scores(perfect(env))["qald_macro_f1"] == 1.0
    silent = [group(env, task, "") for task in every(env).values()]
    scores = env.scores(silent)
    assert (scores["qald_macro_f1"], scores["macro"]["f1"], scores["answered"]) == (0, 0, 0)


def test_the_answers_come_back_from_qald_json(tmp_path):
    env = rivers()
    gold, answers = env.export(perfect(env), tmp_path, "oracle")
    said = {question.id: question for question in qald(str(answers)).questions}
    assert json.loads(gold.read_text())["gold"]["changed_ids"] == ["changed"]
    assert list(said) == [data["id"] for data in env.pool.asked]
    for id, task in every(env).items():
        assert keys(said[id].answers) == keys(env.pool.truth(task.data).answers)
        assert said[id].texts == env.pool.texts[task.data["number"]]


def test_qald_json_as_the_official_scorer_reads_it(tmp_path):
    env = rivers()
    groups = [
        asked(env, 8, "<query>ASK {}</query>", "<answer>false</answer>"),
        asked(env, "t1", "<answer>'Große, die'@de</answer>"),
        asked(env, "c1", "hm"),
        asked(env, "r1", status=Status.ENV_FAILED),
    ]
    content = json.loads(env.export(groups, tmp_path, "me")[1].read_text())
    assert content["dataset"] == {"id": "qald-me", "failed_ids": ["r1"]}
    name, boolean, nothing = content["questions"]
    assert (boolean["id"], boolean["query"]) == (8, {"sparql": "ASK {}"})
    assert boolean["answers"] == [{"head": {}, "boolean": False}]
    term = {"type": "literal", "value": "Große, die", "xml:lang": "de"}
    assert name["answers"][0]["results"] == {"bindings": [{"result": term}]}
    assert nothing["answers"] == [{"head": {"vars": ["result"]}, "results": {"bindings": []}}]


def test_every_attempt_has_a_file(tmp_path):
    env = rivers()
    right, wrong = (asked(env, 7, f"<answer>{said}</answer>") for said in ("true", "false"))
    both = Group(task=right.task, episodes=(*right.episodes, *wrong.episodes))
    assert env.scores([both])["exact_match"] == 0.5
    names = [path.name for path in env.export([both], tmp_path, "me")]
    assert names == ["gold-me.json", "qald-me.json", "qald-me-1.json"]
    assert env.export([], tmp_path, "nobody")[0].name == "gold-nobody.json"


# ---- over HTTP ----------------------------------------------------------------------------------


def evaluated(tmp_path, endpoint, *more):
    command = ("eval", "qald", "--file", QALD, "--endpoint", endpoint, "--json", "--out", tmp_path)
    return cli(*command, "--model", "oracle", *more)


def test_an_endpoint_scores_as_its_files_do(tmp_path):
    with graph_server(GRAPH) as server:
        code, far, message = evaluated(tmp_path, server.url)
    assert (code, message) == (0, "")
    near = json.loads(evaluated(tmp_path, GRAPH)[1])
    far = json.loads(far)
    assert far["success"] == far["qald_macro_f1"] == 1.0
    del far["gold"]["failed_ids"]["broken"], near["gold"]["failed_ids"]["broken"]
    assert far == near


def test_questions_that_the_endpoint_drops_are_counted_apart(tmp_path):
    with graph_server(GRAPH, lambda query: "p:motto" in query) as server:
        code, printed, _ = evaluated(tmp_path, server.url, "env.client.retries=0")
    answer = json.loads(printed)
    assert (code, answer["success"], answer["n"]) == (0, 1.0, 16)
    assert "503" in answer["gold"]["failed_ids"]["s1"]


def test_an_episode_that_loses_its_endpoint_is_no_zero(tmp_path):
    asks = count()
    with graph_server(GRAPH, lambda query: "p:motto" in query and next(asks) > 0) as server:
        code, printed, _ = evaluated(tmp_path, server.url, "env.client.retries=0")
    answer = json.loads(printed)
    assert (code, answer["success"], answer["n"], answer["skipped"]) == (0, 1.0, 16, 1)
    assert list(answer["questions"]["failed_ids"]) == ["s1"]


def test_an_endpoint_that_is_down_is_told_in_one_line(tmp_path):
    with graph_server(GRAPH) as server:
        url = server.url
    code, printed, message = evaluated(tmp_path, url, "env.client.retries=0")
    assert (code, printed) == (2, "")
    assert url in one_line(message)


def test_an_empty_graph_is_told():
    with pytest.raises(DataError, match=r"qald\.json holds no triple"):  # JSON-LD without a name
        rivers(endpoint=QALD).tasks("train", 1, 0)


def test_an_endpoint_that_stops_answering_is_given_up():
    told = pytest.raises(ToolError, match="5 gold queries in a row failed")
    with graph_server(GRAPH, lambda query: "GRAPH ?g" not in query) as server, told:
        rivers(endpoint=server.url, client={"retries": 0}).tasks("train", 1, 0)


def test_gold_queries_may_take_longer_than_the_agents():
    env = rivers(gold_seconds=60, client={"query_seconds": 5.0})
    assert (env.store.query_seconds, env.asker.query_seconds) == (5, 60)
    assert len(every(env)) == 17


def test_random_tasks_are_the_files():
    env, rng = rivers(), np.random.default_rng(0)
    assert {env.new_task(rng)["id"] for _ in range(200)} == set(every(env))
