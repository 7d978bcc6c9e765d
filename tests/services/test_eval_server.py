"""`agentrl eval --model openai:URL#NAME` against a real vLLM server of a tiny model."""

import asyncio
import json
import time

import numpy as np
import pytest
import torch
from runs import one_line, shell
from servers import START_SECONDS, needs_vllm, vllm_server

from agentrl.backends.http.endpoint import Address, Endpoint
from agentrl.backends.http.policy import HTTPPolicy
from agentrl.backends.tiny import tiny_model
from agentrl.errors import ConfigError, ContextOverflowError
from agentrl.types import Finish, Message, Sampling, join

pytestmark = [pytest.mark.service, needs_vllm]
KEY = "sk-service-0123456789"
WINDOW = 64
SAY = Message("user", "say red")


def model_of(tiny):
    """A model that vLLM's kernels for CPUs take: heads of 32."""
    return tiny_model(len(tiny.tokenizer), hidden_size=64, layers=2, heads=2, context=256, seed=1)


@pytest.fixture(scope="module")
def server(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    model_of(tiny).save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    flags = {"served_model_name": "tiny", "max_model_len": WINDOW, "api_key": KEY}
    with vllm_server(folder / "model", folder / "server.log", **flags) as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def evaluating(server, *arguments, **options):
    """`agentrl eval echo` in a process of its own."""
    model = f"openai:{server.url}/v1#tiny"
    return shell("eval", "echo", "--model", model, "--json", *arguments, **options)


def asked(server, *contexts, max_tokens=12, **endpoint):
    """Completions at temperature 1."""
    policy = HTTPPolicy(Address.of(f"openai:{server.url}#tiny"), Endpoint(**endpoint))
    spans = [policy.chat.opening(messages).spans for messages in contexts]

    async def ask():
        async with policy:
            await policy.check(spans[0])
            wanted = [Sampling(max_tokens=max_tokens, seed=n) for n in range(len(spans))]
            return await asyncio.gather(*map(policy.complete, spans, wanted))

    return spans, asyncio.run(ask())


def test_a_server_that_is_killed_in_the_middle_costs_no_episode(server):
    settings = ("requests_per_minute=300", f"patience_seconds={START_SECONDS}")
    options = [word for setting in settings for word in ("--endpoint", setting)]
    running = evaluating(server, "--tasks", 64, *options)
    while server.written().count("POST /v1/chat/completions") < 20:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    server.kill()
    time.sleep(1)
    server.start()
    printed, message = running.communicate(timeout=START_SECONDS)
    answer = json.loads(printed)
    assert (answer["n"], answer["skipped"], answer["unplayed"]) == (64, 0, 0), message
    assert answer["usage"]["requests"] == 65


def test_a_wrong_key_is_one_line(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mistyped")
    running = evaluating(server)
    printed, message = running.communicate(timeout=60)
    assert (running.returncode, printed) == (2, "")
    assert "refuses the key in OPENAI_API_KEY (401" in one_line(message)


def test_an_unknown_model_is_one_line(server):
    running = shell("eval", "echo", "--model", f"openai:{server.url}#tony")
    _, message = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "has no model 'tony'" in one_line(message)
    assert one_line(message).endswith("but tiny")


def test_tools_that_the_server_was_not_started_for_are_refused_first(server):
    policy = HTTPPolicy(Address.of(f"openai:{server.url}#tiny"), Endpoint())
    tool = {"name": "add", "description": "Add.", "parameters": {"type": "object"}}

    async def check():
        async with policy:
            await policy.check(policy.chat.opening([SAY], [tool]).spans)

    with pytest.raises(ConfigError, match=r"refuses a request to 'tiny' \(400: .*tool"):
        asyncio.run(check())


def test_token_ids_and_logprobs_are_those_of_the_model(server, tiny):
    contexts = [[SAY], [SAY, Message("assistant", "red"), SAY]] * 8
    spans, said = asked(server, *contexts, mode="completions", tokenizer=tiny.folder)
    assert {completion.finish for completion in said} <= {Finish.STOP, Finish.LENGTH}
    model = model_of(tiny).eval()
    for context, completion in zip(map(join, spans), said, strict=True):
        ids = np.concatenate([context, completion.ids])
        with torch.no_grad():
            logits = model(torch.from_numpy(ids)[None]).logits[0].log_softmax(-1).numpy()
        at = np.arange(len(context), len(ids))
        np.testing.assert_allclose(completion.logprobs, logits[at - 1, ids[at]], atol=1e-3)
        assert completion.num_tokens == len(completion.ids)
        ended = int(completion.ids[-1]) in tiny.chat.end_ids
        assert ended == (completion.finish is Finish.STOP)


def test_the_servers_window_is_a_limit_and_nothing_is_cut_before_it(server):
    near = [Message("user", "say " + "red " * 40)]
    _, (said,) = asked(server, near, max_tokens=WINDOW)
    assert said.usage.prompt + said.usage.completion <= WINDOW
    if said.finish is Finish.LENGTH:
        assert said.usage.prompt + said.usage.completion == WINDOW
    with pytest.raises(ContextOverflowError):
        asked(server, [Message("user", "say " + "red " * 80)])
