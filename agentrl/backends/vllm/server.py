"""vLLM servers as a policy's engine: token ids over HTTP, weights through a folder.

    publish    pause every server (what runs comes back as far as it is) -> weights -> resume
    complete   the server with the fewest requests; what a publish cut off goes on behind it

Every answer says which version of the weights drew which tokens. A server that was restarted says
something else than what was published: it is given the published weights before it is asked again.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentrl.backends import sync
from agentrl.backends.adapters import save
from agentrl.backends.http.endpoint import Endpoint
from agentrl.backends.publish import PublishedPolicy
from agentrl.backends.vllm.line import Line
from agentrl.errors import ConfigError, PolicyError, boundary
from agentrl.protocols import Chat
from agentrl.types import Completion, Floats, Ids, Sampling, Span

ATTEMPTS = 8
"""How often one completion may be begun again because weights changed under it or were foreign."""


class ServerPolicy(PublishedPolicy):
    """One or more vLLM servers, started by `agentrl serve`, that serve one policy.

    Raises:
        ConfigError: no server is named.
        PolicyError: one does not answer, or was not started by `agentrl serve`.
        SyncError: one does not serve the model's weights.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        chat: Chat,
        *,
        urls: Sequence[str],
        folder: str = "",
        name: str = "main",
        dtype: str = "auto",
        context: int = 0,
        patience_seconds: float = 300.0,
        request: Mapping[str, Any] | None = None,
        adapters: bool = False,
    ) -> None:
        super().__init__(model, chat, name=name, dtype=dtype, context=context, adapters=adapters)
        if not urls:
            raise ConfigError("engine.urls is empty: name the servers of `agentrl serve`", "urls")
        self.request = dict(request or {})
        self.mark = secrets.token_hex(4)
        self.own = not folder
        self.folder = Path(folder or tempfile.mkdtemp(prefix="agentrl-weights-"))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="agentrl-http", daemon=True
        )
        self.thread.start()
        endpoint = Endpoint(patience_seconds=patience_seconds)
        self.lines: list[Line] = self.wait(self._lines(urls, endpoint))
        self.publish(self.version)

    # ---- the policy ----

    async def complete(self, context: Sequence[Span], sampling: Sampling) -> Completion:
        """Sample once after `context`. Raises: ContextOverflowError, PolicyError."""
        ids = self.context(context)
        future = asyncio.run_coroutine_threadsafe(self._complete(ids, sampling), self.loop)
        return await asyncio.wrap_future(future)

    async def _complete(self, context: list[int], sampling: Sampling) -> Completion:
        ids: list[int] = []
        logprobs: list[float] = []
        versions: list[int] = []
        wanted = min(sampling.max_tokens, self.window - len(context))
        for _ in range(ATTEMPTS):
            line = min(self.lines, key=lambda line: line.waiting)
            served, asked = line.served, self.params(sampling, wanted - len(ids), len(ids))
            choice = await self._draw(line, context + ids, asked)
            spans = [(span, self.version_of(span["version"])) for span in choice["weight_versions"]]
            if any(version is None for _, version in spans):
                await self._restore(line, served)
                continue
            ids += choice["token_ids"]
            told = (choice.get("logprobs") or {}).get("content") or ()
            logprobs += [known["logprob"] for known in told]
            versions += [v or 0 for s, v in spans for _ in range(s["end"] - s["start"])]
            if choice["finish_reason"] != "abort" or len(ids) == wanted:
                return self.completion(ids, logprobs, versions)
        raise PolicyError(
            f"{line.url}: a completion was cut off {ATTEMPTS} times, last as "
            f"{choice['finish_reason']} by weights {[span['version'] for span, _ in spans]}"
        )

    async def _draw(self, line: Line, ids: list[int], params: dict[str, Any]) -> dict[str, Any]:
        line.waiting += 1
        try:
            await line.open.wait()
            told = await line.draw(ids, params)
            if told is None:
                return {"finish_reason": "abort", "token_ids": [], "weight_versions": []}
            with boundary(PolicyError, f"{line.url} answered without tokens"):
                choice: dict[str, Any] = told["choices"][0]
                if choice["finish_reason"] == "error":
                    raise PolicyError(f"{line.url} could not complete a request: {told}")
                return {**choice, "weight_versions": choice["weight_versions"] or []}
        finally:
            line.waiting -= 1

    def params(self, sampling: Sampling, left: int, drawn: int) -> dict[str, Any]:
        """Sampling in vLLM's form, with `left` tokens to go after `drawn`."""
        return {
            "temperature": sampling.temperature,
            "max_tokens": left,
            "seed": (sampling.seed + drawn) % (1 << 63),
            "logprobs": 0,
            "stop_token_ids": sorted(self.chat.end_ids),
            "detokenize": False,
            **self.request,
        }

    # ---- weights ----

    def label(self, version: int) -> str:
        """What servers call a version: another run's is never mistaken for ours."""
        return f"{self.mark}-{version}"

    def version_of(self, label: str) -> int | None:
        """The version behind a label, None for one that was not published here."""
        mark, _, version = label.partition("-")
        return int(version) if mark == self.mark else None

    def deliver(self, version: int) -> None:
        """Write the weights once and have every server read them."""
        fresh = self.folder / self.label(version)
        fresh.mkdir(parents=True, exist_ok=True)
        if self.adapters:
            save(self.model, fresh)
        else:
            save_weights(self.weights(), fresh)
        self.published = (version, fresh)
        self.wait(self._everywhere(lambda line: self._hand_over(line)))
        for old in self.folder.glob(f"{self.mark}-*"):
            if old != fresh:
                shutil.rmtree(old, ignore_errors=True)

    async def _hand_over(self, line: Line) -> None:
        """Give a server that draws nothing the published weights."""
        version, folder = self.published
        if self.adapters:
            await self._exchange_adapters(line, folder)
        else:
            await line.call("agentrl_receive", version=version, path=str(folder))
        await line.tell("/reset_prefix_cache")
        await line.tell("/update_weight_version", new_version=self.label(version))

    @contextmanager
    def still(self) -> Iterator[None]:
        """No server draws; what one was drawing comes back unfinished."""
        self.wait(self._everywhere(Line.stop))
        try:
            yield
        finally:
            self.wait(self._everywhere(Line.go_on))

    async def _exchange_adapters(self, line: Line, folder: Path) -> None:
        """Load the adapters of a folder under its name, and drop those that were there."""
        await line.tell("/v1/load_lora_adapter", lora_name=folder.name, lora_path=str(folder))
        if line.adapters:
            await line.tell("/v1/unload_lora_adapter", lora_name=line.adapters)
        line.adapters = folder.name

    async def _restore(self, line: Line, served: int) -> None:
        """Give a server what the others have that was started anew since it last was."""
        async with line.lock:
            if line.served != served:
                return
            line.adapters = ""
            await line.stop()
            try:
                await self._hand_over(line)
                for told in await self._receipts(line):
                    sync.check_receipt(self.sent, self.published[0], sync.Receipt.read(told))
            finally:
                await line.go_on()

    def receipts(self) -> Sequence[Mapping[str, Any]]:
        """Every worker's receipt, of every server."""
        told = self.wait(self._everywhere(self._receipts))
        return [receipt for workers in told for receipt in workers]

    async def _receipts(self, line: Line) -> list[Any]:
        if self.adapters:
            return await line.call("agentrl_adapters", version=self.published[0])
        return await line.call("agentrl_receipt")

    def scores(self, ids: Ids) -> Sequence[Floats]:
        """Each server's log-probs `[T - 1]` of a text, at temperature 1."""
        return self.wait(  # type: ignore[no-any-return]
            self._everywhere(lambda line: self._score(line, ids.tolist()))
        )

    async def _score(self, line: Line, ids: list[int]) -> Floats:
        params = {"max_tokens": 1, "temperature": 1.0, "prompt_logprobs": 0, "detokenize": False}
        told = await line.generate(ids, params)
        pairs = zip(ids, told["prompt_logprobs"], strict=True)
        return np.array(
            [known[str(token)]["logprob"] for token, known in pairs if known], np.float32
        )

    # ---- servers ----

    async def _lines(self, urls: Sequence[str], endpoint: Endpoint) -> list[Line]:
        """Connections to servers that answer and know our worker methods. Raises: PolicyError."""
        lines = [Line(url, endpoint) for url in urls]
        for line in lines:
            try:
                await line.call("agentrl_receipt")
            except PolicyError as error:
                raise PolicyError(
                    f"no server of `agentrl serve` answers at {line.url}: {error}"
                ) from error
        return lines

    async def _everywhere(self, action: Any) -> list[Any]:
        return list(await asyncio.gather(*(action(line) for line in self.lines)))

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What some work in the connections' thread comes to."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result()

    def rest(self) -> None:
        """Nothing to hand over: servers have accelerators of their own."""

    def close(self) -> None:
        """End the connections; the servers stay."""
        self.wait(self._everywhere(lambda line: line.connection.close()))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)


def save_weights(weights: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    """Write tensors as one safetensors file; tied ones are written twice."""
    from safetensors.torch import save_file

    kept = {name: tensor.contiguous().clone() for name, tensor in weights}
    save_file(kept, folder / "model.safetensors")
