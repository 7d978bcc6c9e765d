"""`agentrl doctor` where vLLM is installed, and the bisector on causes planted in a real vLLM."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from servers import needs_vllm
from test_mismatch import coarse, contexts, found, moved, stale

from agentrl.backends.tiny import tiny_model
from agentrl.doctor import Level, accelerator, examine
from agentrl.mismatch.diagnosis import Cause
from agentrl.mismatch.evidence import Call

pytestmark = [needs_vllm, pytest.mark.service, pytest.mark.filterwarnings("default")]
SMALL = {"enforce_eager": True, "kv_cache_memory_bytes": 64 << 20, "max_model_len": 256}
SAMPLED = {
    "temperature": {"temperature": 0.7},
    "top_p": {"top_p": 0.8},
    "top_k": {"top_k": 5},
    "min_p": {"min_p": 0.2},
    "repetition": {"repetition_penalty": 1.3},
    "presence": {"presence_penalty": 1.5},
}


@pytest.fixture(scope="module")
def model(tiny):
    """Heads of 32, which vLLM's kernels take, and distributions as uneven as trained ones."""
    made = tiny_model(len(tiny.tokenizer), hidden_size=64, layers=2, heads=2, context=256, seed=1)
    made.model.norm.weight.data.mul_(5.0)
    return made.eval()


def engine(tiny, model, folder, dtype):
    """A vLLM with the weights that the model has now."""
    from agentrl.backends.vllm.engine import start

    model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return start(str(folder), dtype=dtype, **SMALL)


@pytest.fixture(scope="module")
def exact(tiny, model, tmp_path_factory):
    return engine(tiny, model, tmp_path_factory.mktemp("float32"), "float32")


def heard(tiny, llm, **processors):
    """What vLLM says after each prompt."""
    from vllm import SamplingParams

    asked = [np.array(ids * 2, np.int64) for ids in contexts(tiny)]
    options = {"temperature": 1.0, "max_tokens": 48, "ignore_eos": True, **processors}
    options |= {"logprobs": 0, "seed": 3}
    prompts = [{"prompt_token_ids": ids.tolist()} for ids in asked]
    answers = llm.generate(prompts, SamplingParams(**options), use_tqdm=False)
    return [call_of(ids, a.outputs[0]) for ids, a in zip(asked, answers, strict=True)]


def call_of(context, said):
    ids = np.array(said.token_ids, np.int64)
    drawn = [said.logprobs[place][token].logprob for place, token in enumerate(ids.tolist())]
    return Call(context=context, ids=ids, behaviour=np.array(drawn, np.float32))


def test_a_clean_vllm_has_no_cause(tiny, model, exact):
    answer = found(model, heard(tiny, exact))
    assert answer.cause is Cause.NONE
    assert answer.numbers["mean_abs"] < 1e-4


@pytest.mark.parametrize("name", SAMPLED)
def test_its_processors_are_named(tiny, model, exact, name):
    answer = found(model, heard(tiny, exact, **SAMPLED[name]))
    assert answer.cause is Cause.SAMPLING
    (strength,) = SAMPLED[name].values()
    assert name in answer.finding
    assert float(answer.finding.split()[-1]) == pytest.approx(strength, rel=0.05)


def test_shifts_and_stale_weights_are_named(tiny, model, exact):
    calls = heard(tiny, exact)
    late = found(model, [moved(call, 1) for call in calls])
    assert (late.cause, "late" in late.finding) == (Cause.ALIGNMENT, True)
    newer = stale(model, 0.05)
    assert found(newer, calls, coarse=coarse(newer)).cause is Cause.WEIGHTS


def test_a_start_token_that_was_added_is_named(tiny, model, exact):
    first = int(heard(tiny, exact)[0].context[0])
    asked = [call for call in heard(tiny, exact) if call.context[0] == first]
    ledger = [replace(call, context=call.context[1:]) for call in asked]
    more = {"a start token more": lambda ids: np.concatenate([[first], ids])}
    answer = found(model, ledger, readings=more)
    assert (answer.cause, answer.finding) == (Cause.ALIGNMENT, "a start token more")


def test_16_bits_are_named(tiny, model, tmp_path):
    llm = engine(tiny, model, tmp_path, "bfloat16")
    calls = heard(tiny, llm)
    assert found(model, calls, coarse=coarse(model)).cause is Cause.NUMERICS
    declared = {"dtypes": ("bfloat16", "float32"), "coarse": coarse(model)}
    assert found(model, calls, **declared).cause is Cause.NONE


def test_this_environment_is_sound():
    findings = {finding.what: finding for finding in examine()}
    assert {"python", "torch", "transformers"} <= set(findings)
    assert found_broken(findings) == []
    assert findings["torch"].says == torch.__version__
    assert next(iter(accelerator())).level is Level.OK


def found_broken(findings):
    return [finding for finding in findings.values() if finding.level is Level.BROKEN]
