"""Real servers for the tests that are marked `service`: started, killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

ENVIRONMENT = {
    "TORCHDYNAMO_DISABLE": "1",  # or samplers are compiled for 20 s
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
SMALL = {"enforce_eager": True, "kv_cache_memory_bytes": 64 << 20, "dtype": "float32"}
START_SECONDS = 600
"""Half a minute on an idle machine."""

needs_vllm = pytest.mark.skipif(
    find_spec("vllm") is None, reason="NOT CHECKED HERE: vLLM is installed by `make env-vllm`"
)


class Server:
    """A command that serves HTTP at `url`, in a process group of its own."""

    def __init__(self, command, port, log, **environment):
        self.command = command
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.environment = {**os.environ, **environment}
        self.process = None

    def start(self, health="/health"):
        """Start, and wait until it answers."""
        with open(self.log, "ab") as log:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = subprocess.Popen(
                self.command, env=self.environment, start_new_session=True, **pipes
            )
        until = time.monotonic() + START_SECONDS
        while not self.answers(health):
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start: {self.command}")
            time.sleep(0.2)

    def answers(self, path):
        """Whether a request succeeds."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self):
        """End it and its children at once, as a crash would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def written(self):
        """What it printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@contextmanager
def vllm_server(folder, log, *, environment=None, **flags):
    """A vLLM server of a `save_pretrained` folder, started; an error shows the end of its log.

    `flags` are its command-line options: `max_model_len=64`; True stands for one without a value.
    """
    port = free_port()
    options = {"model": folder, "host": "127.0.0.1", "port": port, **SMALL, **flags}
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    server = Server(command, port, log, **{**ENVIRONMENT, **(environment or {})})
    try:
        server.start()
        yield server
    except BaseException as error:
        error.add_note(f"the end of {log}:\n{server.written()[-4000:]}")
        raise
    finally:
        server.kill()


def free_port():
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
