"""A vLLM engine in this process, stepped by a thread of its own.

    submit -> between two steps -> the running batch -> Drawn

Requests join and leave a running batch. Whatever else the engine is asked for (weights, sleep, a
probe) happens between two steps. Completions that weights change under are taken out and go on
behind what they have said, so that every token has the version that sampled it.
"""

from __future__ import annotations

import os
import queue
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from agentrl.errors import MissingDependencyError, PolicyError, boundary
from agentrl.types import Sampling

SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # weights are handed over in memory
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
ON_CPU = {
    "TORCHDYNAMO_DISABLE": "1",  # compiling sampler helpers takes 19 s and gains nothing
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the learner and other runs share these cores
}
ALWAYS = {
    "logprobs_mode": "processed_logprobs",  # of the distribution that is sampled from
    "generation_config": "vllm",  # a model's own top-p would be sampled but never computed
    "worker_extension_cls": "agentrl.backends.vllm.worker.Receiver",
}
"""What every engine is told, in this process or a server's."""


@dataclass(eq=False)
class Drawn:
    """One completion being made: what was drawn so far."""

    context: list[int]
    sampling: Sampling
    future: Future[Drawn] = field(default_factory=Future)
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    scoring: bool = False
    """Ask for the log-probs of the context instead, at temperature 1."""
    scores: list[float] = field(default_factory=list)


def environment(settings: Mapping[str, str] = SETTINGS) -> dict[str, str]:
    """What vLLM reads from the environment; what is set already stays."""
    wanted = {**settings, **({} if torch.cuda.is_available() else ON_CPU)}
    return {name: value for name, value in wanted.items() if name not in os.environ}


def start(folder: str, **options: Any) -> Any:
    """An engine (`LLM`) on a model folder, its weights replaceable in place.

    Raises:
        MissingDependencyError: vLLM is not installed.
        PolicyError: it does not start, for example for want of memory.
    """
    os.environ.update(environment())
    try:
        with warnings.catch_warnings():  # a large library's own affairs
            warnings.simplefilter("ignore")
            from vllm import LLM
    except ImportError as error:
        raise MissingDependencyError("vllm", "make env-vllm") from error
    from agentrl.backends.vllm.worker import prepare

    prepare()
    if not torch.cuda.is_available():
        # a seeded request whose prompt is cut in chunks fails: a CPU's generator has no offset
        options = {"enable_chunked_prefill": False, "max_num_batched_tokens": 1 << 16, **options}
    with boundary(PolicyError, "vLLM does not start (less memory: engine.memory)"):
        return LLM(
            model=folder,
            enable_prefix_caching=True,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **ALWAYS,
            **options,
        )


class EngineThread:
    """The engine and the only thread that touches it."""

    def __init__(self, llm: Any, stops: Sequence[int], window: int) -> None:
        self.llm = llm
        self.stops = sorted(stops)
        self.window = window
        self.version = 0
        self.lora: Any = None
        """The adapters that completions are drawn with (vLLM's `LoRARequest`)."""
        self.held: list[Drawn] | None = None
        """Completions that wait for `release`; None while the engine is free."""
        self.running: dict[str, Drawn] = {}
        self._count = 0
        self._work: queue.SimpleQueue[Callable[[], None] | Drawn | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="agentrl-vllm", daemon=True)
        self._thread.start()

    def submit(self, context: list[int], sampling: Sampling) -> Future[Drawn]:
        """Begin a completion."""
        drawn = Drawn(context, sampling)
        self._work.put(drawn)
        return drawn.future

    def score(self, ids: list[int]) -> list[float]:
        """Log-probs of `ids[1:]` at temperature 1, in nats."""
        drawn = Drawn(ids, Sampling(max_tokens=1), scoring=True)
        self._work.put(drawn)
        return drawn.future.result().scores

    def call(self, action: Callable[[Any], Any]) -> Any:
        """What `action(llm)` returns, run between two steps. Raises: PolicyError."""
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(action(self.llm))
            except Exception as error:  # it is raised where the caller waits
                done.set_exception(error)

        self._work.put(run)
        with boundary(PolicyError, "vLLM"):
            return done.result()

    def hold(self) -> None:
        """In the thread: take running completions out, and begin none until `release`."""
        self.held = list(self.running.values())
        self.llm.llm_engine.abort_request(list(self.running))
        self.running.clear()

    def release(self) -> None:
        """In the thread: go on with what was held, behind what it has said."""
        waiting, self.held = self.held or [], None
        for drawn in waiting:
            self._add(drawn)

    def close(self) -> None:
        """End the thread and the engine; what is running fails."""
        self._work.put(None)
        self._thread.join()
        self._fail(PolicyError("the engine was closed"))
        self.llm.llm_engine.engine_core.shutdown()

    def _serve(self) -> None:
        while self._take():
            try:
                for output in self.llm.llm_engine.step() if self.running else ():
                    self._hear(output)
            except Exception as error:  # the engine is broken: all that wait hear of it
                self._fail(PolicyError(f"vLLM failed: {type(error).__name__}: {error}"))

    def _take(self) -> bool:
        """Do all waiting work, or wait for some; False when the engine is to end."""
        wait = not self.running
        while True:
            try:
                work = self._work.get(block=wait)
            except queue.Empty:
                return True
            if work is None:
                return False
            if isinstance(work, Drawn) and self.held is not None and not work.scoring:
                self.held.append(work)
            elif isinstance(work, Drawn):
                self._add(work)
            else:
                work()
            wait = False

    def _add(self, drawn: Drawn) -> None:
        """Give a completion to the engine, from its beginning or behind what it has said."""
        self._count += 1
        number, said = f"agentrl-{self._count}", len(drawn.ids)
        wanted = min(drawn.sampling.max_tokens, self.window - len(drawn.context))
        try:
            self.llm.llm_engine.add_request(
                number,
                {"prompt_token_ids": drawn.context + drawn.ids},
                params(drawn, wanted - said, self.stops),
                lora_request=self.lora,
            )
        except Exception as error:  # vLLM refuses requests in many ways
            refused = PolicyError(f"vLLM refuses a request: {type(error).__name__}: {error}")
            drawn.future.set_exception(refused)
            return
        self.running[number] = drawn

    def _hear(self, output: Any) -> None:
        """Write down what a step brought for one request."""
        drawn = self.running.get(output.request_id)
        if drawn is None:
            return
        (part,) = output.outputs
        if drawn.scoring and output.prompt_logprobs:
            told = zip(drawn.context, output.prompt_logprobs, strict=True)
            drawn.scores = [known[token].logprob for token, known in told if known]
        drawn.ids += part.token_ids
        drawn.logprobs += [
            known[token].logprob
            for token, known in zip(part.token_ids, part.logprobs or (), strict=True)
        ]
        drawn.versions += [self.version] * len(part.token_ids)
        if output.finished:
            del self.running[output.request_id]
            drawn.future.set_result(drawn)

    def _fail(self, error: PolicyError) -> None:
        for drawn in (*self.running.values(), *(self.held or ())):
            drawn.future.set_exception(error)
        self.running.clear()
        self.held = None if self.held is None else []


def params(drawn: Drawn, left: int, stops: Sequence[int]) -> Any:
    """What is asked for in vLLM's form, with `left` tokens to go."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=drawn.sampling.temperature,
        max_tokens=left,
        seed=(drawn.sampling.seed + len(drawn.ids)) % (1 << 63),
        logprobs=0,
        prompt_logprobs=0 if drawn.scoring else None,
        stop_token_ids=list(stops),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
