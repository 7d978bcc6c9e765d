"""The engine's thread: whom a batch waits for, what one bad request costs, and what survives."""

import asyncio
import time
from contextlib import ExitStack

import numpy as np
import pytest
from engines import model_of, policy_of, request

from agentrl.backends.fused import FusedDecoder
from agentrl.backends.hf import HFPolicy
from agentrl.errors import PolicyError
from agentrl.types import Completion, Finish, Sampling, Source, Span

CONTEXT = (Span(ids=np.array([7, 8, 9]), source=Source.ENV),)
SHORT = Sampling(max_tokens=2)


class Recorded(HFPolicy):
    """Notes the size of every batch."""

    def generate(self, requests):
        self.sizes = [*getattr(self, "sizes", []), len(requests)]
        return super().generate(requests)


class Faulty(FusedDecoder):
    """Raises at its first call."""

    failed = False

    def __call__(self, *arguments):
        if not self.failed:
            self.failed = True
            raise RuntimeError("out of memory")
        return super().__call__(*arguments)


@pytest.fixture
def policy(tiny):
    return Recorded(model_of("llama", len(tiny.tokenizer)), tiny.chat, linger_seconds=30.0)


def ask(policy, count, sampling=SHORT, context=CONTEXT):
    """`count` requests, made when all have taken their seats; exceptions are answers."""
    seats = [ExitStack() for _ in range(count)]
    for seat in seats:
        seat.enter_context(policy.seat())

    async def one(seat):
        with seat:
            return await policy.complete(context, sampling)

    async def every():
        answers = asyncio.gather(*map(one, seats), return_exceptions=True)
        return await asyncio.wait_for(answers, 25)

    return asyncio.run(every())


def test_requests_of_all_seated_episodes_are_one_batch(policy):
    assert len(ask(policy, 5)) == 5
    assert policy.sizes == [5]


def test_a_batch_is_no_larger_than_allowed(policy):
    policy.max_batch = 2
    ask(policy, 5)
    assert max(policy.sizes) == 2
    assert sum(policy.sizes) == 5


def test_a_batch_does_not_wait_for_an_episode_that_left_its_seat(policy):
    async def leave():
        with policy.seat():
            await asyncio.sleep(0.05)

    async def stay():
        with policy.seat():
            return await policy.complete(CONTEXT, SHORT)

    async def both():
        await asyncio.gather(leave(), stay())

    started = time.perf_counter()
    asyncio.run(both())
    assert 0.04 < time.perf_counter() - started < 10


def test_a_batch_does_not_wait_long_for_a_slow_environment(policy):
    policy.linger_seconds = 0.05
    started = time.perf_counter()
    with policy.seat():
        ask(policy, 2)
    assert 0.04 < time.perf_counter() - started < 10
    assert policy.sizes == [2]


def test_who_has_no_seat_is_served_at_once(policy):
    started = time.perf_counter()
    assert isinstance(asyncio.run(policy.complete(CONTEXT, SHORT)), Completion)
    assert time.perf_counter() - started < 10


def test_a_failing_model_fails_its_batch_and_no_other(tiny):
    policy = policy_of(model_of("llama", len(tiny.tokenizer)), tiny.chat, linger_seconds=30.0)
    policy.decoder = Faulty(policy.model)
    answers = ask(policy, 4)
    assert {type(answer) for answer in answers} == {PolicyError}
    assert "generation failed: RuntimeError: out of memory" in str(answers[0])
    assert {type(answer) for answer in ask(policy, 4)} == {Completion}


@pytest.mark.parametrize(("context", "sampling"), [((), SHORT), (CONTEXT, Sampling(max_tokens=0))])
def test_an_impossible_request_fails_alone(policy, context, sampling):
    (answer,) = ask(policy, 1, sampling, context)
    assert "both must be at least 1" in str(answer)
    assert isinstance(ask(policy, 1)[0], Completion)


def test_a_context_beyond_the_models_positions_fails_alone(policy):
    long = (Span(ids=np.full(512, 7), source=Source.ENV),)
    (answer,) = ask(policy, 1, SHORT, long)
    assert "512 tokens and the model no position after 512: lower limits.context" in str(answer)
    assert isinstance(ask(policy, 1)[0], Completion)


def test_a_completion_is_cut_where_the_models_positions_end(policy):
    long = (Span(ids=np.full(509, 7), source=Source.ENV),)
    for said in ask(policy, 4, Sampling(max_tokens=9), long):
        assert len(said.ids) <= 3
        assert said.finish is Finish.STOP or len(said.ids) == 3


def test_who_gave_up_costs_the_others_nothing(policy):
    async def gives_up():
        with policy.seat(), policy.seat():
            await asyncio.wait_for(policy.complete(CONTEXT, SHORT), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(gives_up())
    assert {type(answer) for answer in ask(policy, 3)} == {Completion}


def test_a_loop_that_closed_does_not_end_the_engine(policy):
    loop = asyncio.new_event_loop()

    async def abandon():
        return policy.complete(CONTEXT, SHORT).send(None)

    with policy.seat(), policy.seat():
        waiting = loop.run_until_complete(abandon())
        loop.close()
    assert not waiting.done()
    assert {type(answer) for answer in ask(policy, 2)} == {Completion}


def test_the_engine_answers_with_what_a_direct_call_gives(policy):
    (answer,) = ask(policy, 1, Sampling(max_tokens=6, seed=3))
    (direct,) = policy.generate([request([7, 8, 9], seed=3, max_tokens=6)])
    assert answer.ids.tolist() == direct.ids.tolist()
    assert (answer.policy, answer.version) == ("main", 0)
