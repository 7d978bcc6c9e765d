"""Start states: good answers are remembered by lines, and later attempts go on from there."""

import asyncio
import json
from contextlib import contextmanager

import numpy as np
import pytest
from builders import table_of

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.algorithms.rest_rl import REST_RL
from agentrl.backends.scripted import ScriptedPlayer
from agentrl.env import Reply, TextEnv
from agentrl.prefixes import prefix_chances
from agentrl.protocols import Choice
from agentrl.rollout import Rollout
from agentrl.stage import EnvPool
from agentrl.types import Source, Task, join

GOOD = "red\ngreen\nblue\npink\n"
TASK = Task(env="Poem", data={"lines": 4})


class Poem(TextEnv):
    """One answer; it is right if it holds four lines."""

    def begin(self, data):
        return "say four lines"

    def act(self, text):
        return Reply(done=True, success=text.count("\n") == 4)


def saying(tiny, *texts):
    """A cast whose players say one text each, in turn."""
    said = iter(texts)

    @contextmanager
    def cast(stage, seed):
        async def script():
            return next(said)

        yield {"main": ScriptedPlayer(tiny.chat, script)}

    return cast


def play(strategy, tiny, *texts, seed=0):
    """One group of two attempts."""
    pool = EnvPool(Poem, 5.0)
    rollout = Rollout(pool=pool, agent=ChatAgent(Limits(turn_tokens=200)), concurrency=1)
    cast, choices = saying(tiny, *texts), [Choice(TASK, 2)]
    groups = asyncio.run(rollout.groups(choices, cast, seed=seed, strategy=strategy))
    pool.close()
    return groups[0]


def learnt(tiny):
    """A strategy that has seen a good answer and a bad one."""
    strategy = REST_RL.strategy.started()
    group = play(strategy, tiny, GOOD, "grey")
    assert [episode.main.reward for episode in group.episodes] == [1.0, 0.0]
    return strategy


def seed_of_a_prefix(strategy, tiny):
    """The first seed under which a group starts from a prefix, and that group."""
    for seed in range(20):
        group = play(again(strategy), tiny, "gold", "teal", seed=seed)
        if group.episodes[0].hint:
            return seed, group
    raise AssertionError("no group started from a prefix")


def again(strategy):
    """The strategy after a checkpoint."""
    other = REST_RL.strategy.started()
    other.load_state_dict(json.loads(json.dumps(strategy.state_dict())))
    return other


def test_only_good_answers_of_mixed_groups_are_remembered(tiny):
    strategy = REST_RL.strategy.started()
    for texts in ((GOOD, GOOD), ("grey", "gold")):
        play(strategy, tiny, *texts)
        assert not strategy.live.prefixes
    play(strategy, tiny, "grey", GOOD)
    (prefixes,) = strategy.live.prefixes.values()
    assert len(prefixes) == 2, "half of four lines"
    assert all(GOOD.startswith(one) and one.endswith("\n") for one in prefixes)


def test_a_later_group_goes_on_from_a_prefix(tiny):
    strategy = learnt(tiny)
    _, group = seed_of_a_prefix(strategy, tiny)
    for episode, said in zip(group.episodes, ("gold", "teal"), strict=True):
        completion = episode.main.turns[0].completion
        begun = tiny.tokenizer.decode(join(completion.head))
        assert begun in strategy.live.prefixes[TASK.id]
        assert completion.text == begun + said
        assert episode.hint > 0


def test_a_prefix_is_context_and_never_a_row(tiny):
    _, group = seed_of_a_prefix(learnt(tiny), tiny)
    said = [episode.main.turns[0].completion for episode in group.episodes]
    assert {span.source for one in said for span in one.head} == {Source.TEMPLATE}
    table = table_of([group])
    assert table.ids.tolist() == np.concatenate([one.ids for one in said]).tolist()
    assert all(
        np.isin(join(one.head), sample.ids).all()
        for one, sample in zip(said, table.samples, strict=True)
    )


def test_what_follows_a_prefix_is_judged_with_it(tiny):
    strategy = learnt(tiny)
    strategy.live.prefixes = {TASK.id: ["red\ngreen\n"] * 50}
    group = play(strategy, tiny, "blue\npink\n", "grey")
    assert [episode.main.success for episode in group.episodes] == [True, False]
    assert all(GOOD.startswith(one) for one in strategy.live.prefixes[TASK.id])


def test_a_restored_strategy_starts_the_same(tiny):
    strategy = learnt(tiny)
    for seed in range(6):
        one, other = (play(again(strategy), tiny, "gold", "teal", seed=seed) for _ in range(2))
        same = play(REST_RL.strategy.but().started(), tiny, "gold", "teal", seed=seed)
        texts = [g.episodes[0].main.turns[0].completion.text for g in (one, other, same)]
        assert texts[0] == texts[1]
        assert texts[2] == "gold"
    assert again(strategy).state_dict() == strategy.state_dict()


def test_short_prefixes_are_likelier():
    chances = prefix_chances(4, 0.5)
    assert chances.tolist() == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15])
    assert prefix_chances(1, 0.95).tolist() == [1.0]
