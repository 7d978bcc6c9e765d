"""Programs of several roles: ledgers, parents, rewards, limits and faults are the library's."""

import asyncio

import numpy as np
import pytest
from runs import played, small, trained

from agentrl.agents.chat import Limits
from agentrl.agents.program import FunctionAgent, program
from agentrl.agents.scene import RoleEnded
from agentrl.algorithms import algorithm
from agentrl.backends import scripted
from agentrl.backends.hf import HFPolicy
from agentrl.env import Reply, TextEnv
from agentrl.episodes import episode_record, read_episode
from agentrl.errors import ConfigError, PolicyError, ToolError
from agentrl.learner import Learner
from agentrl.rollout import seated
from agentrl.table import build_table
from agentrl.types import Parent, Source, Status, Task

LIMITS = Limits(turn_tokens=4, trajectory_tokens=60, context_tokens=200)


class Traffic(TextEnv):
    """Three turns of a light; every one pays."""

    max_turns = 5

    def begin(self, data):
        return "red"

    def act(self, text):
        done = self.turn == 3
        return Reply(text="green", parts={"turn": 1.0}, done=done, success=done)

    def oracle(self):
        return "blue"


async def reviewed(scene):
    """A writer asks two critics at once before it acts."""
    writer = scene.role("writer", system="say")
    while not scene.over:
        await writer.says(scene.messages)
        critics = [scene.role("critic", parent=writer, trained=False) for _ in range(2)]
        heard = await asyncio.gather(*(c.says(f"you said {scene.text}") for c in critics))
        critics[0].earns(0.5, taste=0.5)
        await scene.act(await writer.says(" ".join(heard), fresh=True), writer)


async def silent(scene, *, role: str = ""):
    if role:
        scene.role(role)


async def broken(scene):
    await scene.role("main").says("red")
    raise KeyError("green")


async def chatter(scene):
    """A helper talks until it may not; the main role goes on."""
    main = scene.role("main")
    await main.says("red")
    helper = scene.role("helper", parent=main, limits=Limits(turn_tokens=4, trajectory_tokens=6))
    try:
        while True:
            await helper.says("green")
    except RoleEnded as ended:
        await scene.act(await main.says(ended.role.status.value), main)


async def endless(scene):
    main = scene.role("main")
    while True:
        await main.says("red")


async def stranger(scene):
    scene.role("main", policy="nobody")


def play(cast, function, attempts=2, **settings):
    agent = FunctionAgent(LIMITS, function=f"{__name__}:{function}", **settings)
    tasks = [Task(env="Traffic", data={"number": 0})]
    return played(cast, agent, Traffic, tasks=tasks, attempts=attempts)


@pytest.fixture
def cast(tiny):
    return seated({"main": HFPolicy(tiny.fresh(), tiny.chat)}, 1.0)


def test_every_role_is_a_trajectory_and_calls_have_parents(cast):
    episode = play(cast, "reviewed")[0].episodes[0]
    assert [t.agent for t in episode.trajectories] == ["writer", *["critic"] * 6]
    parents = [t.parent for t in episode.trajectories[1:]]
    assert parents == [Parent(0, 2 * turn, call) for turn in range(3) for call in range(2)]
    assert episode.main.status is Status.COMPLETED
    assert episode.main.success


def test_what_is_paid_is_the_main_role_s(cast):
    episode = play(cast, "reviewed")[0].episodes[0]
    assert [turn.reward for turn in episode.main.turns] == [0, 1, 0, 1, 0, 2]
    assert episode.main.parts["turn"] == 3.0
    assert [t.reward for t in episode.trajectories[1:3]] == [0.5, 0.0]
    assert episode.trajectories[1].parts == {"taste": 0.5}


def test_what_is_trained_is_what_was_sampled(tiny):
    model = tiny.fresh()
    groups = play(seated({"main": HFPolicy(model, tiny.chat)}, 1.0), "reviewed")
    table = build_table(groups)
    turns = [turn for e in groups[0].episodes for turn in e.main.turns]
    assert table.ids.tolist() == [token for turn in turns for token in turn.completion.ids]
    learner = Learner(model, algorithm("grpo"), 1)
    assert np.allclose(learner.run(table, model).logprobs.detach(), table.behaviour, atol=1e-4)


def test_a_fresh_turn_reads_nothing_of_before(cast):
    second = play(cast, "reviewed")[0].episodes[0].main.turns[1]
    sampled = [span for span in second.spans if span.source is Source.SAMPLED]
    assert not sampled
    assert len(build_table(play(cast, "reviewed")).samples) > 2 * 3


def test_parallel_roles_draw_the_same_whatever_their_order(cast):
    once, again = (play(cast, "reviewed") for _ in range(2))
    texts = [
        [turn.completion.text for t in group.episodes[0].trajectories for turn in t.turns]
        for group in (*once, *again)
    ]
    assert texts[0] == texts[1]
    subs = once[0].episodes[0].trajectories[1:]
    assert len({t.turns[0].completion.text for t in subs}) > 1, "roles must not share their draws"


def test_a_helper_s_limit_is_its_own(cast):
    episode = play(cast, "chatter")[0].episodes[0]
    main, helper = episode.trajectories
    assert (main.status, helper.status) == (Status.COMPLETED, Status.TOKEN_LIMIT)
    assert main.reward == 1.0
    assert helper.num_tokens <= 6


def test_an_uncaught_limit_ends_the_episode(cast):
    main = play(cast, "endless")[0].episodes[0].main
    assert main.status is Status.TOKEN_LIMIT
    assert main.num_tokens <= LIMITS.trajectory_tokens


@pytest.mark.parametrize(
    ("function", "error"),
    [("broken", "broken: KeyError: 'green'"), ("silent", "the program opened no role")],
)
def test_a_program_that_breaks_is_data(cast, function, error):
    main = play(cast, function)[0].episodes[0].main
    assert main.status is Status.TOOL_FAILED
    assert error in main.error
    assert len(main.turns) == (function == "broken"), "turns before the fault stay"


def test_a_run_whose_program_always_breaks_stops_with_its_error(tmp_path):
    agent = {"name": "program", "function": f"{__name__}:broken"}
    run = small(tmp_path / "run", agent=agent, warm_start=None)
    with pytest.raises(ToolError, match=r"a tool failed in all 8 episodes .* KeyError: 'green'"):
        trained(run)


def test_a_failed_policy_fails_its_role_and_the_episode(tiny):
    class Gone:
        name, version, chat = "main", 0, tiny.chat

        async def complete(self, context, sampling):
            raise PolicyError("the engine is gone")

        def seat(self):
            return HFPolicy(tiny.fresh(), tiny.chat).seat()

    main = play(seated({"main": Gone()}, 1.0), "chatter")[0].episodes[0].main
    assert (main.status, main.error) == (Status.POLICY_FAILED, "the engine is gone")


def test_a_policy_named_like_a_role_plays_it(tiny):
    one, two = (HFPolicy(tiny.fresh(seed), tiny.chat) for seed in (1, 2))
    two.name = "critic"
    episode = play(seated({"main": one, "critic": two}, 1.0), "reviewed")[0].episodes[0]
    spoke = {t.agent: {turn.completion.policy for turn in t.turns} for t in episode.trajectories}
    assert spoke == {"writer": {"main"}, "critic": {"critic"}}


def test_records_keep_every_role(cast):
    episode = play(cast, "reviewed")[0].episodes[0]
    again = read_episode(episode.task, episode_record(0, episode))
    assert [t.parent for t in again.trajectories] == [t.parent for t in episode.trajectories]
    rows = build_table([type(play(cast, "silent")[0])(task=episode.task, episodes=(again,))])
    assert rows.names["agent"] == ("writer",)


def test_demonstrations_play_programs(tiny):
    episode = play(scripted.oracle(tiny.chat), "reviewed")[0].episodes[0]
    assert {turn.completion.text for turn in episode.main.turns} == {"blue"}
    assert episode.main.success


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("", "give module:name"),
        ("nowhere:x", "cannot import 'nowhere'"),
        (f"{__name__}:LIMITS", "no async function"),
        (f"{__name__}:nothing", "no async function"),
    ],
)
def test_what_is_no_program_is_told_at_once(function, words):
    with pytest.raises(ConfigError, match=words):
        program(function)


def test_arguments_are_the_function_s(cast):
    assert play(cast, "silent", arguments={"role": "lone"})[0].episodes[0].main.agent == "lone"
    with pytest.raises(ConfigError, match="did you mean 'role'"):
        play(cast, "silent", arguments={"rule": "lone"})


def test_a_policy_that_the_run_does_not_have(cast):
    with pytest.raises(ConfigError, match="wants the policy 'nobody'"):
        play(cast, "stranger")
