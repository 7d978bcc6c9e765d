"""Where a run's model comes from: made on the spot (`tiny`) or loaded from a folder or hub id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from agentrl.env import TextEnv
from agentrl.errors import ConfigError, PolicyError, boundary

ADAPTER = "adapter_config.json"
"""What peft writes beside adapters, where a whole model has its config.json."""


def tiny(
    env: TextEnv,
    seed: int,
    *,
    architecture: Literal["llama", "qwen3"] = "llama",
    hidden_size: int = 64,
    layers: int = 3,
    heads: int = 4,
    context: int = 1024,
    max_words: int = 8000,
    corpus_tasks: int = 300,
) -> tuple[Any, Any]:
    """A model from nothing and its tokenizer, built from the text of `corpus_tasks` training tasks.

    Formula: {layers} layers of width {hidden_size}, {architecture}
    """
    from agentrl.backends.tiny import tiny_model, word_tokenizer

    if hidden_size % (2 * heads):
        raise ConfigError(
            f"model.hidden_size is {hidden_size}: make it a multiple of 2 x heads ({2 * heads})",
            "hidden_size",
        )
    tokenizer = word_tokenizer(corpus(env, corpus_tasks), max_words=max_words)
    model = tiny_model(
        len(tokenizer),
        architecture=architecture,
        hidden_size=hidden_size,
        layers=layers,
        heads=heads,
        context=context,
        seed=seed,
    )
    return model, tokenizer


def pretrained(
    path: str,
    *,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    head: Literal["same", "float32"] = "same",
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    device: str = "auto",
    lora_rank: int = 0,
    lora_alpha: int = 32,
    lora_targets: str | list[str] = "all-linear",
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Any causal language model by folder or hub id; `lora_rank` above 0 trains adapters only.

    A folder of saved adapters goes on with those, on the model that they were made for. `head` in
    float32 makes the logits of a 16-bit model in float32 (`backends/head.py`).
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = path if not path.startswith("~") else str(Path(path).expanduser())
    adapted = (Path(path) / ADAPTER).is_file()
    with boundary(PolicyError, f"cannot load the model {path!r}"):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
        model: Any = AutoModelForCausalLM.from_pretrained(
            _adapted_model(path) if adapted else path,
            dtype=dtype,
            attn_implementation=attention,
            trust_remote_code=trust_remote_code,
        )
    # An embedding with padding_idx swallows that row's gradient; a sampled pad is like any token.
    model.get_input_embeddings().padding_idx = None
    if head == "float32":
        from agentrl.backends.head import float32_head

        float32_head(model)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model.to(chosen)
    if adapted:
        return _saved_adapters(model, path), tokenizer
    if lora_rank > 0:
        from peft import LoraConfig, get_peft_model

        shape: dict[str, Any] = {
            "r": lora_rank,
            "lora_alpha": lora_alpha,
            "target_modules": lora_targets,
        }
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **shape))
    return model, tokenizer


def load_weights(model: Any, path: str) -> None:
    """Give a model the weights of a folder that such a model was saved to.

    Of a model with adapters only those are taken: its base stays as it is.

    Raises:
        PolicyError: the folder holds none that fit.
    """
    from transformers import AutoModelForCausalLM

    with boundary(PolicyError, f"cannot load the weights of {path!r}"):
        if (Path(path) / ADAPTER).is_file():
            from peft import load_peft_weights, set_peft_model_state_dict

            set_peft_model_state_dict(model, load_peft_weights(path, device="cpu"))
        else:
            found = AutoModelForCausalLM.from_pretrained(path, dtype=model.dtype)
            model.load_state_dict(found.state_dict())


def _saved_adapters(model: Any, path: str) -> Any:
    """The model with the adapters of a folder, trainable."""
    from peft import PeftModel

    with boundary(PolicyError, f"cannot load the adapters {path!r}"):
        return PeftModel.from_pretrained(model, path, is_trainable=True)


def _adapted_model(path: str) -> str:
    """The model that the adapters in a folder belong to."""
    return str(json.loads((Path(path) / ADAPTER).read_text())["base_model_name_or_path"])


def check_path(name: Any) -> None:
    """Refuse a model path that cannot be there, before anything is loaded. Raises: ConfigError."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"model.name is {name!r}: write tiny, a folder or a hub id", "model.name")
    path = Path(name).expanduser()
    if path.is_dir():
        if not any((path / file).is_file() for file in ("config.json", ADAPTER)):
            raise ConfigError(
                f"the model folder {name!r} has no config.json: is it a save_pretrained folder?",
                "model",
            )
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ConfigError(
            f"there is no model at {name!r}: give a folder that exists, a hub id (owner/name) or "
            "tiny",
            "model",
        )


def corpus(env: TextEnv, num_tasks: int) -> Iterable[str]:
    """The text a tokenizer should know.

    What the environment lists, and expert episodes of training tasks.
    """
    import numpy as np

    yield from env.corpus()
    rng = np.random.default_rng(0)
    for task in env.tasks("train", num_tasks, 0):
        text, info = env.reset(seed=0, options={"task": task})
        yield from (info.get("system", ""), text)
        over = False
        while not over:
            action = env.expert(rng)
            text, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            yield from (action, text)
