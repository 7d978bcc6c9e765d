"""Episodes end as they must: failures and limits are statuses, seeds fix everything."""

import asyncio
import itertools
import time
from collections import Counter

import numpy as np
import pytest

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.backends import scripted
from agentrl.backends.hf import HFPolicy
from agentrl.env import Reply, TextEnv, make
from agentrl.errors import ConfigError, EnvError, PolicyError, ToolError
from agentrl.protocols import Choice
from agentrl.rollout import Plan, Rollout, SeatedPolicy, derive_seed, failure_status, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Episode, Finish, Message, Source, Status, Task, Trajectory, join

LONG = Limits(turn_tokens=1000, trajectory_tokens=10_000, context_tokens=10_000)
CUT = Limits(turn_tokens=60)
"""About where the tiny model ends half of its turns by itself."""


class Moody(TextEnv):
    """Takes five turns; its task says in which mood, and moods show in the second turn."""

    max_turns = 5

    def begin(self, data):
        return "go"

    def act(self, text):
        mood = self.data["mood"] if self.turn == 2 else ""
        if mood == "raises":
            raise ValueError("bad mood")
        if mood == "tool":
            raise ToolError("the tool broke")
        if mood == "hangs":
            time.sleep(1.0)
        if mood == "nan":
            return Reply(parts={"mood": float("nan")})
        return Reply(text="ok", parts={"turns": 1.0}, done=mood == "done", success=mood == "done")

    def step(self, action):
        babbles = self.data["mood"] == "babbles" and self.turn == 1
        return "what" if babbles else super().step(action)

    def oracle(self):
        return " red"  # one token


class Broken(HFPolicy):
    """Fails in the second turn."""

    async def complete(self, context, sampling):
        if any(span.source is Source.SAMPLED for span in context):
            raise PolicyError("the engine is gone")
        return await super().complete(context, sampling)


def task(mood="", number=0):
    return Task(env="Moody", data={"mood": mood, "number": number})


def play(tasks, cast, *, env=Moody, limits=LONG, attempts=1, deadline=5.0, seed=0, agent=None):
    """All main trajectories, in order."""
    rollout = Rollout(pool=EnvPool(env, deadline), agent=agent or ChatAgent(limits), concurrency=8)
    playing = rollout.groups(
        [Choice(t, attempts) for t in tasks], cast, seed=seed, strategy=independent
    )
    groups = asyncio.run(playing)
    rollout.pool.close()
    return [episode.main for group in groups for episode in group.episodes]


def policy_cast(tiny, temperature=1.0, kind=HFPolicy, **options):
    return seated({"main": kind(tiny.fresh(), tiny.chat, **options)}, temperature)


# ---- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "status", "message"),
    [
        ("raises", Status.ENV_FAILED, "step raised ValueError: bad mood"),
        ("hangs", Status.ENV_FAILED, "step did not answer within 0.2 s"),
        ("nan", Status.ENV_FAILED, "step answered 'nan', not a finite reward"),
        ("babbles", Status.ENV_FAILED, "step answered 'what', not (text, reward"),
        ("tool", Status.TOOL_FAILED, "the tool broke"),
    ],
)
def test_a_failure_costs_its_own_episode_only(tiny, mood, status, message):
    tasks = [task(mood), task(), task("done")]
    failed, slow, done = play(tasks, scripted.oracle(tiny.chat), deadline=0.2)
    assert failed.status is status
    assert message in failed.error
    assert (len(failed.turns), failed.reward, failed.success) == (1, 1.0, False)
    assert (slow.status, len(slow.turns), slow.error) == (Status.TURN_LIMIT, 5, "")
    assert (done.status, len(done.turns), done.success) == (Status.COMPLETED, 2, True)


def test_a_failed_attempt_leaves_the_others_of_its_group(tiny):
    calls = Counter()

    class Once(Moody):
        def act(self, text):
            calls["act"] += 1
            return 1 / 0 if calls["act"] == 1 else super().act(text)

    statuses = Counter(
        t.status for t in play([task()], scripted.oracle(tiny.chat), env=Once, attempts=4)
    )
    assert statuses == {Status.ENV_FAILED: 1, Status.TURN_LIMIT: 3}


def test_a_policy_that_fails_is_a_status(tiny):
    (failed,) = play([task()], policy_cast(tiny, kind=Broken))
    assert (failed.status, failed.error) == (Status.POLICY_FAILED, "the engine is gone")
    assert len(failed.turns) == 1


def test_an_environment_that_cannot_be_made_is_a_status(tiny):
    (failed,) = play([task()], scripted.oracle(tiny.chat), env=lambda: 1 / 0)
    assert failed.status is Status.ENV_FAILED
    assert "cannot make the environment: ZeroDivisionError" in failed.error


def test_a_script_that_is_no_text_is_a_status(tiny):
    class Mute(Moody):
        def oracle(self):
            return None

    (failed,) = play([task()], scripted.oracle(tiny.chat), env=Mute)
    assert (failed.status, failed.error) == (Status.ENV_FAILED, "the script said None: give a text")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EnvError(""), Status.ENV_FAILED),
        (ToolError(""), Status.TOOL_FAILED),
        (PolicyError(""), Status.POLICY_FAILED),
    ],
)
def test_errors_name_their_status(error, status):
    assert failure_status(error) is status
    assert status.failed
    assert not status.truncated


def test_an_error_of_the_agent_itself_is_no_data(tiny):
    async def agent(task, stage, players):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        play([task()], scripted.oracle(tiny.chat), agent=agent)


# ---- limits -------------------------------------------------------------------------------------


def test_a_turn_that_is_cut_goes_on(tiny):
    (played,) = play([task()], policy_cast(tiny), limits=Limits(turn_tokens=2))
    assert played.status is Status.TURN_LIMIT
    assert len(played.turns) == 5
    assert Finish.LENGTH in {turn.completion.finish for turn in played.turns}
    assert max(len(turn.completion.ids) for turn in played.turns) == 2


def test_the_template_closes_what_was_cut_and_only_that(tiny):
    played = play([task(number=n) for n in range(3)], policy_cast(tiny), limits=CUT)
    pairs = [pair for t in played for pair in itertools.pairwise(t.turns)]
    finishes = set()
    for before, after in pairs:
        context = join(after.spans)[len(join(before.spans)) :]
        assert list(context).count(tiny.chat.end_id) == 2, "the policy's turn and the user's"
        finishes.add(before.completion.finish)
    assert finishes == {Finish.STOP, Finish.LENGTH}


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"trajectory_tokens": 7}, Status.TOKEN_LIMIT),
        ({"context_tokens": 22}, Status.CONTEXT_LIMIT),
        ({"episode_seconds": 0.0}, Status.TIME_LIMIT),
    ],
)
def test_each_limit_has_its_status(tiny, limits, status):
    (played,) = play([task()], policy_cast(tiny), limits=Limits(**{"turn_tokens": 4, **limits}))
    assert (played.status, played.status.truncated, played.success) == (status, True, False)
    assert played.num_tokens <= limits.get("trajectory_tokens", 99)
    context = [len(join(t.spans)) + len(t.completion.ids) for t in played.turns]
    assert max(context, default=0) <= limits.get("context_tokens", 99)


def test_what_a_limit_cut_is_not_played(tiny):
    (played,) = play([task()], scripted.oracle(tiny.chat), limits=Limits(trajectory_tokens=3))
    assert (played.status, played.num_tokens) == (Status.TOKEN_LIMIT, 3)
    assert [turn.reply for turn in played.turns] == ["ok", ""]
    assert played.turns[-1].completion.finish is Finish.LENGTH


def test_a_completion_that_ends_at_the_limit_is_played(tiny):
    (played,) = play([task("done")], scripted.oracle(tiny.chat), limits=Limits(trajectory_tokens=4))
    assert (played.status, played.num_tokens, played.success) == (Status.COMPLETED, 4, True)


def test_time_is_checked_between_turns(tiny):
    class Slow(Moody):
        def act(self, text):
            time.sleep(0.15)
            return super().act(text)

    limits = Limits(episode_seconds=0.2)
    (played,) = play([task()], scripted.oracle(tiny.chat), env=Slow, limits=limits)
    assert played.status is Status.TIME_LIMIT
    assert 0 < len(played.turns) < 5
    assert 0.1 < played.env_seconds <= played.seconds


# ---- what an episode holds ----------------------------------------------------------------------


def test_turns_hold_the_whole_ledger(tiny):
    (played,) = play([task()], policy_cast(tiny), limits=Limits(turn_tokens=3))
    for before, after in zip(played.turns, played.turns[1:], strict=False):
        kept = (*before.spans, after.spans[len(before.spans)])
        assert after.spans[: len(kept)] == kept
        assert kept[-1].source is Source.SAMPLED
        assert kept[-1].ids is before.completion.ids
    assert played.parts == {"turns": 5.0}
    assert played.reward == 5.0


def test_the_system_prompt_opens_the_conversation(tiny):
    class Polite(Moody):
        system_prompt = "be red"

    (played,) = play([task()], scripted.oracle(tiny.chat), env=Polite)
    text = tiny.tokenizer.decode(join(played.turns[0].spans))
    assert text == "<|system|>be red<|end|><|user|>go<|end|><|assistant|>"


@pytest.mark.parametrize("name", ["agentrl/Echo-v0", "agentrl/Sparql-v0", "agentrl/Sudoku-v0"])
def test_the_scripted_oracle_solves(tiny, name):
    env = make(name)
    played = play(env.tasks("test", 4, 0), scripted.oracle(tiny.chat), env=lambda: make(name))
    assert all(trajectory.success for trajectory in played)
    assert {trajectory.status for trajectory in played} == {Status.COMPLETED}
    assert {turn.completion.policy for t in played for turn in t.turns} == {"script"}


def test_the_scripted_expert_follows_its_seed(tiny):
    env = make("agentrl/Echo-v0", turns=6)
    tasks = env.tasks("train", 2, 0)

    def said(seed):
        played = play(
            tasks, scripted.expert(tiny.chat), env=lambda: make(env.id, turns=6), seed=seed
        )
        return [turn.completion.text for trajectory in played for turn in trajectory.turns]

    assert said(1) == said(1) != said(2)


# ---- seeds and concurrency ----------------------------------------------------------------------


def drawn(trajectories):
    return [turn.completion.ids.tolist() for t in trajectories for turn in t.turns]


def test_the_same_seed_plays_the_same_episodes(tiny):
    limits, tasks = Limits(turn_tokens=4), [task(number=n) for n in range(3)]
    once, again, other = (
        play(tasks, policy_cast(tiny), limits=limits, attempts=2, seed=seed) for seed in (5, 5, 6)
    )
    assert drawn(once) == drawn(again) != drawn(other)


def test_attempts_and_turns_differ(tiny):
    played = play([task()], policy_cast(tiny), limits=Limits(turn_tokens=8), attempts=3)
    assert len({tuple(ids) for ids in drawn(played)}) == 15


def test_every_call_of_an_episode_draws_anew(tiny):
    player = SeatedPolicy(HFPolicy(tiny.fresh(), tiny.chat), 1.0, seed=0)
    context = tiny.chat.opening([Message("user", "go")]).spans

    async def twice():
        return [await player.complete(context, 8) for _ in range(2)]

    first, second = asyncio.run(twice())
    assert first.ids.tolist() != second.ids.tolist()


def test_a_task_plays_the_same_among_others(tiny):
    limits, mine = Limits(turn_tokens=4), task(number=1)
    (alone,) = play([mine], policy_cast(tiny), limits=limits)
    among = play([task(number=2), mine, task(number=3)], policy_cast(tiny), limits=limits)[1]
    assert drawn([alone]) == drawn([among])


def test_derived_seeds_depend_on_every_part():
    seeds = [
        derive_seed(0, "a", 1),
        derive_seed(0, "a", 2),
        derive_seed(0, "b", 1),
        derive_seed(1, "a", 1),
    ]
    assert len(set(seeds)) == 4
    assert derive_seed(0, "a", 1) == seeds[0]
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("bound", [1, 3])
def test_concurrency_is_bounded(bound):
    playing, most = 0, 0

    async def agent(task, stage, players):
        nonlocal playing, most
        playing += 1
        most = max(most, playing)
        await asyncio.sleep(0.002)
        playing -= 1
        return Episode(task=task, trajectories=(Trajectory(),))

    rollout = Rollout(pool=EnvPool(Moody, 5.0), agent=agent, concurrency=bound)
    tasks, nobody = [task(number=n) for n in range(4)], seated({}, 1.0)
    groups = asyncio.run(
        rollout.groups([Choice(t, 3) for t in tasks], nobody, seed=0, strategy=independent)
    )
    assert most == bound
    assert [[e.attempt for e in g.episodes] for g in groups] == [[0, 1, 2]] * 4


@pytest.mark.parametrize("name", ["tasks", "attempts", "concurrency"])
def test_a_plan_plays_something(name):
    with pytest.raises(ConfigError, match=f"rollout.{name} is 0: give at least 1"):
        Plan(**{name: 0})


def test_scripted_log_probs_are_zero(tiny):
    (played,) = play([task("done")], scripted.oracle(tiny.chat))
    assert not np.concatenate([turn.completion.logprobs for turn in played.turns]).any()
