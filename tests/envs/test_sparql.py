"""Questions over a knowledge graph: gold queries are right, answers are sets, the game is fair."""

import re

import numpy as np
import pytest

from agentrl.env import make
from agentrl.envs.sparql import Sparql
from agentrl.envs.sparql.env import answer_set, compact
from agentrl.envs.sparql.graph import PREFIX, PREFIXES, SCHEMA, knowledge_graph
from agentrl.envs.sparql.observe import show
from agentrl.errors import ConfigError, DataError
from agentrl.tools.sparql import Result
from agentrl.types import Parse


@pytest.fixture(scope="module")
def env():
    return Sparql(hops=(1, 2, 3), triples=1000)


@pytest.fixture
def asked(env):
    """An environment at the first turn of a two-hop question with a made-up second answer."""
    task = next(t for t in env.tasks("train", 50, 0) if len(t.data["relations"]) == 2)
    env.reset(options={"task": {**task.data, "answers": [*task.data["answers"], "Second_One"]}})
    return env


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_gold_queries_return_the_gold_answers(hops):
    env = Sparql(hops=(hops,), triples=1000, max_rows=2)
    for task in env.tasks("train", 200, hops):
        rows = env.store.query(task.data["query"]).rows
        assert [compact(term) for (term,) in rows] == [":" + a for a in task.data["answers"]]
        assert len(task.data["relations"]) == hops


def test_tasks_number_in_the_thousands_and_splits_share_none():
    env = Sparql(hops=(2,))
    train, test = (env.tasks(split, 10**6, 0) for split in ("train", "test"))
    assert len(train) > 3000
    assert len(test) > 400
    assert not {task.id for task in train} & {task.id for task in test}
    assert {task.split for task in train} == {"train"}


def test_the_seed_orders_the_tasks(env):
    first, again, other = ([t.id for t in env.tasks("train", 20, seed)] for seed in (0, 0, 1))
    assert first == again != other


def test_an_unknown_split_is_refused(env):
    with pytest.raises(DataError, match="unknown split 'tests': did you mean 'test'"):
        env.tasks("tests", 1, 0)


@pytest.mark.parametrize("hops", [(), (0,), (5,), (2, 9)])
def test_hops_that_cannot_be_are_refused(hops):
    with pytest.raises(ConfigError, match=r"env\.hops"):
        Sparql(hops=hops)


def test_every_question_reads_as_its_chain(env):
    words = {phrase: relation.name for relation in SCHEMA for phrase in relation.phrases}
    for task in env.tasks("train", 100, 0):
        asked, entity = re.fullmatch(
            r"What is the (.*) of :(\w+)\?", task.data["question"]
        ).groups()
        chain = [words[phrase] for phrase in reversed(asked.split(" of the "))]
        assert (entity, chain) == (task.data["entity"], task.data["relations"])


def test_a_large_graph_builds():
    graph = knowledge_graph(1, 100_000)
    assert 90_000 < graph.num_triples < 110_000
    assert graph.turtle().count(";") == sum(map(len, graph.entities.values()))


def test_graphs_follow_from_their_seed():
    one, other = (knowledge_graph(seed, 500) for seed in (0, 1))
    assert knowledge_graph.__wrapped__(0, 500).turtle() == one.turtle()
    assert not set(one.facts["author"]) & set(other.facts["author"])


def test_tasks_are_of_their_own_graph_however_many_there_were():
    for seed in range(12):
        env = Sparql(hops=(1,), graph_seed=seed, triples=300)
        names = {name for names in env.graph.entities.values() for name in names}
        assert {task.data["entity"] for task in env.tasks("train", 20, 0)} <= names


def test_every_relation_has_one_object_of_its_range():
    graph = knowledge_graph(0, 2000)
    for relation in SCHEMA:
        pairs = graph.facts[relation.name]
        assert set(pairs) <= set(graph.entities[relation.domain])
        assert set(pairs.values()) <= set(graph.entities[relation.range])
        assert all(subject != object for subject, object in pairs.items())


# ---- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (":A_B", {"A_B"}),
        ("A_B", {"A_B"}),
        (f"<{PREFIX}A_B>", {"A_B"}),
        (":A, :B", {"A", "B"}),
        (":A :B,:A", {"A", "B"}),
        (f"<{PREFIX}A>,\n:B", {"A", "B"}),
        ("<http://elsewhere/A>", {"<http://elsewhere/A>"}),
        (" , ", set()),
    ],
)
def test_answer_sets(text, names):
    assert answer_set(text) == names


@pytest.mark.parametrize(
    ("form", "success"),
    [
        (":{0} :{1}", True),
        (":{1}, {0}", True),
        (f"<{PREFIX}{{0}}> :{{1}}", True),
        (":{0}", False),
        (":{0}, :{1}, :Third_One", False),
        (":{0} or :{1}", False),
    ],
)
def test_an_answer_is_right_when_its_set_is(asked, form, success):
    said = form.format(*asked.data["answers"])
    _, reward, terminated, _, info = asked.step(f"<answer>{said}</answer>")
    assert (reward, terminated, info["success"]) == (float(success), True, success)


def test_a_parse_error_then_no_rows_then_the_right_answer(env):
    task = env.tasks("train", 1, 0)[0]
    env.reset(options={"task": task})
    broken, *_, first = env.step("<query>SELECT ?x WHERE { :a :b</query>")
    empty, _, over, *_ = env.step("<query>SELECT ?x WHERE { :Nobody :author ?x }</query>")
    _, reward, terminated, _, last = env.step(f"<answer>:{task.data['answers'][0]}</answer>")
    assert broken.startswith("Error: error at 1:")
    assert first["parts"] == {"format": 1.0, "executed": 0.0, "troubled": 1.0}
    assert (empty, over) == ("No rows", False)
    assert (reward, terminated, last["success"]) == (1.0, True, True)
    assert last["parts"] == {"format": 1.0, "solved": 1.0, "recovered": 1.0}


@pytest.mark.parametrize(
    ("text", "parse", "reply"),
    [
        ("the answer is :A", Parse.NO_CALL, "Error: no <query> or <answer>"),
        ("<query>SELECT", Parse.MALFORMED, "Error: <query> at character 0 is not closed"),
        ("so <answer> </answer>", Parse.MALFORMED, "Error: <answer> at character 3 is empty"),
    ],
)
def test_malformed_turns_are_told_and_earn_nothing(asked, text, parse, reply):
    shown, reward, terminated, _, info = asked.step(text)
    assert (shown, reward, terminated) == (reply, 0.0, False)
    assert (info["parse"], info["parts"]) == (parse, {"troubled": 1.0})


def test_the_episode_is_cut_at_its_last_turn():
    env = Sparql(hops=(1,), triples=1000, max_turns=2)
    env.reset(seed=0)
    assert env.step("hm")[3] is False
    assert env.step("hm")[3] is True


def test_weights_pay_for_other_parts():
    env = Sparql(hops=(1,), triples=1000, reward_weights={"executed": 0.5, "format": 0.25})
    env.reset(seed=0)
    assert env.step(env.oracle())[1] == 0.75


# ---- what is seen -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Result(), "No rows"),
        (Result(error="error at 1:2"), "Error: error at 1:2"),
        (Result(boolean=False), "false"),
        (Result(variables=("x",), rows=((f"<{PREFIX}A>",),)), "1 row: :A"),
        (
            Result(variables=("x",), rows=(("1",), ("2",)), more=True),
            "2 rows: 1, 2 ... cut after 2 rows",
        ),
        (Result(variables=("x", "y"), rows=(("1", ""), ("2", "3"))), "2 rows: \n1 -\n2 3"),
    ],
)
def test_results_as_they_are_seen(result, text):
    assert show(result, PREFIXES) == text


def test_rows_are_bounded():
    env = Sparql(hops=(1,), triples=1000, max_rows=3)
    env.reset(seed=0)
    shown, *_ = env.step("<query>SELECT ?x { ?x a :Person }</query>")
    assert shown.startswith("3 rows: :")
    assert shown.endswith(" ... cut after 3 rows")


def test_prompts_are_full_or_short():
    assert make("agentrl/Sparql-v0", prompt="short").reset(seed=0)[1]["system"] == ""
    full = make("agentrl/Sparql-v0").reset(seed=0)[1]["system"]
    assert all(f":{relation.name}" in full for relation in SCHEMA)


# ---- players ------------------------------------------------------------------------------------


def successes(env, speak, count=40):
    wins = 0
    for task in env.tasks("train", count, 0):
        env.reset(options={"task": task})
        ended = False
        while not ended:
            *_, terminated, truncated, info = env.step(speak())
            ended = terminated or truncated
        wins += info["success"]
    return wins / count


def test_the_oracle_solves_everything(env):
    assert successes(env, env.oracle) == 1.0


def test_the_expert_solves_some(env):
    rng = np.random.default_rng(0)
    assert 0.2 < successes(env, lambda: env.expert(rng)) < 0.95


def test_the_corpus_holds_every_name(env):
    text = " ".join(env.corpus())
    assert all(f" :{name}" in text for names in env.graph.entities.values() for name in names)
