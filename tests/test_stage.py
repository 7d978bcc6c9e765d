"""An environment that raises, hangs or babbles costs its own episode, and says what it did."""

import asyncio
import subprocess
import sys
import time

import gymnasium
import numpy as np
import pytest

from agentrl.errors import ConfigError, DataError, EnvError, ToolError
from agentrl.stage import EnvPool
from agentrl.types import Task

TASK = Task(env="odd", data={}, seed=7)
FINE = ("text", 1.0, False, False, {"success": False})


class Odd(gymnasium.Env):
    """Does what it is given: a value to answer, an exception to raise or a function to call."""

    def __init__(self, step=FINE, reset=("hello", {})):
        self.answers = {"step": step, "reset": reset}
        self.closed = False

    def reset(self, *, seed=None, options=None):
        self.seed, self.options = seed, options
        return self.give("reset")

    def step(self, action):
        return self.give("step")

    def give(self, name):
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    def close(self):
        self.closed = True


def use(pool, *calls):
    """Open a stage and make the calls; returns the stage and the last answer."""

    async def play():
        async with pool.stage() as stage:
            answer = None
            for name, *arguments in calls:
                answer = await getattr(stage, name)(*arguments)
            return stage, answer

    return asyncio.run(play())


def pool_of(*envs, deadline=5.0):
    made = iter(envs)
    return EnvPool(lambda: next(made), deadline)


def fails(env, *calls, deadline=5.0):
    with pytest.raises(EnvError) as caught:
        use(pool_of(env, deadline=deadline), *calls or [("reset", TASK), ("step", "hi")])
    return str(caught.value)


def test_gymnasiums_words_come_through():
    env = Odd()
    _, answer = use(pool_of(env), ("reset", TASK), ("step", "hi"))
    assert answer == FINE
    assert (env.seed, env.options) == (7, {"task": TASK, "calls": "plain"})


@pytest.mark.parametrize("reward", [1, True, np.float32(1), np.int64(1), np.float64(1)])
def test_any_finite_number_is_a_reward(reward):
    _, (_, found, over, cut, _) = use(
        pool_of(Odd(("t", reward, np.bool_(True), np.bool_(False), {}))), ("step", "hi")
    )
    assert (found, over, cut) == (1.0, True, False)
    assert [type(value) for value in (found, over, cut)] == [float, bool, bool]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (None, "step answered 'None', not (text, reward"),
        (("text", 1.0, False, {}), "not (text, reward, terminated, truncated, info)"),
        ((b"text", 1.0, False, False, {}), "not (text, reward, terminated, truncated, info)"),
        (("lone \ud800", 1.0, False, False, {}), "not (text, reward, terminated, truncated, info)"),
        (("text", float("nan"), False, False, {}), "step answered 'nan', not a finite reward"),
        (("text", float("-inf"), False, False, {}), "step answered '-inf', not a finite reward"),
        (("text", "1", False, False, {}), "step answered '1', not a finite reward"),
        (("text", None, False, False, {}), "step answered 'None', not a finite reward"),
        (("text", 1.0, False, False, None), "not an info mapping whose parts are finite"),
        (("text", 1.0, False, False, {"parts": {"a": "1"}}), "whose parts are finite numbers"),
        (("text", 1.0, False, False, {"parts": [1.0]}), "whose parts are finite numbers"),
        (ValueError("bad move"), "step raised ValueError: bad move"),
        (KeyError("x"), "step raised KeyError: 'x'"),
        (TimeoutError("proxy"), "step raised TimeoutError: proxy"),
        (DataError("no puzzle"), "step raised DataError: no puzzle"),
        (StopIteration("end"), "step raised RuntimeError: StopIteration: end"),
        (SystemExit(3), "step raised RuntimeError: SystemExit: 3"),
        (asyncio.CancelledError(), "step raised RuntimeError: CancelledError"),
    ],
    ids=str,
)
def test_nonsense_is_an_environment_error(step, message):
    assert message in fails(Odd(step))


@pytest.mark.parametrize("reset", ["hello", ("hello",), (None, {}), ("hello", None)])
def test_a_nonsensical_reset_is_an_environment_error(reset):
    assert "reset answered" in fails(Odd(reset=reset))


def test_long_nonsense_is_cut():
    assert len(fails(Odd("x" * 10_000))) < 400


def test_tools_and_configurations_keep_their_errors():
    with pytest.raises(ToolError, match="engine"):
        use(pool_of(Odd(ToolError("engine"))), ("step", "hi"))
    with pytest.raises(ConfigError, match="size"):
        use(pool_of(Odd(ConfigError("size"))), ("step", "hi"))


def test_a_hanging_call_is_abandoned_at_its_deadline():
    started = time.perf_counter()
    message = fails(Odd(lambda: time.sleep(1.0)), deadline=0.05)
    assert "step did not answer within 0.05 s" in message
    assert "rollout.deadline_seconds" in message
    assert time.perf_counter() - started < 0.9


def test_an_environment_that_cannot_be_made_is_an_environment_error():
    with pytest.raises(EnvError, match="cannot make the environment: ZeroDivisionError"):
        use(EnvPool(lambda: 1 / 0, 5.0))


def test_a_missing_method_is_an_environment_error():
    assert "oracle raised AttributeError" in fails(Odd(), ("ask", "oracle"))


def test_other_methods_can_be_asked():
    env = Odd()
    env.oracle = lambda number: f"say {number}"
    assert use(pool_of(env), ("ask", "oracle", 3))[1] == "say 3"


# ---- the pool -----------------------------------------------------------------------------------


def test_a_good_environment_is_used_again():
    pool = pool_of(Odd())
    first, second = (use(pool, ("reset", TASK))[0] for _ in range(2))
    assert first is second


@pytest.mark.parametrize("step", [ValueError("bad"), None, lambda: time.sleep(0.3)])
def test_a_broken_environment_is_thrown_away_and_closed(step):
    broken, fresh = Odd(step), Odd()
    pool = pool_of(broken, fresh, deadline=0.1)
    with pytest.raises(EnvError):
        use(pool, ("step", "hi"))
    stage, answer = use(pool, ("step", "hi"))
    assert (stage.env, answer) == (fresh, FINE)
    wait_until(lambda: broken.closed)
    assert not fresh.closed


def wait_until(true, seconds=5.0):
    deadline = time.perf_counter() + seconds
    while not true():
        assert time.perf_counter() < deadline
        time.sleep(0.01)


def test_an_interrupted_episode_throws_its_environment_away():
    pool = pool_of(Odd(), Odd())

    async def interrupted():
        async with pool.stage() as stage:
            await stage.step("hi")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    assert pool._idle == []


def test_closing_the_pool_closes_its_environments():
    env = Odd()
    pool = pool_of(env)
    use(pool, ("reset", TASK))
    pool.close()
    wait_until(lambda: env.closed)


def test_environments_play_side_by_side():
    pool = EnvPool(lambda: Odd(lambda: (time.sleep(0.15), FINE)[1]), 5.0)

    async def one():
        async with pool.stage() as stage:
            await stage.step("hi")
            return stage.seconds

    async def many():
        return await asyncio.gather(*(one() for _ in range(8)))

    started = time.perf_counter()
    seconds = asyncio.run(many())
    assert time.perf_counter() - started < 0.9
    assert min(seconds) >= 0.14


def test_seconds_are_of_this_episode():
    pool = pool_of(Odd(lambda: (time.sleep(0.2), FINE)[1]))
    for _ in range(2):
        stage, _ = use(pool, ("step", "hi"))
        assert 0.15 < stage.seconds < 0.39


HANGING = """
import asyncio, time
import gymnasium
from agentrl.errors import EnvError
from agentrl.stage import EnvPool

class Hanging(gymnasium.Env):
    def step(self, action):
        time.sleep(60)

async def play():
    async with EnvPool(Hanging, 0.1).stage() as stage:
        await stage.step("hi")

try:
    asyncio.run(play())
except EnvError as error:
    print(error)
"""


def test_a_hanging_environment_does_not_keep_the_interpreter():
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=50, check=True
    )
    assert "did not answer within 0.1 s" in done.stdout
    assert done.stderr == ""
    assert time.perf_counter() - started < 40
