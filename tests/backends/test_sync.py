"""Fingerprints of weights: what they see, and that they add up over fused tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from agentrl.backends import sync
from agentrl.backends.sync import Receipt, Stamp, checksum, named_weights, stamp
from agentrl.errors import SyncError


def receipt(sent, **changes):
    return Receipt(**{"version": 1, "received": sent, "held": {}, "fused": {}, **changes})


def stamps(**tensors):
    return {name: stamp(tensor) for name, tensor in tensors.items()}


@given(st.integers(0, 2**32), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_one_changed_element_changes_the_checksum(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(7, 5, generator=generator).to(dtype)
    changed = tensor.clone()
    changed[3, 2] += 1
    assert checksum(tensor) != checksum(changed)


def test_checksums_add_up_over_parts_and_chunks(monkeypatch):
    parts = [torch.randn(3, 4), torch.randn(5, 4)]
    whole = checksum(torch.cat(parts))
    assert whole == sum(map(checksum, parts)) % 2**64
    monkeypatch.setattr(sync, "CHUNK", 3)
    assert checksum(torch.cat(parts)) == whole


def test_padding_with_zeros_adds_nothing():
    tensor = torch.randn(3, 4)
    assert checksum(torch.cat([tensor, torch.zeros(2, 4)])) == checksum(tensor)


def test_equal_receipts_pass():
    sent = stamps(a=torch.ones(2), b=torch.ones(3))
    sync.check_receipt(sent, 1, receipt(sent))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 0}, "version 1 of the weights was published, but the engine has 0"),
        ({"received": {}}, "a is missing"),
        ({"received": stamps(a=torch.zeros(2))}, "a has other values"),
        ({"received": stamps(a=torch.ones(2).bfloat16())}, "a is bfloat16, not float32"),
    ],
)
def test_a_wrong_receipt_names_what_is_wrong(changes, message):
    with pytest.raises(SyncError, match=message):
        sync.check_receipt(stamps(a=torch.ones(2)), 1, receipt(stamps(a=torch.ones(2)), **changes))


def test_a_fused_tensor_that_the_engine_holds_is_compared_with_its_parts():
    parts = {f"layer.{name}_proj.weight": torch.randn(2, 3) for name in "qkv"}
    sent, fused = stamps(**parts), {"qkv_proj": ["q_proj", "k_proj", "v_proj"]}
    whole = torch.cat(list(parts.values()))
    held = {"layer.qkv_proj.weight": stamp(whole)}
    sync.check_receipt(sent, 1, receipt(sent, held=held, fused=fused))
    whole[0, 0] += 1
    held = {"layer.qkv_proj.weight": stamp(whole)}
    with pytest.raises(SyncError, match=r"layer\.qkv_proj\.weight has other values"):
        sync.check_receipt(sent, 1, receipt(sent, held=held, fused=fused))


def test_a_receipt_survives_json():
    told = {"version": 3, "received": {"a": ["float32", 2, 5]}, "held": {}, "fused": {}}
    assert Receipt.read(told).received == {"a": Stamp("float32", 2, 5)}


def test_adapters_are_added_without_touching_the_base(tiny):
    plain = tiny.fresh()
    model = get_peft_model(
        tiny.fresh(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear")
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain.load_state_dict(dict(named_weights(model, torch.float32)))
    ids = sync.probe_ids(len(tiny.tokenizer))
    gap = np.abs(sync.probe_logprobs(plain, ids) - sync.probe_logprobs(model, ids))
    assert gap.max() < 1e-4
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_the_base_alone_is_what_adapters_adapt(tiny):
    shape = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear")
    base = dict(named_weights(get_peft_model(tiny.fresh(), shape), torch.float32, merge=False))
    expected = tiny.fresh().state_dict()
    assert base.keys() == expected.keys()
    assert all(tensor.equal(expected[name]) for name, tensor in base.items())


def test_a_probe_outside_of_its_precisions_tolerance_is_refused():
    learner, engine = np.zeros(8), np.full(8, 0.01)
    assert sync.check_probe(learner, engine, "bfloat16") == pytest.approx(0.01)
    with pytest.raises(SyncError, match=r"differ by 0\.01 nats on average, and float32 explains"):
        sync.check_probe(learner, engine, "float32")
    with pytest.raises(SyncError):
        sync.check_probe(learner, engine * np.nan, "float32")
