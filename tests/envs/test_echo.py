"""The smallest environment: say the shown word back, one a turn."""

import numpy as np
import pytest

from agentrl.envs.echo import WORDS, Echo

TASK = {"task": {"words": ["red", "blue", "red"], "number": 0}}


def played(texts):
    env = Echo(turns=3)
    env.reset(options=TASK)
    return [env.step(text) for text in texts]


@pytest.mark.parametrize(
    ("texts", "rewards", "success"),
    [
        (["red", "blue", "red"], [1 / 3, 1 / 3, 1 / 3], True),
        ([" red\n", "blue", "red"], [1 / 3, 1 / 3, 1 / 3], True),
        (["blue", "blue", "red"], [0, 1 / 3, 1 / 3], False),
        (["", "", ""], [0, 0, 0], False),
        (["say red", "RED", "red red"], [0, 0, 0], False),
    ],
)
def test_each_turn_pays_its_share(texts, rewards, success):
    steps = played(texts)
    assert [reward for _, reward, *_ in steps] == pytest.approx(rewards)
    assert [terminated for _, _, terminated, *_ in steps] == [False, False, True]
    assert steps[-1][-1]["success"] is success


def test_every_turn_shows_its_word():
    env = Echo(turns=3)
    assert env.reset(options=TASK)[0] == "say red"
    assert [env.step(text)[0] for text in ("red", "blue", "red")] == ["say blue", "say red", ""]


def test_an_episode_starts_anew():
    env = Echo(turns=3)
    for _ in range(2):
        env.reset(options=TASK)
        steps = [env.step(env.oracle()) for _ in range(3)]
        assert steps[-1][-1]["success"] is True
        assert sum(reward for _, reward, *_ in steps) == pytest.approx(1.0)


def test_the_expert_says_any_word():
    env, rng = Echo(words=4), np.random.default_rng(0)
    assert {env.expert(rng) for _ in range(60)} == set(WORDS[:4])
