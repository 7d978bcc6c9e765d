"""vLLM in the learner's process and on its accelerator: it sleeps while the learner steps."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentrl.backends import sync
from agentrl.backends.adapters import save
from agentrl.backends.publish import PublishedPolicy
from agentrl.backends.vllm.engine import EngineThread, start
from agentrl.errors import ConfigError
from agentrl.protocols import Chat
from agentrl.types import Completion, Floats, Ids, Sampling, Span

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Head dimensions that vLLM's attention on a CPU has kernels for."""


class VLLMPolicy(PublishedPolicy):
    """An engine of its own for one policy. `options` are further arguments of vLLM's `LLM`.

    Raises:
        MissingDependencyError: vLLM is not installed.
        ConfigError: a model that vLLM's CPU kernels cannot run.
        PolicyError: the engine does not start.
        SyncError: it does not serve the model's weights.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        chat: Chat,
        *,
        name: str = "main",
        dtype: str = "auto",
        context: int = 0,
        adapters: bool = False,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(model, chat, name=name, dtype=dtype, context=context, adapters=adapters)
        check_heads(model)
        self.folder = tempfile.mkdtemp(prefix="agentrl-vllm-")
        self.asleep = False
        given = dict(sync.named_weights(model, getattr(torch, self.dtype), merge=not adapters))
        sync.base_model(model).save_pretrained(self.folder, state_dict=given)
        tokenizer.save_pretrained(self.folder)
        lora = {"enable_lora": True, "max_lora_rank": vllm_rank(self.adapters), "max_loras": 1}
        more = {**(lora if adapters else {}), **options}
        llm = start(self.folder, dtype=self.dtype, max_model_len=self.window, **more)
        self.engine = EngineThread(llm, sorted(chat.end_ids), self.window)
        self.publish(self.version)

    async def complete(self, context: Sequence[Span], sampling: Sampling) -> Completion:
        """Sample once after `context`. Raises: ContextOverflowError, PolicyError."""
        self._wake()
        future = self.engine.submit(self.context(context), sampling)
        drawn = await asyncio.wrap_future(future)
        return self.completion(drawn.ids, drawn.logprobs, drawn.versions)

    @contextmanager
    def still(self) -> Iterator[None]:
        """The engine awake, and nothing drawn."""
        self._wake()
        self.engine.call(lambda llm: self.engine.hold())
        try:
            yield
        finally:
            self.engine.call(lambda llm: self.engine.release())

    def deliver(self, version: int) -> None:
        """Hand every tensor over in memory and forget what the old ones cached."""

        def replace(llm: Any) -> None:
            if self.adapters:
                self._exchange_adapters(llm, version)
            else:
                given = {"version": version, "weights": self.weights()}
                llm.collective_rpc("agentrl_receive", kwargs=given)
            llm.reset_prefix_cache()
            self.engine.version = version

        self.engine.call(replace)

    def _exchange_adapters(self, llm: Any, version: int) -> None:
        """In the engine's thread: load the adapters of now under a number of their own."""
        from vllm.lora.request import LoRARequest

        folder = Path(self.folder, "adapters", str(version))
        save(self.model, folder)
        request = LoRARequest(f"version-{version}", version + 1, str(folder))
        llm.llm_engine.add_lora(request)
        if self.engine.lora is not None:
            llm.llm_engine.remove_lora(self.engine.lora.lora_int_id)
            shutil.rmtree(self.engine.lora.lora_path)
        self.engine.lora = request

    def receipts(self) -> Sequence[Mapping[str, Any]]:
        """Every worker's receipt."""
        return self.engine.call(  # type: ignore[no-any-return]
            lambda llm: (
                llm.collective_rpc("agentrl_adapters", args=(self.engine.version,))
                if self.adapters
                else llm.collective_rpc("agentrl_receipt")
            )
        )

    def scores(self, ids: Ids) -> Sequence[Floats]:
        """The engine's log-probs `[T - 1]` of a text, at temperature 1."""
        self._wake()
        return [np.array(self.engine.score(ids.tolist()), np.float32)]

    def rest(self) -> None:
        """Leave the accelerator's memory to the learner until the engine is asked again."""
        if not self.asleep:
            self.engine.call(lambda llm: llm.sleep(level=1))
            self.asleep = True

    def _wake(self) -> None:
        if self.asleep:
            self.asleep = False
            self.engine.call(lambda llm: llm.wake_up())

    def close(self) -> None:
        """End the engine."""
        self.engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def vllm_rank(rank: int) -> int:
    """The smallest rank that vLLM prepares for and that holds these adapters."""
    return next((size for size in LORA_RANKS if size >= rank), rank)


def check_heads(model: Any) -> None:
    """Refuse what vLLM cannot run on a CPU. Raises: ConfigError."""
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if not torch.cuda.is_available() and size not in CPU_HEADS:
        raise ConfigError(
            f"the model's attention heads are {size} wide, and on a CPU vLLM runs "
            f"{', '.join(map(str, CPU_HEADS))}: set model.heads to hidden_size / 32, for example",
            "model.heads",
        )
