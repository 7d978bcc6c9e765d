"""TRL's own GRPOTrainer, on our environments."""

import json
from importlib.util import find_spec

import pytest

if find_spec("trl") is None:
    pytest.skip("NOT CHECKED HERE: `make env-adapters` installs it", allow_module_level=True)

import torch
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen2_5_chat_template

from agentrl.backends.tiny import tiny_model, word_tokenizer
from agentrl.envs.echo import WORDS
from agentrl.export import trl

pytestmark = [
    pytest.mark.service,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("accelerate_anew"),
]
CALL = '<tool_call>\n{{"name": "say", "arguments": {{"text": "{}"}}}}\n</tool_call>'


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


@pytest.fixture(scope="module")
def tokenizer():
    """Words in a chat template that teaches calls."""
    rows = trl.dataset("agentrl/Echo-v0", count=8, words=2)
    schema = get_json_schema(trl.environment_factory("agentrl/Echo-v0")().say)
    texts = [qwen2_5_chat_template, json.dumps(schema), *WORDS, CALL.format("red"), str(rows[0])]
    made = word_tokenizer(texts)
    marks = ["<|im_start|>", "<|im_end|>"]
    made.add_special_tokens({"additional_special_tokens": marks})
    made.eos_token, made.chat_template = "<|im_end|>", qwen2_5_chat_template
    return made


@pytest.fixture(scope="module")
def caller(tokenizer):
    """A model that calls `say` with either word, then ends."""
    model = tiny_model(len(tokenizer), hidden_size=32, layers=1, heads=2, context=2048)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    say = trl.environment_factory("agentrl/Echo-v0")().say
    prompt = [{"role": "user", "content": "say red"}]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    head = tokenizer.apply_chat_template(
        prompt, tools=[say], add_generation_prompt=True, return_dict=False
    )
    for step in range(60):
        said = CALL.format(WORDS[step % 2]) + "<|im_end|>"
        ids = torch.tensor([head + tokenizer.encode(said, add_special_tokens=False)])
        labels = ids.clone()
        labels[:, : len(head)] = -100
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def test_the_trainer_trains_on_our_environment(tokenizer, caller, tmp_path):
    settings = {"words": 2}
    config = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=80,
        max_tool_calling_iterations=1,
        learning_rate=1e-3,
        beta=0.0,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    before = [weight.clone() for weight in caller.parameters()]
    trainer = GRPOTrainer(
        caller,
        args=config,
        processing_class=tokenizer,
        train_dataset=trl.dataset("agentrl/Echo-v0", count=8, **settings),
        environment_factory=trl.environment_factory("agentrl/Echo-v0", **settings),
    )
    trainer.train()
    logs = [row for row in trainer.state.log_history if "reward" in row]
    assert sum(row["tools/call_frequency"] for row in logs) > 0
    assert any(0 < row["rewards/Echo/mean"] < 1 for row in logs)
    assert any(
        not torch.equal(old, new) for old, new in zip(before, caller.parameters(), strict=True)
    )
