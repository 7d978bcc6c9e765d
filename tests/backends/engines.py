"""Models of every architecture the engine must be exact for, and the plain forward it must equal.

Random weights of the usual size give a nearly uniform distribution, under which hardly any mistake
shows. These are sharpened, and END is likely enough that turns end both ways.
"""

import asyncio

import numpy as np
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.backends.fused import ModelDecoder
from agentrl.backends.hf import HFPolicy, make_request
from agentrl.protocols import Choice
from agentrl.rollout import Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Sampling, Source, Span, join

CLASSES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM),
}
WINDOW = {
    "mistral": {"sliding_window": 12},
    "gemma3": {"sliding_window": 12, "layer_types": ["sliding_attention", "full_attention"]},
}
LIMITS = Limits(turn_tokens=12)
KINDS = [
    ("llama", 4, False),
    ("llama", 2, True),
    ("llama", 2, False),
    ("qwen3", 4, False),
    ("qwen3", 1, False),
    ("qwen3", 1, True),
    ("mistral", 2, True),
    ("gemma3", 2, True),
]
"""Architecture, key-value heads of 4, and whether the model's own forward is used."""


def model_of(kind, vocabulary, *, kv_heads=4, seed=0, **options):
    """A sharpened float32 model: 2 layers of 32, 4 heads."""
    config_class, model_class = CLASSES[kind]
    config = config_class(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        head_dim=8,
        max_position_embeddings=512,
        pad_token_id=None,
        eos_token_id=1,
        bos_token_id=None,
        tie_word_embeddings=False,
        **{**WINDOW.get(kind, {}), **options},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return sharpen(model_class(config).float().eval())


@torch.no_grad()
def sharpen(model):
    """Larger weights, and a constant feature that only the logit of END reads."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            parameter.mul_(10.0)
        else:
            parameter.add_(torch.randn_like(parameter) * 0.1)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter[0] = 0.0
    model.model.embed_tokens.weight[:, 0] = 1.0
    model.lm_head.weight[1] = 0.0
    model.lm_head.weight[1, 0] = 1.2 if model.config.model_type == "gemma3_text" else 8.0
    return model


def policy_of(model, chat, *, plain=False, **options):
    """An engine; `plain` forces the model's own forward."""
    policy = HFPolicy(model, chat, **options)
    if plain:
        policy.decoder = ModelDecoder(model)
    return policy


def play(policy, env, tasks, *, attempts=2, temperature=1.0, limits=LIMITS, seed=0):
    """All trajectories that the policy plays."""
    pool = EnvPool(env, 30.0)
    rollout = Rollout(pool=pool, agent=ChatAgent(limits))
    cast = seated({"main": policy}, temperature)
    playing = rollout.groups(
        [Choice(t, attempts) for t in tasks], cast, seed=seed, strategy=independent
    )
    groups = asyncio.run(playing)
    pool.close()
    return [episode.main for group in groups for episode in group.episodes]


@torch.no_grad()
def plain(model, context, sampled, temperature=1.0):
    """Log-probs of `sampled` after `context` by one forward of everything, and all of them."""
    ids = np.concatenate([context, sampled])
    logits = model(torch.from_numpy(ids)[None]).logits[0, len(context) - 1 : -1].float()
    every = (logits / (temperature or 1.0)).log_softmax(-1)
    return every.gather(-1, torch.from_numpy(sampled)[:, None])[:, 0].numpy(), every


def worst(model, trajectory, temperature=1.0):
    """The largest difference of a reported log-prob from the plain forward's, over all turns."""
    differences = [
        np.abs(
            plain(model, join(t.spans), t.completion.ids, temperature)[0] - t.completion.logprobs
        )
        for t in trajectory.turns
    ]
    return max(float(d.max()) for d in differences)


def request(ids, *, seed=0, temperature=1.0, max_tokens=8):
    """A request after plain ids."""
    span = Span(ids=np.asarray(ids, np.int64), source=Source.ENV)
    return make_request(
        (span,), Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    )
