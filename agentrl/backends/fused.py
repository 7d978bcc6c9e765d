"""A decoder for small Llama and Qwen3 models on a CPU: the same arithmetic in a third of the calls.

At this size a transformers forward is mostly Python and kernel launches. Here projections are
fused, rotary embedding is one complex product and attention is two batched products. The numbers
agree with the model's own forward to 1e-5 nats, which `tests/backends` checks at every turn.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import rms_norm, silu

MASKED = -1e30  # finite: a padding column that attends to nothing stays a number


class FusedDecoder:
    """Copies of a model's weights, laid out for decoding; `refresh` takes the current ones."""

    def __init__(self, model: Any) -> None:
        self.model = model
        config = model.config
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        self.eps = config.rms_norm_eps
        self.refresh()

    @staticmethod
    def supports(model: Any) -> bool:
        """Llama and Qwen3 in float32 on a CPU, with plain rotary embedding and no biases."""
        config = model.config
        plain = getattr(config, "rope_parameters", None) or {}
        return (
            type(model).__name__ in ("LlamaForCausalLM", "Qwen3ForCausalLM")
            and next(model.parameters()).device.type == "cpu"
            and model.dtype == torch.float32
            and plain.get("rope_type", "default") == "default"
            and not getattr(config, "attention_bias", False)
            and not getattr(config, "mlp_bias", False)
            and config.hidden_act == "silu"
            and set(getattr(config, "layer_types", None) or ["full_attention"])
            == {"full_attention"}
        )

    @torch.inference_mode()
    def refresh(self) -> None:
        """Copy the model's weights."""
        body = self.model.model
        self.embedding = body.embed_tokens.weight.detach().clone()
        self.head = self.model.lm_head.weight.detach().t().contiguous()
        self.norm = body.norm.weight.detach().clone()
        self.layers = [self._layer(layer) for layer in body.layers]
        positions = torch.arange(self.model.config.max_position_embeddings)[None]
        cos, sin = body.rotary_emb(self.embedding[:1, None], positions)
        half = self.head_dim // 2
        self.rotation = torch.complex(cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous())

    def _layer(self, layer: Any) -> dict[str, torch.Tensor]:
        attention, mlp = layer.self_attn, layer.mlp
        pairs = (
            torch.arange(self.head_dim).view(2, -1).t().reshape(-1)
        )  # (i, i + half) side by side

        def interleave(weight: torch.Tensor) -> torch.Tensor:
            return weight.view(-1, self.head_dim, weight.shape[-1])[:, pairs].reshape(weight.shape)

        query, key = interleave(attention.q_proj.weight), interleave(attention.k_proj.weight)
        weights = {
            "qkv": torch.cat([query, key, attention.v_proj.weight]).t().contiguous(),
            "out": attention.o_proj.weight.t().contiguous(),
            "up": torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).t().contiguous(),
            "down": mlp.down_proj.weight.t().contiguous(),
            "norm1": layer.input_layernorm.weight.clone(),
            "norm2": layer.post_attention_layernorm.weight.clone(),
        }
        if hasattr(attention, "q_norm"):
            weights["q_norm"] = attention.q_norm.weight[pairs].clone()
            weights["k_norm"] = attention.k_norm.weight[pairs].clone()
        return weights

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, cache: Any
    ) -> torch.Tensor:
        """Logits `[B, V]` after the last of `ids [B, C]`; keys and values are appended to `cache`.

        `mask [B, T]` is 1 on real columns, the new ones included.
        """
        batch, columns = ids.shape
        hidden = self.embedding[ids.reshape(-1)]
        rotation = self.rotation[positions.reshape(-1)][:, None]
        bias = _bias(mask, columns)
        for weights, layer in zip(self.layers, cache.layers, strict=True):
            attended = self._attend(weights, layer, hidden, rotation, bias, batch)
            hidden = torch.addmm(hidden, attended, weights["out"])
            normed = rms_norm(hidden, hidden.shape[-1:], weights["norm2"], self.eps)
            gate, up = (normed @ weights["up"]).chunk(2, -1)
            hidden = torch.addmm(hidden, silu(gate) * up, weights["down"])
        last = hidden.view(batch, columns, -1)[:, -1]
        logits: torch.Tensor = rms_norm(last, last.shape[-1:], self.norm, self.eps) @ self.head
        return logits

    def _attend(
        self,
        weights: dict[str, torch.Tensor],
        layer: Any,
        hidden: torch.Tensor,
        rotation: torch.Tensor,
        bias: torch.Tensor,
        batch: int,
    ) -> torch.Tensor:
        """One layer's attention output before its projection, `[B * C, heads * head_dim]`."""
        heads, kv_heads, size = self.heads, self.kv_heads, self.head_dim
        projected = rms_norm(hidden, hidden.shape[-1:], weights["norm1"], self.eps) @ weights["qkv"]
        projected = projected.view(-1, heads + 2 * kv_heads, size)
        query, key, value = torch.split(projected, [heads, kv_heads, kv_heads], dim=1)
        if "q_norm" in weights:
            query = rms_norm(query, (size,), weights["q_norm"], self.eps)
            key = rms_norm(key, (size,), weights["k_norm"], self.eps)
            turned = _rotate(torch.cat([query, key], dim=1), rotation)
        else:
            turned = _rotate(projected[:, : heads + kv_heads], rotation)
        turned = turned.view(batch, -1, heads + kv_heads, size)
        value = value.reshape(batch, -1, kv_heads, size)
        keys, values = layer.update(turned[:, :, heads:].transpose(1, 2), value.transpose(1, 2))
        columns, length = turned.shape[1], keys.shape[2]
        query = turned[:, :, :heads].transpose(1, 2) * size**-0.5
        query = query.reshape(batch * kv_heads, -1, size)
        scores = torch.bmm(query, keys.flatten(0, 1).transpose(1, 2))
        scores = scores.view(batch, heads, columns, length) + bias
        mixed = torch.bmm(
            scores.softmax(-1).view(batch * kv_heads, -1, length), values.flatten(0, 1)
        )
        return mixed.view(batch, heads, columns, size).transpose(1, 2).reshape(batch * columns, -1)


def _rotate(heads: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    pairs = torch.view_as_complex(heads.reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2)


def _bias(mask: torch.Tensor, columns: int) -> torch.Tensor:
    """Additive attention mask `[B, 1, C, T]`: causal among the new columns, closed on padding."""
    length = mask.shape[1]
    bias = torch.zeros(mask.shape).masked_fill_(mask == 0, MASKED)[:, None, None]
    if columns == 1:
        return bias
    later = torch.full((columns, length), MASKED).triu_(length - columns + 1)
    return torch.minimum(bias, later)


class ModelDecoder:
    """Any causal language model through its own forward."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def refresh(self) -> None:
        """Nothing is copied."""

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, cache: Any
    ) -> torch.Tensor:
        """Logits `[B, V]` after the last of `ids [B, C]`; the model appends to `cache`."""
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]  # type: ignore[no-any-return]


def decoder(model: Any) -> FusedDecoder | ModelDecoder:
    """The fastest exact decoder for a model."""
    return FusedDecoder(model) if FusedDecoder.supports(model) else ModelDecoder(model)
