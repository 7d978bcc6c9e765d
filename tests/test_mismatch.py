"""The bisector on real models: every planted cause is named, and nothing where nothing is wrong.

The engines are transformers' own: its `generate`, its logits processors, its arithmetic.
"""

import asyncio
import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import span

from agentrl.backends.hf import HFPolicy
from agentrl.errors import DataError
from agentrl.mismatch.diagnosis import Cause, diagnose
from agentrl.mismatch.evidence import Call, Evidence
from agentrl.mismatch.processors import Processors
from agentrl.types import Sampling

PROMPTS = ("say red green red blue", "you said the word back", "gold grey teal lime red red")


def sharp(tiny, seed=0, dtype=torch.float32):
    """A model whose distributions are as uneven as a trained one's."""
    model = tiny.fresh(seed)
    model.model.norm.weight.data.mul_(5.0)
    return model.to(dtype).eval()


def learner(model):
    """The model as `Evidence.logits`."""

    @torch.no_grad()
    def logits(ids, first):
        return model(torch.from_numpy(ids)[None]).logits[0, first - 1 : -1].float()

    return logits


def scores(model, call):
    """The engine's own score of a call's ids."""
    found = learner(model)(call.whole, len(call.context)).log_softmax(-1)
    return found.gather(1, torch.from_numpy(call.ids)[:, None])[:, 0].numpy()


def contexts(tiny):
    return [tiny.tokenizer.encode(prompt) for prompt in PROMPTS]


def calls_of(tiny, model, read=None, length=24, **processors):
    """What the model's own `generate` says after each prompt, and its processed log-probs."""
    calls = []
    for number, ids in enumerate(read or contexts(tiny)):
        torch.manual_seed(number)
        context = torch.tensor([ids])
        options = {"do_sample": True, "top_k": 0, "max_new_tokens": length, **processors}
        options |= {"eos_token_id": None, "return_dict_in_generate": True, "output_scores": True}
        mask = torch.ones_like(context)
        made = model.generate(context, attention_mask=mask, pad_token_id=0, **options)
        ids = made.sequences[0, context.shape[1] :]
        logprobs = torch.cat(made.scores).float().log_softmax(-1)[torch.arange(len(ids)), ids]
        calls.append(Call(context=context[0].numpy(), ids=ids.numpy(), behaviour=logprobs.numpy()))
    return calls


def scored(model, calls):
    """The calls with this engine's own scores."""
    return [replace(call, scores=scores(model, call)) for call in calls]


def found(model, calls, **more):
    return diagnose(Evidence(calls=calls, logits=learner(model), **more))


def coarse(model):
    """The model in 16 bits."""
    return learner(copy.deepcopy(model).to(torch.bfloat16))


@pytest.fixture(scope="module")
def clean(tiny):
    """A model and what it said."""
    model = sharp(tiny)
    return model, calls_of(tiny, model)


# Nothing wrong


@pytest.mark.parametrize("with_scores", [True, False])
def test_a_clean_engine_has_no_cause(clean, with_scores):
    model, calls = clean
    answer = found(model, scored(model, calls) if with_scores else calls)
    assert answer.cause is Cause.NONE
    assert answer.numbers["tokens"] == 3 * 24
    assert answer.numbers["mean_abs"] < 1e-4


def test_a_declared_temperature_is_no_cause(tiny):
    model = sharp(tiny)
    declared = Processors(temperature=0.7)
    assert found(model, calls_of(tiny, model, temperature=0.7), declared=declared).cause is (
        Cause.NONE
    )


# Planted causes


def moved(call, by):
    """The call with every log-prob reported beside its token."""
    return replace(call, behaviour=np.roll(call.behaviour, by))


@pytest.mark.parametrize(("by", "says"), [(1, "late"), (-1, "early")])
def test_shifted_log_probs_are_named(clean, by, says):
    model, calls = clean
    answer = found(model, [moved(call, by) for call in calls])
    assert answer.cause is Cause.ALIGNMENT
    assert says in answer.finding


def test_a_context_that_was_tokenised_again_is_named(tiny):
    model, tokenizer = sharp(tiny), tiny.tokenizer
    spelled = tokenizer.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in b" red"])

    def again(ids):
        return np.array(tokenizer.encode(tokenizer.decode(ids)), np.int64)

    ledger = [np.array([*ids, *spelled]) for ids in contexts(tiny)]
    heard = calls_of(tiny, model, [again(ids).tolist() for ids in ledger])
    calls = [replace(c, context=ids) for c, ids in zip(heard, ledger, strict=True)]
    answer = found(model, calls, readings={"its text tokenised again": again})
    assert answer.cause is Cause.ALIGNMENT
    assert answer.finding == "its text tokenised again"


def test_ids_that_the_engine_says_it_read_are_compared(clean):
    model, calls = clean
    answer = found(model, [replace(call, read=call.context[1:]) for call in calls])
    assert answer.cause is Cause.ALIGNMENT
    assert "3 of 3 contexts differ, the first from position 0 on" in answer.finding


def stale(model, size=0.02):
    """The model some steps earlier."""
    older = copy.deepcopy(model)
    torch.manual_seed(5)
    for parameter in older.parameters():
        parameter.data += size * parameter.data.std() * torch.randn_like(parameter)
    return older


@pytest.mark.parametrize(("size", "with_scores"), [(0.01, True), (0.05, False), (0.5, True)])
def test_stale_weights_are_named(tiny, size, with_scores):
    model = sharp(tiny)
    engine = stale(model, size)
    calls = calls_of(tiny, engine)
    calls = scored(engine, calls) if with_scores else calls
    answer = found(model, calls, coarse=coarse(model))
    assert answer.cause is Cause.WEIGHTS, answer


def test_checksums_that_differ_are_proof(clean):
    model, calls = clean
    answer = found(model, calls, differing=["model.norm.weight"])
    assert answer.cause is Cause.WEIGHTS
    assert "differ: model.norm.weight" in answer.finding


def test_old_versions_are_named(tiny, clean):
    model, calls = clean
    old = calls_of(tiny, stale(model, 0.3))
    new = [replace(call, version=4) for call in calls]
    answer = found(model, [*old, *new], version=4)
    assert answer.cause is Cause.WEIGHTS
    assert "72 tokens have version 0, the learner 4" in answer.finding


PROCESSORS = {
    "temperature": {"temperature": 0.7},
    "top_p": {"top_p": 0.8},
    "top_k": {"top_k": 5},
    "min_p": {"min_p": 0.2},
    "repetition": {"repetition_penalty": 1.3},
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_sampling_processors_are_named(tiny, name):
    model = sharp(tiny)
    calls = calls_of(tiny, model, **PROCESSORS[name])
    answer = found(model, scored(model, calls) if name == "top_p" else calls)
    assert answer.cause is Cause.SAMPLING
    (strength,) = PROCESSORS[name].values()
    assert name in answer.finding
    assert float(answer.finding.split()[-1]) == pytest.approx(strength, rel=0.05)


def test_a_presence_penalty_is_named(tiny):
    model = sharp(tiny)
    calls = []
    for call in calls_of(tiny, model, length=40):
        logits = learner(model)(call.whole, len(call.context))
        for place, token in enumerate(call.ids):
            logits[place + 1 :, token] = np.nan
        said, raw = logits.isnan(), learner(model)(call.whole, len(call.context))
        under = (raw - 1.5 * said).log_softmax(-1)
        chosen = under.gather(1, torch.from_numpy(call.ids)[:, None])[:, 0]
        calls.append(replace(call, behaviour=chosen.numpy()))
    answer = found(model, calls)
    assert answer.cause is Cause.SAMPLING
    assert "presence 1.5" in answer.finding


def test_temperature_and_top_p_together(tiny):
    model = sharp(tiny)
    answer = found(model, calls_of(tiny, model, temperature=0.7, top_p=0.9))
    assert answer.cause is Cause.SAMPLING
    warmth, cut = (float(word.strip(",")) for word in answer.finding.split() if "0." in word)
    assert warmth == pytest.approx(0.7, rel=0.02)
    assert cut == pytest.approx(0.9, rel=0.02)


def test_what_an_engine_applies_unasked_is_named_by_its_place(tiny):
    model = sharp(tiny)
    suspect = Processors(temperature=0.7, top_p=0.8, top_k=20, repetition=1.05)
    options = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
    calls = calls_of(tiny, model, **options)
    answer = found(model, calls, suspected={"generation_config.json": suspect})
    assert answer.cause is Cause.SAMPLING
    assert answer.finding.startswith("generation_config.json: temperature 0.7, top_p 0.8, top_k 20")


def test_log_probs_from_before_the_processors_are_named(clean):
    model, calls = clean
    answer = found(model, calls, declared=Processors(temperature=0.6))
    assert answer.cause is Cause.SAMPLING
    assert "from before the processors" in answer.finding


def test_an_engine_in_16_bits_is_named(tiny, clean):
    model, engine = clean[0], sharp(tiny, dtype=torch.bfloat16)
    calls = calls_of(tiny, engine)
    for heard in (calls, scored(engine, calls)):
        assert found(model, heard, coarse=coarse(model)).cause is Cause.NUMERICS
    declared = {"dtypes": ("bfloat16", "float32"), "coarse": coarse(model)}
    assert found(model, calls, **declared).cause is Cause.NONE


# An engine of ours


def test_the_embedded_engine_is_clean_and_scores(tiny):
    model = sharp(tiny)
    policy = HFPolicy(model, tiny.chat)
    context = tiny.tokenizer.encode(PROMPTS[0])
    said = asyncio.run(policy.complete([span(context)], Sampling(max_tokens=20, temperature=1.3)))
    call = Call(context=np.array(context), ids=said.ids, behaviour=said.logprobs)
    answer = found(model, [call], declared=Processors(temperature=1.3))
    assert answer.cause is Cause.NONE


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_log_probs_that_are_no_numbers_are_refused(tiny, value):
    model = sharp(tiny)
    broken = Call(context=np.array([1]), ids=np.array([2, 3]), behaviour=np.array([-1.0, value]))
    with pytest.raises(DataError, match="1 of 2 reported log-probs"):
        found(model, [broken])
    with pytest.raises(DataError, match="no sampled token"):
        found(model, [])
