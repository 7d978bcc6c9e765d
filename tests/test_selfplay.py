"""Self-play: both sides are played, each hears its own news, one of them is trained."""

import time
from contextlib import contextmanager

import numpy as np
import pytest
from runs import played

from agentrl.agents.chat import Limits
from agentrl.agents.selfplay import SelfPlayAgent
from agentrl.algorithms import algorithm
from agentrl.backends import scripted
from agentrl.backends.hf import HFPolicy
from agentrl.backends.scripted import ScriptedPlayer
from agentrl.env import Reply, TextEnv
from agentrl.episodes import episode_record, read_episode
from agentrl.errors import ConfigError, EnvError, PolicyError
from agentrl.learner import Learner
from agentrl.rollout import seated
from agentrl.samples import merge
from agentrl.segments import anchors
from agentrl.table import build_table
from agentrl.types import Source, Status, Task

LIMITS = Limits(turn_tokens=8, trajectory_tokens=100, context_tokens=200)
WORDS = ("red", "green", "blue")


class Duel(TextEnv):
    """Two players name colours in turn; whoever makes the sixth move pays the learner."""

    max_turns = 6

    def __init__(self, *, learner=0, breaks=0, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.learner, self.breaks = learner, breaks

    def begin(self, data):
        return f"say {WORDS[0]}"

    def act(self, text):
        if self.turn == self.breaks:
            raise EnvError("the board fell down")
        done = self.turn == 6
        parts = {"won": 1.0, "move": 0.0} if done else {"move": 0.1}
        return Reply(text=f"say {WORDS[self.turn % 3]}", parts=parts, done=done, success=done)

    def oracle(self):
        return WORDS[self.turn % 2]

    def reset(self, **options):
        text, info = super().reset(**options)
        return text, {**info, "player": 0, "learner": self.learner}

    def step(self, action):
        *told, info = super().step(action)
        return (*told, {**info, "player": self.turn % 2, "learner": self.learner})


class Alone(Duel):
    """Says nothing of players."""

    def reset(self, **options):
        return TextEnv.reset(self, **options)


def play(cast, env=Duel, limits=LIMITS, **arguments):
    tasks = [Task(env="Duel", data={"number": 0})]
    return played(cast, SelfPlayAgent(limits), lambda: env(**arguments), tasks=tasks)


def sides(groups):
    """Both trajectories of the first episode."""
    return groups[0].episodes[0].trajectories


@pytest.mark.parametrize("learner", [0, 1])
def test_each_side_says_every_other_move(tiny, learner):
    main, other = sides(play(scripted.oracle(tiny.chat), learner=learner))
    assert [turn.completion.text for turn in main.turns] == [WORDS[learner]] * 3
    assert [turn.completion.text for turn in other.turns] == [WORDS[1 - learner]] * 3
    assert (main.agent, other.agent) == ("main", "opponent")
    assert (main.status, main.success, other.success) == (Status.COMPLETED, True, False)


@pytest.mark.parametrize("learner", [0, 1])
def test_the_learner_is_paid_for_all_moves(tiny, learner):
    main, other = sides(play(scripted.oracle(tiny.chat), learner=learner))
    assert main.reward == pytest.approx(2.5)
    assert main.parts == pytest.approx({"won": 1.0, "move": 0.5, "solved": 1.0})
    assert other.reward == 0
    assert main.turns[-1].reward == pytest.approx(2.1 if learner == 0 else 2.0)


def test_each_side_hears_its_own_news(tiny):
    main, other = sides(play(scripted.oracle(tiny.chat)))
    texts = [
        [tiny.tokenizer.decode(s.ids) for s in side.turns[-1].spans if s.source is Source.ENV]
        for side in (main, other)
    ]
    assert texts[0] == ["say red", "say blue", "say green"]
    assert texts[1] == ["say green", "say red", "say blue"]
    assert [turn.reply for turn in main.turns] == ["say blue", "say green", "say red"]


def test_only_the_learner_is_trained_on_exactly_what_it_sampled(tiny):
    model = tiny.fresh()
    groups = play(seated({"main": HFPolicy(model, tiny.chat)}, 1.0))
    table = build_table(groups)
    mains = [e.main.turns for e in groups[0].episodes]
    assert table.ids.tolist() == [t for turns in mains for u in turns for t in u.completion.ids]
    learner = Learner(model, algorithm("grpo"), 1)
    assert np.allclose(learner.run(table, model).logprobs.detach(), table.behaviour, atol=1e-4)
    assert all(len(merge(side)[0]) == 1 for side in sides(groups))


def test_another_policy_may_be_the_opponent(tiny):
    one, two = (HFPolicy(tiny.fresh(seed), tiny.chat, name=n) for seed, n in ((0, "a"), (1, "b")))
    main, other = sides(play(seated({"main": one, "opponent": two}, 1.0)))
    assert {turn.completion.policy for turn in main.turns} == {"a"}
    assert {turn.completion.policy for turn in other.turns} == {"b"}


def test_episodes_come_back_from_their_record(tiny):
    episode = play(scripted.oracle(tiny.chat))[0].episodes[0]
    again = read_episode(episode.task, episode_record(0, episode))
    assert [t.agent for t in again.trajectories] == ["main", "opponent"]
    assert not any(turn.trained for turn in again.trajectories[1].turns)


def test_what_breaks_is_the_status_of_both(tiny):
    main, other = sides(play(scripted.oracle(tiny.chat), breaks=4))
    assert (main.status, other.status) == (Status.ENV_FAILED, Status.ENV_FAILED)
    assert main.error == "the board fell down"
    assert (len(main.turns), len(other.turns)) == (2, 2)


def test_a_sides_limit_ends_the_episode(tiny):
    limits = Limits(turn_tokens=8, trajectory_tokens=6, context_tokens=200)
    main, _ = sides(play(scripted.oracle(tiny.chat), limits=limits))
    assert main.status is Status.TOKEN_LIMIT
    assert len(main.turns) == 2


def test_a_game_that_the_opponent_ends_at_once_pays_without_turns(tiny):
    class Short(Duel):
        max_turns = 1

    main, other = sides(play(scripted.oracle(tiny.chat), env=Short, learner=1))
    assert (main.turns, main.reward, main.status) == ((), 0.1, Status.TURN_LIMIT)
    assert len(other.turns) == 1


def test_a_part_may_be_named_reward_before_the_learner_s_first_turn(tiny):
    class Named(Duel):
        def step(self, action):
            *told, info = super().step(action)
            return (*told, {**info, "parts": {"reward": 1.0}})

    main, _ = sides(play(scripted.oracle(tiny.chat), env=Named, learner=1))
    assert (main.status, main.parts["reward"]) == (Status.COMPLETED, 6.0)


@pytest.mark.parametrize("gone", ["main", "opponent"])
def test_a_side_whose_policy_fails_is_named_by_the_main_one(tiny, gone):
    players = {name: ScriptedPlayer(tiny.chat, said) for name in ("main", "opponent")}
    players[gone] = ScriptedPlayer(tiny.chat, lost)

    @contextmanager
    def cast(stage, seed):
        yield players

    trajectories = sides(play(cast))
    assert {t.status for t in trajectories} == {Status.POLICY_FAILED}
    assert trajectories[0].error == "the engine is gone"


async def said():
    return WORDS[0]


async def lost():
    raise PolicyError("the engine is gone")


def test_no_time_left_is_a_limit(tiny):
    limits = Limits(turn_tokens=8, trajectory_tokens=100, context_tokens=200, episode_seconds=-1)
    (main,) = sides(play(scripted.oracle(tiny.chat), limits=limits))
    assert (main.status, main.turns) == (Status.TIME_LIMIT, ())


def test_the_episode_s_seconds_are_the_learner_s(tiny):
    class Slow(Duel):
        def act(self, text):
            time.sleep(0.02)
            return super().act(text)

    main, _ = sides(play(scripted.oracle(tiny.chat), env=Slow))
    assert main.seconds >= main.env_seconds >= 6 * 0.02


@pytest.mark.parametrize("learner", [0, 1])
def test_states_are_the_environment_s(tiny, learner):
    class Stated(Duel):
        def step(self, action):
            *told, info = super().step(action)
            return (*told, {**info, "state": f"after {self.turn}"})

    main, _ = sides(play(scripted.oracle(tiny.chat), env=Stated, learner=learner))
    first = "after 1" if learner else None
    assert anchors(main) == [first, f"after {2 + learner}", f"after {4 + learner}"]


def test_who_moves_second_does_not_begin_where_the_task_does(tiny):
    main, other = sides(play(scripted.oracle(tiny.chat)))
    assert anchors(main) == [None, "say blue", "say green"]
    assert anchors(other) == ["say green", "say red", "say blue"]


def test_an_environment_without_players_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"needs info\['player'\], which Duel does not give"):
        play(scripted.oracle(tiny.chat), env=Alone)
