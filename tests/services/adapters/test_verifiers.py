"""verifiers plays ours; ours plays verifiers."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("verifiers") is None:
    pytest.skip("NOT CHECKED HERE: `make env-adapters` installs it", allow_module_level=True)

import verifiers.v1 as vf
from learning import speaker, three_steps

from agentrl.conformance import Recipe, check_environment
from agentrl.env import make
from agentrl.export import verifiers
from agentrl.types import ToolCall

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("default")]


@contextmanager
def speaking(say):
    """An OpenAI-compatible server on loopback; `say(messages)` is its model."""

    class Model(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = {"role": "assistant", "content": say(body["messages"])}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
            content = json.dumps({**answer, "choices": [choice]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def episodes(env, url):
    """verifiers plays every task."""
    context = vf.ModelContext(model="m", client=vf.EvalClientConfig(base_url=url))

    async def play():
        async with env.serving():
            return [await env.run_episode(task, context) for task in env.taskset]

    return asyncio.run(play())


def test_verifiers_plays_ours_like_a_direct_play():
    settings = {"size": 4, "blanks": 4, "max_turns": 6}
    env = verifiers.environment("agentrl/Sudoku-v0", count=4, seed=1, **settings)
    direct = make("agentrl/Sudoku-v0", **settings)
    tasks = direct.tasks("train", 4, 1)
    heard, expected = [], []
    for task in tasks:
        direct.reset(seed=task.seed, options={"task": task})
        total, over = 0.0, False
        while not over:
            heard.append(direct.oracle())
            _, reward, ended, cut, _ = direct.step(heard[-1])
            total, over = total + reward, ended or cut
        expected.append(total)
    says = iter(heard)
    with speaking(lambda messages: next(says)) as url:
        played = episodes(env, url)
    assert [one.errors for one in played] == [[]] * 4
    assert [one.traces[0].reward for one in played] == pytest.approx(expected)
    assert [one.task.data.name for one in played] == [task.id for task in tasks]
    assert all(one.ok and one.traces[0].metrics["success"] == 1 for one in played)
    assert next(says, None) is None


def test_their_command_line_plays_ours(tmp_path):
    told = {
        "env.taskset.environment": "agentrl/Echo-v0",
        "env.taskset.count": 3,
        "env.taskset.arguments": json.dumps({"words": 2}),
        "output-dir": tmp_path,
        "run.dir": "out",
        "model": "m",
    }
    flags = [word for name, value in told.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-P", "-m", "agentrl.export.verifiers", "vf-eval", "agentrl_text"]
    with speaking(lambda messages: messages[-1]["content"].removeprefix("say ")) as url:
        flags += ["--client.base-url", url, "--no-rich", "--no-push"]
        done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out" / "traces.jsonl").read_text().splitlines()
    traces = [trace for line in lines for trace in json.loads(line)["traces"]]
    assert [trace["rewards"]["solved"]["score"] for trace in traces] == [1.0] * 3


# ---- verifiers' environments here -----------------------------------------------------------


def words(**settings):
    """The taskset of `vf_words`, which is importable as its neighbour is."""
    told = {"taskset": "vf_words", "taskset_config": settings, "max_turns": 4, "seconds": 20.0}
    return {"id": "agentrl/Verifiers-v0", **told}


def made(**settings):
    told = words(**settings)
    return make(told.pop("id"), **told)


def test_a_taskset_is_played_turn_by_turn():
    env = made(rounds=3)
    task = env.tasks("train", 1, 0)[0]
    text, info = env.reset(options={"task": task})
    assert info["system"] == "Repeat."
    for number, word in enumerate(task.data["answers"]):
        assert text == f"say {word}"
        text, reward, ended, cut, info = env.step(word if number != 1 else "no")
    assert (ended, cut, info["success"], reward) == (True, False, False, pytest.approx(2 / 3))
    assert info["parts"] == {"said": pytest.approx(2 / 3)}
    env.reset(options={"task": task})
    steps = [env.step(word) for word in task.data["answers"]]
    assert (steps[-1][1], steps[-1][-1]["success"]) == (1.0, True)
    env.close()


def test_the_turn_limit_is_verifiers_own_and_rewards_come_all_the_same():
    env = made(rounds=6)
    task = env.tasks("train", 1, 0)[0]
    env.reset(options={"task": task})
    steps = [env.step(word) for word in task.data["answers"][:4]]
    assert [step[2:4] for step in steps] == [(False, False)] * 3 + [(False, True)]
    assert steps[-1][1] == pytest.approx(4 / 6)
    env.close()


def test_it_conforms():
    told = words(rounds=2, count=48)
    assert check_environment(Recipe(told.pop("id"), told), tasks=2) == []


def test_three_steps_of_training(tmp_path):
    model = speaker(tmp_path / "model", {"id": "agentrl/Echo-v0", "words": 2})
    env = {**words(words=2, count=32), "max_turns": 1}
    steps = three_steps(tmp_path / "run", env, model={"name": model})
    assert max(row["train/success"] for row in steps) > 0


def test_tools_are_run_by_verifiers(monkeypatch):
    paths = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    env = make("agentrl/Verifiers-v0", taskset="vf_tools", max_turns=3)
    for options in ({}, {"calls": "hermes"}):
        _, info = env.reset(seed=0, options=options)
        name = info["tools"][0]["function"]["name"]
        number = env.data["prompt"].split()[-1]
        text, *_, info = env.step(env.write([ToolCall(name, {"number": int(number)})]))
        assert text == env.data["answer"]
        assert [one.role for one in info.get("messages", ())] == (["tool"] if options else [])
        _, reward, ended, _, info = env.step(f"it is {text}")
        assert (reward, ended, info["success"]) == (1.0, True, True)
    env.close()
