"""The engine is exact: what it reports is what one plain forward of the same tokens says."""

import numpy as np
import pytest
import torch
from engines import (
    KINDS,
    model_of,
    plain,
    play,
    policy_of,
    request,
    worst,
)
from hypothesis import given
from hypothesis import strategies as st

from agentrl.backends.batch import sample
from agentrl.backends.fused import FusedDecoder, ModelDecoder
from agentrl.backends.hf import HFPolicy
from agentrl.backends.load import corpus
from agentrl.backends.tiny import word_tokenizer
from agentrl.chat import TemplateChat
from agentrl.env import make
from agentrl.errors import PolicyError
from agentrl.types import Finish, join

LENGTHS = (3, 9, 1, 14, 5, 9, 30)


def sparql():
    return make("agentrl/Sparql-v0", hops=[1, 2], triples=600, max_turns=5, prompt="short")


def echo():
    return make("agentrl/Echo-v0", turns=4)


@pytest.fixture(scope="module")
def chat():
    """A vocabulary of both environments."""
    texts = [text for env in (sparql(), echo()) for text in corpus(env, 10)]
    return TemplateChat(word_tokenizer(texts, max_words=150))


class Forgetful(HFPolicy):
    """An engine without a cache between turns."""

    def generate(self, requests):
        self.store.clear()
        return super().generate(requests)


def engine(kind, chat, **options):
    name, kv_heads, by_model = kind
    model = model_of(name, len(chat.tokenizer), kv_heads=kv_heads)
    return policy_of(model, chat, plain=by_model, **options)


def contexts(seed=0, lengths=LENGTHS):
    rng = np.random.default_rng(seed)
    return [rng.integers(5, 250, length) for length in lengths]


def batch(seed=0, **options):
    return [request(ids, seed=i, **options) for i, ids in enumerate(contexts(seed))]


def assert_same(found, expected, tolerance=1e-5):
    for one, two in zip(found, expected, strict=True):
        assert one.ids.tolist() == two.ids.tolist()
        np.testing.assert_allclose(one.logprobs, two.logprobs, atol=tolerance, rtol=0)


def completions(trajectories):
    return [turn.completion for trajectory in trajectories for turn in trajectory.turns]


# ---- multi-turn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("env", [echo, sparql])
def test_every_turn_matches_a_full_forward(kind, env, chat):
    policy = engine(kind, chat)
    played = play(policy, env, env().tasks("train", 3, 0))
    assert {type(policy.decoder)} == {ModelDecoder if kind[2] else FusedDecoder}
    assert {len(trajectory.turns) for trajectory in played} == {env().max_turns}
    assert {c.finish for c in completions(played)} == {Finish.STOP, Finish.LENGTH}
    assert max(worst(policy.model, trajectory) for trajectory in played) < 1e-4


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_cache_changes_nothing(kind, chat):
    kept = engine(kind, chat)
    forgetful = Forgetful(kept.model, chat)
    forgetful.decoder = kept.decoder
    tasks = sparql().tasks("train", 3, 0)
    once, again = (
        completions(play(policy, sparql, tasks, attempts=1)) for policy in (kept, forgetful)
    )
    assert_same(once, again, 1e-4)


@pytest.mark.parametrize("kind", [KINDS[0], *KINDS[-2:]], ids=str)
def test_later_turns_feed_only_what_is_new(kind, chat):
    policy = engine(kind, chat)
    first, fed = contexts()[-1], []
    said = policy.generate([request(first)])[0]
    forward = policy.decoder.__class__.__call__
    seen = type("Seen", (type(policy.decoder),), {})
    seen.__call__ = lambda self, ids, *rest: (fed.append(ids.shape[1]), forward(self, ids, *rest))[
        1
    ]
    policy.decoder.__class__ = seen
    later = request([*first, *said.ids, 7, 8])
    later.prefix = len(first) + len(said.ids) - 1
    policy.generate([later])
    assert fed[0] == 3, "the last sampled token was never fed, and two are new"


@pytest.mark.parametrize("kind", KINDS[-2:], ids=str)
def test_the_sliding_window_is_there_to_be_matched(kind, chat):
    short, wide = (
        model_of(kind[0], len(chat.tokenizer), kv_heads=2, sliding_window=window).eval()
        for window in (12, 500)
    )
    ids = contexts()[-1]
    assert np.abs(plain(short, ids[:1], ids[1:])[0] - plain(wide, ids[:1], ids[1:])[0]).max() > 0.01


# ---- batching -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_request_does_not_depend_on_its_batch(kind, chat):
    policy = engine(kind, chat, cache_tokens=0)
    together = policy.generate(batch())
    alone = [policy.generate([one])[0] for one in batch()]
    assert_same(together, alone)


@pytest.mark.parametrize("kind", KINDS[:1] + KINDS[-1:], ids=str)
def test_a_request_does_not_depend_on_its_place(kind, chat):
    policy = engine(kind, chat)
    forward, backward = policy.generate(batch()), policy.generate(batch()[::-1])
    assert_same(forward, backward[::-1])


def test_rows_of_different_length_limits_share_a_batch(chat):
    policy = engine(KINDS[0], chat)
    asked = [request(ids, seed=3, max_tokens=1 + i) for i, ids in enumerate(contexts())]
    alone = [request(ids, seed=3, max_tokens=1 + i) for i, ids in enumerate(contexts())]
    assert_same(policy.generate(asked), [policy.generate([one])[0] for one in alone])


def test_a_cached_row_beside_a_new_one(chat):
    policy, forgetful = engine(KINDS[0], chat), Forgetful(engine(KINDS[0], chat).model, chat)
    first, other = contexts()[3], contexts()[-1]
    said = policy.generate([request(first)])[0]

    def both():
        later = request([*first, *said.ids, 9, 9], seed=1)
        later.prefix = len(first) + len(said.ids) - 1
        return [later, request(other, seed=2)]

    assert_same(policy.generate(both()), forgetful.generate(both()))


# ---- sampling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 0.0])
def test_log_probs_are_of_the_distribution_that_was_sampled(temperature, chat):
    policy = engine(KINDS[0], chat)
    for asked in batch(temperature=temperature):
        said = policy.generate([asked])[0]
        expected, _ = plain(policy.model, asked.ids, said.ids, temperature)
        np.testing.assert_allclose(said.logprobs, expected, atol=1e-4, rtol=0)


def test_greedy_takes_the_most_likely_token(chat):
    policy = engine(KINDS[0], chat)
    for asked in batch(temperature=0.0):
        said = policy.generate([asked])[0]
        _, every = plain(policy.model, asked.ids, said.ids)
        assert said.ids.tolist() == every.argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_sampled_frequencies_are_the_reported_probabilities(temperature, chat):
    policy, context, draws = engine(KINDS[0], chat), contexts()[0], 2000
    asked = [
        request(context, seed=seed, temperature=temperature, max_tokens=1) for seed in range(draws)
    ]
    drawn = np.array([c.ids[0] for c in policy.generate(asked)])
    _, every = plain(policy.model, context, drawn[:1], temperature)
    expected = draws * every[0].exp().numpy()
    counts = np.bincount(drawn, minlength=len(expected))
    rare = expected < 5
    counts, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    bins = len(expected) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < bins + 4 * (2 * bins) ** 0.5, f"{chi_square:.0f} with {bins} bins"


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=30), st.floats(0.3, 3.0))
def test_evenly_spread_draws_give_exact_frequencies(logits, temperature):
    draws = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    rows = torch.tensor(logits, dtype=torch.float32).expand(2000, -1)
    ids, logprobs = sample(rows, torch.full((2000,), temperature), draws)
    expected = (rows[0] / temperature).log_softmax(-1)
    counts = torch.bincount(ids, minlength=len(logits))
    assert (counts - 2000 * expected.exp()).abs().max() <= 1.01
    torch.testing.assert_close(logprobs, expected[ids], atol=1e-4, rtol=0)


def test_an_impossible_token_is_never_drawn():
    logits = torch.tensor([[0.0, -1e9, -1e9]]).expand(2, -1)
    draws = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    ids, logprobs = sample(logits, torch.ones(2), draws)
    assert ids.tolist() == [0, 0]
    assert logprobs.tolist() == [0, 0]


def test_one_batch_mixes_greedy_and_sampled_rows(chat):
    policy, ids = engine(KINDS[0], chat), contexts()[1]
    hot, cold = (request(ids, seed=5, temperature=t) for t in (1.0, 0.0))
    alone = [request(ids, seed=5, temperature=t) for t in (1.0, 0.0)]
    assert_same(policy.generate([hot, cold]), [policy.generate([one])[0] for one in alone])


# ---- endings ------------------------------------------------------------------------------------


def test_completions_end_at_their_end_token_or_limit(chat):
    asked = [request([7, 8, 9], seed=seed, max_tokens=6) for seed in range(60)]
    said = engine(KINDS[0], chat).generate(asked)
    assert {c.finish for c in said} == {Finish.STOP, Finish.LENGTH}
    for completion in said:
        ends = [i for i, token in enumerate(completion.ids) if token in chat.end_ids]
        stopped = completion.finish is Finish.STOP
        assert ends == ([len(completion.ids) - 1] if stopped else [])
        assert stopped or len(completion.ids) == 6
        assert len(completion.logprobs) == len(completion.ids)
        assert completion.text == chat.tokenizer.decode(completion.ids[: -1 if stopped else None])


def test_the_last_token_may_be_the_end_token(chat):
    policy = engine(KINDS[0], chat)
    said = [policy.generate([request([7], seed=s, max_tokens=1)])[0] for s in range(60)]
    for completion in said:
        ended = int(completion.ids[-1]) in chat.end_ids
        assert completion.finish is (Finish.STOP if ended else Finish.LENGTH)
    assert {c.finish for c in said} == {Finish.STOP, Finish.LENGTH}


# ---- weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_loading_takes_the_weights_and_forgets_the_states(kind, chat):
    policy = engine(kind, chat)
    other = model_of("llama", len(chat.tokenizer), kv_heads=kind[1], seed=1)
    before = policy.generate(batch())
    assert policy.store.num_tokens > 0
    assert policy.load(other.state_dict()) == policy.version == 1
    assert policy.store.num_tokens == 0
    after = policy.generate(batch())
    assert_same(after, policy_of(other, chat).generate(batch()))
    assert {c.version for c in before} == {0}
    assert {c.version for c in after} == {1}
    assert after[0].logprobs.tolist() != before[0].logprobs.tolist()


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_a_step_of_the_shared_model_counts_from_loading_on(kind, chat):
    policy, rng = engine(kind, chat), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    assert policy.load() == 1
    for asked in batch():
        said = policy.generate([asked])[0]
        expected, _ = plain(policy.model, asked.ids, said.ids)
        np.testing.assert_allclose(said.logprobs, expected, atol=1e-4, rtol=0)


def test_generating_leaves_the_training_mode_alone(chat):
    policy = engine(KINDS[1], chat)
    policy.model.train()
    policy.generate(batch())
    assert policy.model.training


def test_diverged_weights_are_an_error_and_no_log_prob(chat):
    policy = engine(KINDS[0], chat)
    policy.load({k: v * float("nan") for k, v in policy.model.state_dict().items()})
    with pytest.raises(PolicyError, match="not finite: its weights have diverged"):
        policy.generate(batch())


def test_a_model_that_keeps_other_states_is_refused(chat):
    model = model_of("llama", len(chat.tokenizer))
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(PolicyError, match=r"LlamaForCausalLM keeps more than .*linear_attention"):
        HFPolicy(model, chat)


def test_context_spans_are_what_was_fed(chat):
    policy = engine(KINDS[0], chat)
    played = play(policy, echo, echo().tasks("train", 2, 0), attempts=1)
    for trajectory in played:
        for before, after in zip(trajectory.turns, trajectory.turns[1:], strict=False):
            known = np.concatenate([join(before.spans), before.completion.ids])
            assert join(after.spans)[: len(known)].tolist() == known.tolist()


def test_scores_are_the_models_log_probs(tiny):
    policy, ids = HFPolicy(tiny.fresh(), tiny.chat), np.arange(3, 20)
    with torch.no_grad():
        logits = policy.model(torch.from_numpy(ids)[None]).logits[0, :-1]
    expected = logits.log_softmax(-1).gather(1, torch.from_numpy(ids[1:, None]))[:, 0].numpy()
    np.testing.assert_allclose(policy.score(ids), expected, atol=1e-4)
    with torch.no_grad():
        policy.model.lm_head.weight.mul_(2)
    assert np.abs(policy.score(ids) - expected).max() < 1e-4, "the copies that sample are old"
    policy.load()
    assert np.abs(policy.score(ids) - expected).max() > 1e-2
