"""Models from nothing and from a folder: ordinary Hugging Face objects, and clear refusals."""

import numpy as np
import pytest
import torch
from engines import plain, policy_of, request
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.backends import load
from agentrl.chat import TemplateChat
from agentrl.env import make
from agentrl.errors import ConfigError, PolicyError
from agentrl.types import Message

ENV = make("agentrl/Echo-v0")
TALK = [Message("system", "be brief"), Message("user", "say red")]


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def saved(request, tmp_path_factory):
    """A folder, and what was saved in it."""
    model, tokenizer = load.tiny(ENV, 0, architecture=request.param, hidden_size=32, layers=2)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model.eval(), tokenizer


@torch.no_grad()
def test_a_saved_model_is_an_ordinary_folder(saved):
    folder, model, tokenizer = saved
    again = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.arange(40)[None]
    torch.testing.assert_close(again(ids).logits, model(ids).logits, atol=0, rtol=0)
    chats = [TemplateChat(t) for t in (AutoTokenizer.from_pretrained(folder), tokenizer)]
    (one, two) = ([span.ids.tolist() for span in chat.opening(TALK).spans] for chat in chats)
    assert one == two
    assert chats[0].end_ids == chats[1].end_ids


def test_a_loaded_model_samples_the_same(saved):
    folder, model, tokenizer = saved
    again, _ = load.pretrained(str(folder), device="cpu")
    chat = TemplateChat(tokenizer)
    one, two = (policy_of(m, chat).generate([request([7, 8])])[0] for m in (model, again))
    assert one.ids.tolist() == two.ids.tolist()
    assert again.get_input_embeddings().padding_idx is None


def test_adapters_are_sampled_through(saved):
    folder, *_ = saved
    model, tokenizer = load.pretrained(str(folder), device="cpu", lora_rank=2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    said = policy_of(model, TemplateChat(tokenizer)).generate([request([7, 8])])[0]
    expected, _ = plain(model.eval(), np.array([7, 8]), said.ids)
    np.testing.assert_allclose(said.logprobs, expected, atol=1e-4, rtol=0)


def test_equal_seeds_make_equal_models():
    one, two, other = (load.tiny(ENV, seed, hidden_size=32, layers=1)[0] for seed in (3, 3, 4))
    equal = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(equal)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match=r"hidden_size is 30: make it a multiple .* \(8\)"):
        load.tiny(ENV, 0, hidden_size=30)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "write tiny, a folder or a hub id"),
        (None, "write tiny, a folder or a hub id"),
        ("./nowhere", "there is no model at './nowhere'"),
        ("nowhere", "there is no model at 'nowhere'"),
        ("a/b/c", "there is no model at 'a/b/c'"),
    ],
)
def test_a_path_that_cannot_be_there_is_refused(path, message):
    with pytest.raises(ConfigError, match=message):
        load.check_path(path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        load.check_path(str(tmp_path))
    with pytest.raises(PolicyError, match="cannot load the model"):
        load.pretrained(str(tmp_path))


def test_hub_ids_and_folders_pass(saved):
    load.check_path(str(saved[0]))
    load.check_path("owner/name")
