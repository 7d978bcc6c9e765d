"""vLLM in this process, for real: exact tokens, published weights, and syncs broken on purpose."""

import asyncio

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from servers import needs_vllm

from agentrl.backends.sync import probe_logprobs
from agentrl.backends.tiny import tiny_model, word_tokenizer
from agentrl.chat import TemplateChat
from agentrl.errors import ConfigError, ContextOverflowError, PolicyError, SyncError
from agentrl.types import Finish, Message, Sampling, Source, Span, join

pytestmark = [needs_vllm, pytest.mark.service, pytest.mark.filterwarnings("default")]
TOKENIZER = word_tokenizer(["say red green blue pink gold"] * 3)
CHAT = TemplateChat(TOKENIZER)
OPENING = CHAT.opening([Message("user", "say red")]).spans
SMALL = {"enforce_eager": True, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 64}


def tiny(seed=0, **options):
    return tiny_model(len(TOKENIZER), heads=2, hidden_size=64, context=256, seed=seed, **options)


def engine(model, **options):
    """A policy on a model, with a small cache."""
    from agentrl.backends.vllm.inprocess import VLLMPolicy

    return VLLMPolicy(model, TOKENIZER, CHAT, options=SMALL, **options)


@pytest.fixture(scope="module")
def policy():
    """One engine for the tests that leave its weights equal to the learner's."""
    made = engine(tiny())
    yield made
    made.close()


def many(policy, count, tokens=24, temperature=1.0):
    """`count` completions at once."""

    async def play():
        asked = [Sampling(max_tokens=tokens, seed=i, temperature=temperature) for i in range(count)]
        return await asyncio.gather(*(policy.complete(OPENING, one) for one in asked))

    return asyncio.run(play())


def shake(model, size=0.02):
    """New weights, as a step of the learner would make."""
    with torch.no_grad():
        for parameter in filter(lambda p: p.requires_grad, model.parameters()):
            parameter.add_(torch.randn_like(parameter) * size)


def learner_logprobs(model, said):
    """The learner's log-probs of a completion."""
    ids = np.concatenate([join(OPENING), said.ids])
    return probe_logprobs(model, ids)[len(join(OPENING)) - 1 :]


# Completions


def test_log_probs_are_the_learners(policy):
    gaps = [abs(c.logprobs - learner_logprobs(policy.model, c)) for c in many(policy, 32)]
    assert np.concatenate(gaps).mean() < 1e-5
    assert np.concatenate(gaps).max() < 1e-3


def test_the_same_seed_draws_the_same_alone_and_in_a_batch(policy):
    alone, batch = many(policy, 1)[0], many(policy, 64)[0]
    assert alone.ids.tolist() == batch.ids.tolist()


def test_greedy_takes_the_most_likely_token(policy):
    (said,) = many(policy, 1, tokens=4, temperature=0.0)
    (again,) = many(policy, 1, tokens=4, temperature=0.0)
    assert said.ids.tolist() == again.ids.tolist()


def test_a_completion_ends_at_its_end_token_or_at_its_limit(policy):
    for said in many(policy, 64, tokens=16):
        ended = int(said.ids[-1]) in CHAT.end_ids
        assert said.finish is (Finish.STOP if ended else Finish.LENGTH)
        assert ended or len(said.ids) == 16
        assert not np.isin(said.ids[:-1], list(CHAT.end_ids)).any()


def test_more_requests_than_the_engine_runs_at_once(policy):
    assert len(many(policy, 200, tokens=8)) == 200


def test_a_context_without_room_is_an_overflow(policy):
    full = (Span(ids=np.full(policy.window, 5, np.int64), source=Source.ENV),)
    with pytest.raises(ContextOverflowError, match="no position after 256"):
        asyncio.run(policy.complete(full, Sampling()))


def test_a_model_with_heads_that_vllm_lacks_is_refused():
    model = tiny_model(len(TOKENIZER), heads=4, hidden_size=64)
    with pytest.raises(ConfigError, match="attention heads are 16 wide"):
        engine(model)


def test_too_little_memory_is_one_line():
    from agentrl.backends.vllm.inprocess import VLLMPolicy

    options = {**SMALL, "kv_cache_memory_bytes": 1 << 10}
    with pytest.raises(PolicyError, match=r"engine\.memory"):
        VLLMPolicy(tiny(), TOKENIZER, CHAT, options=options)


# Weights


def test_a_publish_is_served_and_counted(policy):
    before = policy.version
    policy.rest()
    shake(policy.model)
    assert policy.load() == before + 1
    assert policy.figures["sync/probe_gap"] < 1e-4
    assert {said.version for said in many(policy, 4)} == {before + 1}


def test_a_publish_in_the_middle_keeps_what_was_said(policy):
    async def play():
        jobs = [
            asyncio.create_task(policy.complete(OPENING, Sampling(max_tokens=200, seed=i)))
            for i in range(16)
        ]
        for _ in range(4):  # at whatever speed the machine draws, one comes in the middle
            await asyncio.sleep(0.1)
            shake(policy.model)
            await asyncio.to_thread(policy.load)
        return await asyncio.gather(*jobs)

    mixed = [said for said in asyncio.run(play()) if said.versions is not None]
    assert mixed, "no completion was long enough to see both weights"
    for said in mixed:
        new = said.versions == policy.version
        expected = learner_logprobs(policy.model, said)
        assert np.abs(said.logprobs - expected)[new].max(initial=0.0) < 1e-3
        assert np.abs(said.logprobs - expected)[~new].max() > 1e-3


def broken(policy, patch, fault):
    """A policy whose first publish goes wrong in one way."""
    shake(policy.model)
    fault(policy, patch)
    with pytest.raises(SyncError) as caught:
        policy.load()
    patch.undo()
    policy.load()
    return str(caught.value)


def test_a_skipped_publish_stops_the_run(policy, monkeypatch):
    def skipped(policy, patch):
        patch.setattr(policy, "deliver", lambda version: None)

    assert "the publish never reached it" in broken(policy, monkeypatch, skipped)


def test_one_stale_tensor_stops_the_run(policy, monkeypatch):
    name = "model.layers.1.mlp.down_proj.weight"
    old = policy.model.state_dict()[name].clone()
    assert f"{name} has other values" in broken(policy, monkeypatch, sending(name, old))


def test_a_tensor_in_another_precision_stops_the_run(policy, monkeypatch):
    name = "model.norm.weight"
    narrow = policy.model.state_dict()[name].bfloat16()
    assert f"{name} is bfloat16, not float32" in broken(policy, monkeypatch, sending(name, narrow))


def sending(name, tensor):
    """A fault: another tensor is delivered under a name than the learner has."""

    def plant(policy, patch):
        real, deliver = policy.weights, policy.deliver

        def weights():
            return ((n, tensor if n == name else t) for n, t in real())

        def delivered(version):
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(policy, "weights", weights)
                deliver(version)

        patch.setattr(policy, "deliver", delivered)

    return plant


def test_a_probe_that_disagrees_stops_the_run(policy, monkeypatch):
    def served_otherwise(policy, patch):
        real = policy.scores
        patch.setattr(policy, "scores", lambda ids: [found - 0.1 for found in real(ids)])

    assert "but not its log-probs" in broken(policy, monkeypatch, served_otherwise)


# Adapters


def adapted():
    shape = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    return get_peft_model(tiny(), shape)


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "merged"])
def test_adapters_are_served(apart):
    policy = engine(adapted(), adapters=apart)
    base = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    for _ in range(2):
        shake(policy.model, 0.1)
        policy.load()
        gaps = [abs(c.logprobs - learner_logprobs(policy.model, c)) for c in many(policy, 8)]
        assert np.concatenate(gaps).max() < 1e-3
    now = policy.model.state_dict()
    assert all(now[name].equal(base[name]) for name in base if "lora" not in name)
    policy.close()


def test_adapters_that_were_not_delivered_stop_the_run(monkeypatch):
    policy = engine(adapted(), adapters=True)
    policy.load()

    def forgotten(policy, patch):
        patch.setattr(policy, "_exchange_adapters", lambda llm, version: None)

    assert "lora_A has other values" in broken(policy, monkeypatch, forgotten)
    policy.close()
