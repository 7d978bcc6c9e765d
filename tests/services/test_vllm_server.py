"""Servers of `agentrl serve`: weights through a folder, restarts, adapters, a whole run."""

import asyncio
import socket

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from runs import rows, small, trained
from servers import needs_vllm
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.backends.sync import probe_logprobs
from agentrl.backends.tiny import tiny_model, word_tokenizer
from agentrl.backends.vllm.launch import Server
from agentrl.backends.vllm.server import ServerPolicy
from agentrl.chat import TemplateChat
from agentrl.errors import PolicyError, SyncError
from agentrl.types import Message, Sampling, join

pytestmark = [needs_vllm, pytest.mark.service, pytest.mark.filterwarnings("default")]
OPTIONS = {"dtype": "float32", "max-num-seqs": 64, "enable-lora": True, "max-lora-rank": 8}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model and its tokenizer, saved."""
    path = tmp_path_factory.mktemp("served")
    tokenizer = word_tokenizer(["say red green blue pink gold"] * 3)
    tokenizer.save_pretrained(path)
    tiny_model(len(tokenizer), heads=2, hidden_size=64, context=256).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def server(folder):
    with open(folder / "server.log", "w") as log:
        made = Server(str(folder), free_port(), options=OPTIONS, log=log)
        made.start()
        made.wait()
        yield made
        made.stop()


def learner(folder):
    """The served model, as a learner has it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture
def policy(folder, server):
    made = connect(learner(folder), folder, server)
    yield made
    made.close()


def connect(model, folder, server, **options):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return ServerPolicy(model, tokenizer, TemplateChat(tokenizer), urls=[server.url], **options)


def opening(policy):
    return policy.chat.opening([Message("user", "say red")]).spans


async def jobs(policy, count, tokens):
    """`count` completions on their way."""
    asked = [Sampling(max_tokens=tokens, seed=i) for i in range(count)]
    return [asyncio.create_task(policy.complete(opening(policy), one)) for one in asked]


def shake(model):
    with torch.no_grad():
        for parameter in filter(lambda p: p.requires_grad, model.parameters()):
            parameter.add_(torch.randn_like(parameter) * 0.02)


def gap(policy, said):
    """The largest difference to the learner's log-probs, among tokens of the newest weights."""
    ids = np.concatenate([join(opening(policy)), said.ids])
    expected = probe_logprobs(policy.model, ids)[-len(said.ids) :]
    versions = np.full(len(said.ids), said.version) if said.versions is None else said.versions
    return np.abs(said.logprobs - expected)[versions == policy.version].max(initial=0.0)


def test_tokens_and_log_probs_are_the_learners(policy):
    async def play():
        return await asyncio.gather(*await jobs(policy, 32, 24))

    played = asyncio.run(play())
    assert max(gap(policy, said) for said in played) < 1e-3
    assert {said.version for said in played} == {0}


def test_a_publish_in_the_middle_is_seen_token_by_token(policy):
    async def play():
        going = await jobs(policy, 16, 220)
        for _ in range(4):  # at whatever speed the machine draws, one comes in the middle
            await asyncio.sleep(0.1)
            shake(policy.model)
            await asyncio.to_thread(policy.load)
        return await asyncio.gather(*going)

    played = asyncio.run(play())
    assert any(said.versions is not None for said in played)
    assert max(gap(policy, said) for said in played) < 1e-3


def test_a_publish_that_never_arrives_stops_the_run(policy, monkeypatch):
    shake(policy.model)
    monkeypatch.setattr(policy, "deliver", lambda version: None)
    with pytest.raises(SyncError, match="the publish never reached it"):
        policy.load()


def test_a_server_that_dies_comes_back_with_the_published_weights(policy, server):
    shake(policy.model)
    policy.load()

    async def play():
        going = await jobs(policy, 16, 220)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.stop, kill=True)
        await asyncio.to_thread(server.start)
        return await asyncio.gather(*going)

    played = asyncio.run(play())
    assert {said.version for said in played} == {policy.version}
    assert max(gap(policy, said) for said in played) < 1e-3


def test_adapters_are_published_apart(folder, server):
    shape = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    policy = connect(get_peft_model(learner(folder), shape), folder, server_base(folder, server))
    policy.close()
    policy = connect(policy.model, folder, server, adapters=True)
    shake(policy.model)
    policy.load()

    async def play():
        return await asyncio.gather(*await jobs(policy, 8, 24))

    assert max(gap(policy, said) for said in asyncio.run(play())) < 1e-3
    policy.close()


def server_base(folder, server):
    """The server, serving the folder's weights again."""
    connect(learner(folder), folder, server).close()
    return server


def test_another_server_is_refused(policy, folder, server):
    with pytest.raises(PolicyError, match="no server of `agentrl serve` answers"):
        ServerPolicy(
            policy.model,
            policy.chat.tokenizer,
            policy.chat,
            urls=[f"http://127.0.0.1:{free_port()}"],
            patience_seconds=1.0,
        )


def test_a_run_trains_on_it(folder, server, tmp_path):
    run = small(
        tmp_path,
        model={"name": str(folder), "dtype": "float32"},
        engine={"name": "server", "urls": [server.url]},
        warm_start=None,
    )
    trained(run)
    steps = [row for row in rows(tmp_path / "metrics.jsonl", "train") if "sync/probe_gap" in row]
    assert all(row["sync/probe_gap"] < 1e-3 for row in steps)
