"""The endpoint behind which an agent plays the model; and what of adapters needs no library."""

import json
import threading
import urllib.error
import urllib.request
from importlib.util import find_spec
from types import MappingProxyType

import pytest

from agentrl.env import make
from agentrl.envs.adapters.endpoint import SESSION, exchange
from agentrl.envs.adapters.openenv_env import only_text
from agentrl.errors import ConfigError, MissingDependencyError

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def post(url, headers=MappingProxyType({}), **body):
    """Status and text of what the endpoint answers."""
    request = urllib.request.Request(url, json.dumps({"model": "m", **body}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def line():
    opened = exchange().open()
    yield opened
    exchange().hang_up(opened)


def asked(line, address="", **body):
    """A request of another thread, and where its answer will be."""
    answers = []
    url = f"{address or line.url}/chat/completions"
    thread = threading.Thread(target=lambda: answers.append(post(url, **body)))
    thread.start()
    return line.events.get(timeout=10), answers, thread


def test_whoever_holds_the_line_is_the_model(line):
    event, answers, thread = asked(line, messages=[{"role": "user", "content": "hi"}])
    assert event.body["messages"][0]["content"] == "hi"
    event.answers.put({"role": "assistant", "content": "ho é"})
    thread.join()
    status, text = answers[0]
    choice = json.loads(text)["choices"][0]
    assert (status, choice["finish_reason"]) == (200, "stop")
    assert choice["message"] == {"role": "assistant", "content": "ho é"}


def test_a_streamed_answer_is_one_piece(line):
    event, answers, thread = asked(line, messages=[], stream=True)
    event.answers.put({"role": "assistant", "content": "x", "tool_calls": [CALL]})
    thread.join()
    first, last, done = (piece[6:] for piece in answers[0][1].strip().split("\n\n"))
    assert done == "[DONE]"
    delta = json.loads(first)["choices"][0]["delta"]
    assert (delta["content"], delta["tool_calls"]) == ("x", [{**CALL, "index": 0}])
    assert json.loads(last)["choices"][0]["finish_reason"] == "tool_calls"


def test_a_line_that_is_hung_up_answers_nobody(line):
    _, answers, thread = asked(line, messages=[])
    exchange().hang_up(line)
    thread.join()
    assert answers[0][0] == post(f"{line.url}/chat/completions")[0] == 410
    assert line.ask({}) is None


def test_sessions_share_an_address(line):
    exchange().join(line, "session-1")
    address = exchange().address()
    event, answers, thread = asked(line, address, headers={SESSION: "session-1"}, messages=[])
    event.answers.put({"role": "assistant", "content": "x"})
    thread.join()
    assert answers[0][0] == 200
    for headers in ({SESSION: "session-2"}, {}):
        assert post(f"{address}/chat/completions", headers=headers)[0] == 410


def test_lines_are_apart(line):
    other = exchange().open()
    event, answers, thread = asked(other, messages=[])
    assert line.events.empty()
    event.answers.put({"role": "assistant", "content": "x"})
    thread.join()
    assert answers[0][0] == 200
    exchange().hang_up(other)


@pytest.mark.parametrize(
    ("fields", "required", "found"),
    [
        ({"text": "string"}, ["text"], "text"),
        ({"text": "string", "note": "string"}, ["text"], "text"),
        ({"text": "string", "note": "string"}, ["text", "note"], ""),
        ({"number": "integer"}, ["number"], ""),
        ({"text": "string", "done": "boolean"}, ["done", "text"], "text"),
        ({"prompt": "string", "reward": "number"}, [], "prompt"),
        ({"text": "string", "note": "string"}, [], ""),
        ({}, [], ""),
    ],
)
def test_the_field_that_a_schema_leaves_no_choice_about(fields, required, found):
    properties = {name: {"type": kind} for name, kind in fields.items()}
    assert only_text({"properties": properties, "required": required}) == found


def test_what_an_adapter_needs_is_said():
    with pytest.raises(ConfigError, match="url='':"):
        make("agentrl/OpenEnv-v0")
    with pytest.raises(ConfigError, match="taskset='':"):
        make("agentrl/Verifiers-v0")


@pytest.mark.parametrize(
    ("module", "id", "told", "extra"),
    [
        ("openenv", "agentrl/OpenEnv-v0", {"url": "http://127.0.0.1:9"}, "openenv"),
        ("verifiers", "agentrl/Verifiers-v0", {"taskset": "words"}, "verifiers"),
    ],
)
def test_a_library_that_is_not_installed_is_named(module, id, told, extra):
    if find_spec(module) is not None:
        pytest.skip(f"NOT CHECKED HERE: {module} is installed")
    with pytest.raises(MissingDependencyError, match=rf"agentrl\[{extra}\]"):
        make(id, **told)
