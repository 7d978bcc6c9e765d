"""A language model from nothing: tokenizer, chat template and weights, from an environment's text.

The result is an ordinary `save_pretrained` folder's worth of Hugging Face objects; nothing later
knows it was tiny.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
END = "<|end|>"
PAD = "<|pad|>"
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORD = r"</?(?!0x[0-9A-F]{2}>)\w+>|[:?]?\w+(?:=\w+)?| |\n|[^\w\s]|\s"
"""Tags, names (`:Mira_Talven`), variables (`?x`), placements (`r1c2=3`), words and single marks.

A text that spells a byte token (`<0x41>`) is no tag: it would come back as that byte.
"""


def word_tokenizer(texts: Iterable[str], *, max_words: int = 8000) -> PreTrainedTokenizerFast:
    """A word-level tokenizer with a byte fallback: every text has ids and comes back unchanged.

    The most frequent `max_words` words of `texts` are one token each; anything else falls back to
    bytes. Spaces between words are tokens of their own only where a word does not carry one.
    """
    splitter = Regex(rf" ?(?:{WORD})")
    pre = pre_tokenizers.Split(splitter, behavior="isolated")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in pre.pre_tokenize_str(text))
    byte_pieces = [f"<0x{value:02X}>" for value in range(256)]
    words = [word for word, _ in counts.most_common(max_words)]
    specials = [PAD, END, *ROLES]
    scored = [(piece, 0.0) for piece in specials + byte_pieces]
    scored += [(word, -1.0) for word in words if word not in byte_pieces]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=len(specials), byte_fallback=True))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(specials)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=list(ROLES),
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def tiny_model(
    vocabulary: int,
    *,
    architecture: Literal["llama", "qwen3"] = "llama",
    hidden_size: int = 96,
    layers: int = 3,
    heads: int = 4,
    context: int = 512,
    seed: int = 0,
) -> Any:
    """A decoder from scratch in float32: tied embeddings, 4x MLP, no dropout."""
    config_class: Any = {"llama": LlamaConfig, "qwen3": Qwen3Config}[architecture]
    model_class: Any = {"llama": LlamaForCausalLM, "qwen3": Qwen3ForCausalLM}[architecture]
    config = config_class(
        vocab_size=vocabulary,
        hidden_size=hidden_size,
        intermediate_size=4 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=hidden_size // heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.05,
        # No pad_token_id: with one, the embedding's padding_idx would swallow that row's gradient.
        pad_token_id=None,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model_class(config).float()
