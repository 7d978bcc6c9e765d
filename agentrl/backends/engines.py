"""The engines that a run can sample with, by name: the signatures are the `engine` section's keys.

Each takes the learner's model, its tokenizer and chat format, and the most episodes in play.
"""

from __future__ import annotations

from typing import Any, Literal

from agentrl.protocols import Chat, TrainedPolicy


def hf(
    model: Any,
    tokenizer: Any,
    chat: Chat,
    concurrency: int,
    *,
    cache_tokens: int = 1 << 19,
    linger_seconds: float = 0.25,
) -> TrainedPolicy:
    """The learner's own model in this process: nothing is copied, nothing can be stale."""
    from agentrl.backends.hf import HFPolicy

    return HFPolicy(
        model,
        chat,
        max_batch=concurrency,
        cache_tokens=cache_tokens,
        linger_seconds=linger_seconds,
    )


def vllm(
    model: Any,
    tokenizer: Any,
    chat: Chat,
    concurrency: int,
    *,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    context: int = 0,
    memory: float = 0.5,
    cache_gib: float = 0.0,
    eager: bool = False,
    tensor_parallel: int = 1,
    adapters: bool = False,
) -> TrainedPolicy:
    """VLLM in this process, asleep while the learner steps.

    `memory` is the share of a GPU's memory; `cache_gib` above 0 fixes the key-value cache instead
    (on a CPU, 0 means 1 GiB). `context` 0 is all of the model's positions. `adapters` delivers LoRA
    adapters apart from the base; otherwise they are merged into what is delivered.
    """
    import torch

    from agentrl.backends.vllm.inprocess import VLLMPolicy

    on_gpu = torch.cuda.is_available()
    gib = cache_gib or (0.0 if on_gpu else 1.0)
    options = {
        "max_num_seqs": concurrency,
        "enforce_eager": eager or not on_gpu,
        "tensor_parallel_size": tensor_parallel,
        **({"gpu_memory_utilization": memory, "enable_sleep_mode": True} if on_gpu else {}),
        **({"kv_cache_memory_bytes": int(gib * (1 << 30))} if gib else {}),
    }
    return VLLMPolicy(
        model,
        tokenizer,
        chat,
        dtype=dtype,
        context=context,
        adapters=adapters,
        options=options,
    )


def server(
    model: Any,
    tokenizer: Any,
    chat: Chat,
    concurrency: int,
    *,
    urls: list[str] = [],  # noqa: B006 -- never changed
    folder: str = "",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    context: int = 0,
    patience_seconds: float = 300.0,
    request: dict[str, Any] | None = None,
    adapters: bool = False,
) -> TrainedPolicy:
    """VLLM servers started by `agentrl serve`; weights reach them through `folder`.

    `folder` is seen by this process and by the servers (default: a temporary one of this machine).
    A server that is gone is waited for `patience_seconds`. `request` adds to every request's
    sampling parameters, for example `{structured_outputs: {regex: ...}}`.
    """
    from agentrl.backends.vllm.server import ServerPolicy

    return ServerPolicy(
        model,
        tokenizer,
        chat,
        urls=urls,
        folder=folder,
        dtype=dtype,
        context=context,
        patience_seconds=patience_seconds,
        request=request,
        adapters=adapters,
    )


ENGINES = {"hf": hf, "vllm": vllm, "server": server}
