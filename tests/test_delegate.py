"""Delegation: sub-agents have turns, limits and ledgers of their own, and only reports return."""

import asyncio
import json
import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import runs
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.agents.chat import Limits
from agentrl.agents.delegate import DelegateAgent, Order, read_orders
from agentrl.algorithms import algorithm
from agentrl.backends import scripted
from agentrl.backends.hf import HFPolicy
from agentrl.backends.tiny import tiny_model, word_tokenizer
from agentrl.chat import TemplateChat
from agentrl.config import build_run
from agentrl.env import Reply, TextEnv, make
from agentrl.episodes import episode_record, read_episode
from agentrl.errors import ConfigError, PolicyError
from agentrl.learner import Learner
from agentrl.protocols import Choice
from agentrl.rollout import Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.table import build_table
from agentrl.types import Parent, Status, Task

LIMITS = Limits(turn_tokens=200, trajectory_tokens=2000, context_tokens=2000)
CHAT = TemplateChat(word_tokenizer(["<delegate>report green</delegate> look <answer> work"]))
ANSWER = "<answer>green"
LONG = "green " * 500


class Desk(TextEnv):
    """The main agent answers; sub-agents say `look` and read a colour, or report it."""

    max_turns = 4

    def begin(self, data):
        self.given = []
        self.cued = []
        return "which colour?"

    def act(self, text):
        done = text.startswith("<answer>")
        return Reply(text="what?", parts={"format": 1.0}, done=done, success=text == ANSWER)

    def assign(self, kind, order):
        self.given.append(order)
        return f"{len(self.given)}", f"{kind}: {order}", {"system": "work"}

    def work(self, assignment, text):
        if text.startswith("report"):
            report = text.removeprefix("report ")
            return Reply(text=report, done=True, parts={"expert": float(report == "green")})
        seen = LONG if text == "look far" else "green"
        return Reply(text=seen, parts={"format": float(text == "look")})

    def cue(self, assignment):
        self.speaker = assignment

    def oracle(self):
        if self.speaker:
            return "report green"
        return ANSWER if self.given else "<delegate>the colour</delegate>"


class Deep(Desk):
    """Work goes on until somebody reports."""

    def work(self, assignment, text):
        known = text.startswith("report")
        return Reply(text="green" if known else "what", done=known)


def passes_on(read):
    """A sub-agent that sends another one, and reports once it has heard anything."""
    return (
        "report green" if "what" in read or "green" in read else "<delegate>the colour</delegate>"
    )


class Bare(TextEnv):
    """Knows nothing of assignments."""

    def begin(self, data):
        return "hello"

    def act(self, text):
        return Reply(done=True)


class Said:
    """A player that says what a function makes of all that it has read."""

    def __init__(self, answer, chat=None):
        self.chat, self.answer = chat or CHAT, answer

    async def complete(self, context, max_tokens):
        ids = np.concatenate([span.ids for span in context])
        read = self.chat.tokenizer.decode(ids, skip_special_tokens=False)
        return scripted.scripted(self.chat, self.answer(read), max_tokens)

    def again(self, place):
        return self


def saying(**answers):
    """Casts players by name."""

    @contextmanager
    def cast(stage, seed):
        yield {name: Said(answer) for name, answer in answers.items()}

    return cast


def team(said, worker=lambda read: "report green"):
    """One player for all: `said` by turn of the main agent, `worker` for a sub-agent's reading."""

    def answer(read):
        return worker(read) if "work" in read else said[read.count("<|assistant|>") - 1]

    return saying(main=answer)


def play(cast, attempts=1, env=Desk, limits=LIMITS, tasks=1, **settings):
    agent = DelegateAgent(limits, **{"prompt": "", **settings})
    asked = [Task(env=env.__name__, data={"number": n}) for n in range(tasks)]
    return runs.played(cast, agent, env, tasks=asked, attempts=attempts)


def one(cast, **settings):
    return play(cast, **settings)[0].episodes[0]


def texts(trajectory):
    return [turn.completion.text for turn in trajectory.turns]


ONCE = ("<delegate>the colour</delegate>", ANSWER)


def test_a_report_is_all_that_comes_back():
    worker = lambda read: "report green" if "look" in read else "look"  # noqa: E731
    episode = one(team(ONCE, worker))
    main, sub = episode.trajectories
    assert (texts(main), texts(sub)) == ([*ONCE], ["look", "report green"])
    assert [turn.reply for turn in main.turns] == ["green", "what?"]
    assert (main.success, main.status, sub.status) == (True, *[Status.COMPLETED] * 2)
    assert (sub.agent, sub.parent) == ("sub", Parent(0, 0, 0))
    assert (sub.parts, sub.reward) == ({"format": 1.0, "expert": 1.0}, 0.0)
    assert main.parts == {"format": 1.0, "solved": 1.0}


def test_orders_of_one_turn_are_calls_of_it_in_their_order():
    def worker(read):
        return "report " + re.search(r"sub: (\w+)", read)[1]  # what it was sent for

    both = "<delegate>red</delegate> and <delegate>green</delegate>"
    episode = one(team([both, ONCE[0], ANSWER], worker))
    parents = [t.parent for t in episode.trajectories[1:]]
    assert parents == [Parent(0, 0, 0), Parent(0, 0, 1), Parent(0, 1, 0)]
    assert [turn.reply for turn in episode.main.turns] == ["1: red\n2: green", "the", "what?"]


def test_kinds_are_named_in_the_order():
    kinds = {"seeker": {}, "reader": {"trained": False, "policy": "other"}}
    orders = '<delegate to="reader">x</delegate><delegate to="raeder">y</delegate>'
    orders += '<delegate>z</delegate><delegate to="seeker"> </delegate>'
    main = lambda read: ANSWER if "Error" in read else orders  # noqa: E731
    cast = saying(main=main, other=lambda read: "report green")
    episode = one(cast, agents=kinds)
    assert [t.agent for t in episode.trajectories] == ["main", "reader"]
    reply = episode.main.turns[0].reply
    assert "1: green" in reply
    assert "2: Error: no agent 'raeder': did you mean 'reader'?" in reply
    assert "3: Error: no agent '': known: reader, seeker" in reply
    assert "4: Error: the order is empty" in reply
    assert not episode.trajectories[1].turns[0].trained


def test_no_more_orders_than_calls():
    three = "<delegate>a</delegate><delegate>b</delegate><delegate>c</delegate>"
    episode = one(team([three, ANSWER]), calls=2)
    assert len(episode.trajectories) == 3
    assert "3: Error: all 2 orders of this task are used up" in episode.main.turns[0].reply


@pytest.mark.parametrize(("depth", "agents"), [(1, 2), (2, 3), (3, 4)])
def test_depth_is_a_limit(depth, agents):
    episode = one(team(ONCE, passes_on), env=Deep, depth=depth, calls=depth)
    assert len(episode.trajectories) == agents
    assert [t.parent and t.parent.trajectory for t in episode.trajectories] == [
        None,
        *range(agents - 1),
    ]
    assert episode.main.success


@pytest.mark.parametrize(
    ("kind", "worker", "status"),
    [
        ({"turns": 3}, "look", Status.TURN_LIMIT),
        ({"limits": {"trajectory_tokens": 20}}, "look", Status.TOKEN_LIMIT),
        ({"limits": {"context_tokens": 300}}, "look far", Status.CONTEXT_LIMIT),
    ],
)
def test_a_sub_agent_s_limit_is_its_own(kind, worker, status):
    episode = one(team(ONCE, lambda read: worker), agents={"sub": kind})
    assert [t.status for t in episode.trajectories] == [Status.COMPLETED, status]
    assert episode.main.turns[0].reply == f"Error: no report, sub ended: {status.value}"
    assert episode.main.success
    assert (
        build_table(play(team(ONCE, lambda read: worker), agents={"sub": kind})).count("trajectory")
        == 2
    ), "its turns are rows all the same"


def test_a_failed_sub_policy_is_dropped_alone():
    def gone(read):
        raise PolicyError("the engine is gone")

    cast = saying(main=lambda read: ANSWER if "Error" in read else ONCE[0], sub=gone)
    groups = play(cast, attempts=2)
    main, sub = groups[0].episodes[0].trajectories
    assert (main.status, sub.status) == (Status.COMPLETED, Status.POLICY_FAILED)
    assert sub.error == "the engine is gone"
    table = build_table(groups)
    assert table.names["agent"] == ("main",)
    assert table.count("trajectory") == 2
    assert groups[0].live == groups[0].episodes


def test_a_report_is_cut_to_fit_its_caller():
    limits = Limits(turn_tokens=64, trajectory_tokens=2000, context_tokens=400)
    sub = {"limits": {"context_tokens": 5000, "turn_tokens": 5000, "trajectory_tokens": 5000}}
    cast = team(ONCE, lambda read: "report " + LONG)
    episode = one(cast, limits=limits, agents={"sub": sub}, spare=40)
    reply = episode.main.turns[0].reply
    assert re.search(r"green .* \.\.\. cut after \d+ characters$", reply)
    assert 250 < len(reply.split()) < 360
    assert episode.main.success
    assert texts(episode.trajectories[1]) == ["report " + LONG]


def test_what_is_no_order_goes_to_the_environment():
    episode = one(team(["<delegate>never closed"] * 4))
    assert len(episode.trajectories) == 1
    assert episode.main.status is Status.TURN_LIMIT
    assert {turn.reply for turn in episode.main.turns} == {"what?"}


def test_a_main_agent_that_only_delegates_comes_to_an_end():
    episode = one(team([ONCE[0]] * 9), turns=3)
    assert episode.main.status is Status.TURN_LIMIT
    assert len(episode.trajectories) == 4


def test_the_tool_is_told_to_who_may_use_it():
    read = []
    cast = team(ONCE, lambda text: read.append(text) or "report green")
    heard = []
    main = lambda text: heard.append(text) or (ANSWER if "green" in text else ONCE[0])  # noqa: E731
    one(saying(main=main, sub=lambda t: "report green"), prompt="agents: {agents}{to}")
    assert "agents: sub" in heard[0]
    one(cast, prompt="tell {agents}", depth=1)
    assert not any("tell" in text for text in read)


def test_an_environment_that_cannot_assign_is_named():
    with pytest.raises(ConfigError, match=r"Bare has no assign and no work: .*Workplace"):
        play(team(ONCE), env=Bare)


def test_an_environment_that_answers_nonsense_fails_the_episode():
    class Odd(Desk):
        def work(self, assignment, text):
            return "green"

    main = one(team(ONCE), env=Odd).main
    assert main.status is Status.ENV_FAILED
    assert "work answered 'green', not a Reply" in main.error


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("<delegate>a</delegate>", [("", "a")]),
        ('<delegate to="x"> a\nb </delegate>', [("x", "a\nb")]),
        ("<think><delegate>a</delegate></think>no", []),
        ("<think><delegate>a</delegate>", []),
        ("<delegate>a", []),
        ("<delegate>a<delegate>b</delegate>", [("", "a<delegate>b")]),
        ("<delegate></delegate> <delegate>b</delegate>", [("", ""), ("", "b")]),
        ('<delegate to="">a</delegate>', [("", "a")]),
        ("<delegates>a</delegates>", []),
    ],
)
def test_orders_are_read(text, orders):
    assert read_orders(text) == [Order(*order) for order in orders]


@given(st.text(alphabet='<>/delgat "=o', max_size=60))
def test_any_text_is_read(text):
    assert all(order.text == order.text.strip() for order in read_orders(text))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depth": 0}, "agent.depth is 0"),
        ({"calls": 0}, "agent.calls is 0"),
        ({"turns": 0}, "agent.turns is 0"),
        ({"agents": {"sub": {"turns": 0}}}, "agent.agents.sub.turns is 0"),
        ({"agents": {"main": {}}}, "a kind 'main'"),
        ({"agents": {'a"b': {}}}, "give it another name"),
        ({"agents": {"sub": {"police": "x"}}}, "did you mean 'policy'"),
        ({"agents": {"sub": {"limits": {"turns": 3}}}}, "unknown key 'turns'"),
        ({"prompt": "{agent}"}, "agent.prompt"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        DelegateAgent(LIMITS, **settings)


def test_settings_are_checked_with_the_run():
    agent = {"name": "delegate", "agents": {"sub": {"trainde": False}}}
    with pytest.raises(ConfigError, match="did you mean 'trained'"):
        build_run({"env": "agentrl/Research-v0", "agent": agent})


def test_an_unknown_policy_is_told():
    with pytest.raises(ConfigError, match="'sub' wants the policy 'frozn'"):
        play(team(ONCE), agents={"sub": {"policy": "frozn"}})


def test_demonstrations_speak_for_every_agent():
    episode = one(scripted.oracle(CHAT), agents={"sub": {"trained": False}})
    assert [texts(t) for t in episode.trajectories] == [[*ONCE], ["report green"]]
    assert build_table(play(scripted.oracle(CHAT))).names["agent"] == ("main", "sub")


# ---- on the research task -----------------------------------------------------------------------

SMALL = {"triples": 400, "hops": [2], "prompt": "short", "plan_slip": 0.3, "expert_slip": 0.3}
RECORDS = ("m_grpo", "m_grpo_weight", "m_grpo_release")


def research():
    return make("agentrl/Research-v0", **SMALL)


def researched(cast, attempts=4, tasks=3, **settings):
    """Groups of the research task, on tasks that the environment draws."""
    agent = DelegateAgent(LIMITS, **{"prompt": "", **settings})
    rollout = Rollout(pool=EnvPool(research, 5.0), agent=agent, concurrency=8)
    choices = [Choice(task, attempts) for task in research().tasks("train", tasks, 0)]
    groups = asyncio.run(rollout.groups(choices, cast, seed=0, strategy=independent))
    rollout.pool.close()
    return groups


@pytest.fixture(scope="module")
def played():
    """Demonstrations with slips: attempts with other numbers of calls, right and wrong ones."""
    groups = researched(scripted.expert(CHAT))
    calls = [len(e.trajectories) - 1 for group in groups for e in group.episodes]
    assert len(set(calls)) > 1
    return groups


def credits(groups, name):
    """Each trajectory's advantage by task, attempt and place."""
    record = algorithm(name)
    shaped = record.shape(groups)
    table = build_table(shaped)
    credit = record.advantage(table, shaped).tolist()
    of = dict(zip(table.trajectory.tolist(), credit, strict=True))
    episodes = [(g.task.id, e.attempt, t) for g in shaped for e in g.episodes for t in places(e)]
    return {place: of[i] for i, place in enumerate(episodes)}


def places(episode):
    return range(len(episode.trajectories))


def alone(episode):
    """The attempt as if it had sent nobody."""
    return replace(episode, trajectories=episode.trajectories[:1])


def sampled_subs(policy, chat):
    """Casts a main agent that sends twice and then answers, and sub-agents that sample."""

    @contextmanager
    def cast(stage, seed):
        main = Said(lambda read: ANSWER if read.count("<|assistant|>") > 2 else ONCE[0], chat)
        with seated({"sub": policy}, 1.0)(stage, seed) as players:
            yield {"main": main, **players}

    return cast


def test_rows_are_the_sampled_ids_of_all_agents(tiny):
    model = tiny.fresh()
    cast = sampled_subs(HFPolicy(model, tiny.chat), tiny.chat)
    sub = {"limits": {"turn_tokens": 6, "trajectory_tokens": 12}}
    groups = researched(cast, tasks=1, attempts=2, agents={"sub": sub})
    trajectories = [t for g in groups for e in g.episodes for t in e.trajectories]
    table = build_table(groups)
    sampled = [i for t in trajectories for turn in t.turns for i in turn.completion.ids]
    assert table.ids.tolist() == sampled
    assert [t.agent for t in trajectories] == ["main", "sub", "sub"] * 2
    rows = table.agent == table.names["agent"].index("sub")
    seen = Learner(model, algorithm("m_grpo"), 1).run(table, model).logprobs.detach()
    assert np.allclose(seen[rows], table.behaviour[rows], atol=1e-4)


def test_records_keep_parents_and_parts(played):
    for episode in played[0].episodes:
        again = read_episode(episode.task, json.loads(json.dumps(episode_record(0, episode))))
        for one, other in zip(episode.trajectories, again.trajectories, strict=True):
            assert (one.agent, one.parent, one.parts) == (other.agent, other.parent, other.parts)


@pytest.mark.parametrize("name", RECORDS)
def test_rewards_are_the_parts_with_the_main_agent_s_success(played, name):
    for group in algorithm(name).shape(played):
        for episode in group.episodes:
            main, *subs = episode.trajectories
            assert main.reward == pytest.approx(0.1 + 0.9 * main.success)
            share = (0.4 * main.success + 0.5 * s.parts["expert"] for s in subs)
            if name == "m_grpo_weight":
                assert [s.reward for s in subs] == pytest.approx([0.1 + x for x in share])


@pytest.mark.parametrize("name", RECORDS)
def test_relabelling_attempts_changes_no_credit(played, name):
    before = pytest.approx(credits(played, name))

    @given(st.permutations(range(4)), st.permutations(range(len(played))))
    @settings(max_examples=6)
    def check(attempts, order):
        moved = [replace(g, episodes=tuple(g.episodes[i] for i in attempts)) for g in played]
        assert credits([moved[i] for i in order], name) == before

    check()


@pytest.mark.parametrize("name", RECORDS)
def test_credit_ignores_other_queries(played, name):
    together = credits(played, name)
    for group in played:
        apart = credits([group], name)
        assert apart == pytest.approx({key: together[key] for key in apart})


@pytest.mark.parametrize("name", RECORDS)
def test_an_attempt_without_calls_adds_no_sub_agent(played, name):
    group = played[0]
    first, *others = group.episodes
    silent = credits([replace(group, episodes=(alone(first), *others))], name)
    without = credits([replace(group, episodes=tuple(others))], name)
    subs = {key: credit for key, credit in silent.items() if key[2]}
    assert subs == pytest.approx({key: credit for key, credit in without.items() if key[2]})
    assert (group.task.id, first.attempt, 0) in silent


def test_a_query_without_any_call_has_main_agents_only(played):
    group = replace(played[0], episodes=tuple(map(alone, played[0].episodes)))
    assert set(credits([group], "m_grpo_weight")) == {(group.task.id, i, 0) for i in range(4)}


@pytest.mark.parametrize("name", RECORDS)
def test_one_step_trains_both_agents(played, name):
    model = tiny_model(len(CHAT.tokenizer), hidden_size=16, layers=1, heads=2, context=512)
    learner = Learner(model, algorithm(name), 1)
    table = learner.algorithm.credit(build_table(groups := learner.algorithm.shape(played)), groups)
    before = [p.clone() for p in model.parameters()]
    metrics = learner.step(learner.annotate(table))
    assert np.isfinite(metrics["learner/loss"])
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    weight = learner.weigh(table).weight
    assert all((weight * table.advantage)[table.agent == code].abs().sum() > 0 for code in (0, 1))


def test_frozen_sub_agents_are_in_no_table():
    groups = play(team(ONCE), attempts=2, agents={"sub": {"trained": False}})
    shaped = algorithm("m_grpo_weight").shape(groups)
    assert [t.reward for e in shaped[0].episodes for t in e.trajectories] == pytest.approx(
        [1.0] * 4
    )
    table = build_table(shaped)
    assert (table.names["agent"], table.count("trajectory")) == (("main",), 2)
