"""Research: orders are read and judged, sub-agents' parts are theirs, scripts know both sides."""

import json

import numpy as np
import pytest

from agentrl.conformance import check_environment
from agentrl.env import Reply, make
from agentrl.envs.research import Research
from agentrl.envs.research.env import hop_order, path
from agentrl.envs.research.errands import BY_PHRASE, read_order
from agentrl.envs.sparql.graph import OTHER_NAMES, SCHEMA
from agentrl.errors import ConfigError, EnvError
from agentrl.parsing import blocks
from agentrl.protocols import Workplace
from agentrl.types import Parse


def env_of(**arguments):
    return Research(**{"triples": 1000, "prompt": "short", **arguments})


@pytest.fixture(scope="module")
def env():
    return env_of()


@pytest.fixture
def asked(env):
    """An environment at the beginning of a question of three hops."""
    env.reset(options={"task": env.tasks("train", 1, 0)[0]})
    return env


def sent(env, order):
    """A new assignment's id."""
    return env.assign("sub", order)[0]


def first_hop(env):
    """The first order, its query and its answer."""
    nodes = path(env.graph, env.data)
    query = f"<query>SELECT ?x WHERE {{ :{nodes[0]} :{env.data['relations'][0]} ?x }}</query>"
    return hop_order(env.data, 0, nodes[0]), query, nodes[1]


def delegated(env, speak, calls=20):
    """Play as a delegating agent whose every text `speak` says; the last step and all reports."""
    reports = []
    for _ in range(calls):
        env.cue("")
        said = speak()
        if "<delegate>" not in said:
            return env.step(said), reports
        place, reply = sent(env, blocks(said, "delegate")[0]), Reply()
        for _ in range(calls):
            env.cue(place)
            reply = reply if reply.done else env.work(place, speak())
        reports.append(reply)
    raise AssertionError("no answer")


def test_it_conforms():
    assert check_environment(lambda: make("agentrl/Research-v0", triples=400, direct=True)) == []


def test_it_is_a_workplace(env):
    assert all(callable(getattr(env, name)) for name in ("assign", "work", "cue"))
    assert {"assign", "work", "cue"} <= set(vars(Workplace))


# ---- orders -------------------------------------------------------------------------------------


def test_every_phrase_names_one_property():
    said = {(p.lower(), r.name) for r in SCHEMA for p in (*r.phrases, *r.names)}
    assert dict(said) == dict(BY_PHRASE)
    assert len(said) == len(BY_PHRASE)


def test_the_hops_of_a_question_are_orders_with_its_answers(env):
    for task in env.tasks("train", 50, 0):
        nodes = path(env.graph, task.data)
        orders = [hop_order(task.data, hop, nodes[hop]) for hop in range(3)]
        read = [read_order(env.graph, order) for order in orders]
        assert [r["relations"] for r in read] == [[name] for name in task.data["relations"]]
        assert [r["answers"] for r in read] == [[node] for node in nodes[1:]]
        whole = read_order(env.graph, task.data["question"])
        assert whole["answers"] == task.data["answers"]


def test_an_order_may_be_said_in_many_ways(asked):
    order, _, answer = first_hop(asked)
    name = asked.data["relations"][0]
    entity = asked.data["entity"]
    ways = [order.upper().replace(entity.upper(), entity), f"What is {order}?", f" {order}. "]
    ways += [f"the :{name} of {entity}", f"the {OTHER_NAMES[name]} of :{entity}"]
    assert all(read_order(asked.graph, way)["answers"] == [answer] for way in ways)


@pytest.mark.parametrize(
    "order",
    [
        *("", "help", "the colour of :X", "the author", "author of :X", "the author of the :X"),
        *("the " + "mayor of the " * 5 + "mayor of :X", "the author of :Nobody", "\u202e of \x00"),
    ],
)
def test_what_cannot_be_read_or_has_no_answer_is_judged_0(asked, order):
    place = sent(asked, order)
    for text in ("<answer>,</answer>", "<answer>none</answer>"):
        reply = asked.work(place, text)
        assert (reply.parts["expert"], reply.success) == (0.0, False)


# ---- sub-agents ---------------------------------------------------------------------------------


def test_a_right_report_is_judged_1(asked):
    order, query, answer = first_hop(asked)
    place, heard, info = asked.assign("sub", order)
    assert (place, heard, info["system"]) == ("1", order, "")
    reply = asked.work(place, query)
    assert (reply.text, reply.done) == (f"1 row: :{answer}", False)
    assert reply.parts == {"format": 1.0, "executed": 1.0}
    reply = asked.work(place, f"so <answer> :{answer} </answer>")
    assert (reply.text, reply.done, reply.success) == (f":{answer}", True, True)
    assert reply.parts == {"format": 0.0, "expert": 1.0}


def test_a_wrong_report_is_judged_0(asked):
    reply = asked.work(sent(asked, first_hop(asked)[0]), "<answer>:Nobody</answer>")
    assert reply.parts == {"format": 1.0, "expert": 0.0}


def total(replies):
    return sum(reply.parts["format"] for reply in replies)


@pytest.mark.parametrize(
    ("texts", "format"),
    [
        (["<answer>:A</answer>"], 1),
        (["<query>SELECT", "<answer>:A</answer>"], 0),
        (["<query>SELECT ?x {}</query>", "hm", "<answer>:A</answer>"], 0),
        (["hm", "hm", "<query>SELECT ?x {}</query>"], 0),
        (["<query>nonsense</query>", "<answer>:A</answer>"], 1),
        (["hm"], 0),
    ],
)
def test_format_is_1_if_every_turn_is_well_formed(asked, texts, format):
    place = sent(asked, "the author of :X")
    assert total([asked.work(place, text) for text in texts]) == format


def test_assignments_are_apart_and_leave_the_episode_alone(asked):
    order, query, answer = first_hop(asked)
    one, two = sent(asked, order), sent(asked, order)
    asked.work(one, "hm")
    assert asked.work(two, query).parts == {"format": 1.0, "executed": 1.0}
    assert asked.turn == 0
    asked.work(two, f"<answer>:{answer}</answer>")
    assert asked.work(one, query).parts == {"format": 0.0, "executed": 1.0}
    *_, info = asked.step(f"<answer>:{asked.data['answers'][0]}</answer>")
    assert info["parts"] == {"format": 1.0, "solved": 1.0}


def test_unknown_and_old_assignments_are_refused(asked):
    sent(asked, "the author of :X")
    for place in ("2", "0", "", "one"):
        with pytest.raises(EnvError, match="no assignment"):
            asked.work(place, "hm")
    asked.reset(seed=0)
    with pytest.raises(EnvError, match="no assignment '1'"):
        asked.work("1", "hm")


# ---- the main agent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parse", "reply"),
    [
        ("hm", Parse.NO_CALL, "Error: no <delegate> or <answer>"),
        ("<delegate>x", Parse.MALFORMED, "Error: <delegate> at character 0 is not closed"),
        ("<delegate>x</delegate>", Parse.MALFORMED, "Error: there is nobody to send"),
        ("<query>SELECT ?x {}</query>", Parse.NO_CALL, "Error: no <delegate> or <answer>"),
    ],
)
def test_the_main_agent_only_answers(asked, text, parse, reply):
    shown, reward, *_, info = asked.step(text)
    assert (shown, reward, info["parse"]) == (reply, 0.0, parse)
    assert info["parts"] == {"format": 0.0, "troubled": 1.0}
    *_, info = asked.step("<answer>:A</answer>")
    assert info["parts"] == {"format": 0.0}


def test_a_single_agent_queries():
    env = env_of(direct=True)
    env.reset(options={"task": env.tasks("train", 1, 0)[0]})
    _, query, answer = first_hop(env)
    shown, *_, info = env.step(query)
    assert (shown, info["parts"]) == (f"1 row: :{answer}", {"format": 1.0, "executed": 1.0})


def test_thoughts_stand_before_answers():
    env = env_of(reasoning=True)
    env.reset(seed=0)
    assert "does not begin with <think>" in env.step("<answer>:A</answer>")[0]
    assert env.step("<think>so</think><answer>:A</answer>")[2]


def test_prompts_say_who_may_query():
    texts = [env_of(prompt="full", direct=direct).system_prompt for direct in (False, True)]
    assert "cannot query it yourself" in texts[0]
    assert "<query>" in texts[1]
    asked = env_of(prompt="full")
    asked.reset(seed=0)
    assert "<query>" in asked.assign("sub", "the author of :X")[2]["system"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plan_slip": 2}, "env.plan_slip is 2"),
        ({"expert_slip": -1}, "env.expert_slip is -1"),
        ({"linking": "search"}, "env.linking is 'search'"),
        ({"one_query": True}, "env.one_query is True"),
    ],
)
def test_arguments_that_cannot_be(arguments, words):
    with pytest.raises(ConfigError, match=words):
        env_of(**arguments)


# ---- scripts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"renamed": 0.5}, {"reasoning": True}, {"hops": [1, 4]}])
def test_the_oracle_solves_everything_with_others(arguments):
    env = env_of(**arguments)
    for task in env.tasks("train", 20, 0):
        env.reset(options={"task": task})
        (_, reward, *_, info), reports = delegated(env, env.oracle)
        assert (reward, info["success"]) == (1.0, True)
        assert len(reports) == len(task.data["relations"])
        assert all(reply.parts["expert"] for reply in reports)


def experts(count, **arguments):
    """Success of the expert with others, and the share of right reports."""
    env = env_of(**arguments)
    rng, wins, right = np.random.default_rng(0), 0, []
    for task in env.tasks("train", count, 0):
        env.reset(options={"task": task})
        (*_, info), reports = delegated(env, lambda: env.expert(rng))
        wins += info["success"]
        right += [reply.parts["expert"] for reply in reports]
    return wins / count, np.mean(right)


def test_an_expert_without_slips_is_right():
    assert experts(20) == (1.0, 1.0)


def test_slips_of_either_side_cost():
    plain, _ = experts(60, plan_slip=0.4)
    assert 0.2 < plain < 0.8
    both, right = experts(60, plan_slip=0.4, expert_slip=0.4)
    assert 0.02 < both < plain
    assert 0.3 < right < 0.8


@pytest.mark.parametrize("slip", [0.0, 0.4])
def test_the_expert_alone_takes_one_hop_after_the_other(slip):
    env, rng, wins = env_of(direct=True, expert_slip=slip), np.random.default_rng(0), 0
    for task in env.tasks("train", 30, 0):
        env.reset(options={"task": task})
        over = False
        while not over:
            *_, terminated, truncated, info = env.step(env.expert(rng))
            over = terminated or truncated
        wins += info["success"]
    assert wins == 30 if slip == 0 else 2 < wins < 25


def test_the_corpus_holds_orders_and_names(env):
    text = " ".join(env.corpus())
    assert "<delegate>the " in text
    assert all(f" :{name}" in text for names in env.graph.entities.values() for name in names)


def test_task_data_is_plain(env):
    data = env.tasks("train", 1, 0)[0].data
    assert json.loads(json.dumps(dict(data))) == data
