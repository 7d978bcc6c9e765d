"""Single steps of calling: EGPO's form and match, where tasks come from, and the players."""

import json

import numpy as np
import pytest

from agentrl.calls import FORMATS
from agentrl.conformance import check_environment
from agentrl.env import make
from agentrl.envs.functions import CallStep
from agentrl.envs.functions.xlam import read
from agentrl.errors import ConfigError, DataError
from agentrl.types import Parse

TOOL = {
    "name": "weather",
    "description": "The weather of a place.",
    "parameters": {
        "place": {"type": "str", "description": "Where."},
        "days": {"type": "int, optional", "description": "How long.", "default": 1},
    },
}
ROW = {
    "query": "Weather in Rome and in Oslo for 3 days?",
    "tools": json.dumps([TOOL]),
    "answers": json.dumps(
        [
            {"name": "weather", "arguments": {"place": "Rome"}},
            {"name": "weather", "arguments": {"place": "Oslo", "days": 3}},
        ]
    ),
}
ROME, OSLO = "weather(place='Rome')", "weather(place='Oslo', days=3)"
BOTH = f"[{ROME}, {OSLO}]"


def started(tmp_path, **arguments):
    """A step of which the reference is known."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    env = CallStep(file=str(path), calls="llama_pythonic", **arguments)
    env.reset(options={"task": env.new_task(np.random.default_rng(0))})
    return env


def judged(env, text):
    """Format and match of a text; strict is both, and alone is paid."""
    _, reward, terminated, _, info = env.step(text)
    parts = info["parts"]
    assert terminated
    assert reward == parts["strict"] == parts["format"] * parts["match"] == info["success"]
    return parts["format"], parts["match"]


@pytest.mark.parametrize(
    ("text", "form", "match"),
    [
        (f"<think>two calls</think>{BOTH}", 1, 1),
        (f"\n<think>\ntwo\n</think>\n\n{BOTH}\n", 1, 1),
        (f"<think></think>{BOTH}", 1, 1),
        (BOTH, 0, 1),
        (f"two calls</think>{BOTH}", 0, 1),
        (f"Well: <think>two</think>{BOTH}", 0, 1),
        (f"<think>one</think><think>two</think>{BOTH}", 0, 0),
        (f"<think>two{BOTH}", 0, 0),
        (f"<think>two</think>{BOTH} Done.", 0, 0),
        ("<think>two</think>", 0, 0),
        ("<think>two</think>I cannot.", 0, 0),
        (f"<think>one</think>[{ROME}]", 1, 0),
        ("<think>two</think>[weather(place=]", 0, 0),
        ("", 0, 0),
    ],
)
def test_form_is_one_thought_and_calls(tmp_path, text, form, match):
    assert judged(started(tmp_path), text) == (form, match)


@pytest.mark.parametrize(
    ("calls", "by_value", "as_text"),
    [
        (BOTH, 1, 1),
        (f"[{ROME},   {OSLO}]".replace("   ", "\n "), 1, 1),
        (f"[{OSLO}, {ROME}]", 1, 0),
        (f"[weather(days=1, place='Rome'), {OSLO}]", 1, 0),
        (f"[{ROME}, weather(place='Oslo', days=3.0)]", 1, 0),
        (f"[{ROME}, weather(place='Oslo', days='3')]", 0, 0),
        (f"[weather(place='Rome', days=True), {OSLO}]", 0, 0),
        (f"[weather(place='Rome', days=2), {OSLO}]", 0, 0),
        (f"[{ROME}, {ROME}]", 0, 0),
        (f"[{ROME}, {OSLO}, {OSLO}]", 0, 0),
        (BOTH.replace("weather", "climate"), 0, 0),
        (BOTH.replace("Rome", "rome"), 0, 0),
    ],
)
def test_calls_match_by_value_or_as_text(tmp_path, calls, by_value, as_text):
    text = f"<think>hm</think>{calls}"
    assert judged(started(tmp_path), text) == (1, by_value)
    assert judged(started(tmp_path, match="string"), text) == (1, as_text)


def test_a_template_may_open_the_thought(tmp_path):
    env = started(tmp_path, opened=True)
    assert not env.oracle().startswith("<think>")
    assert judged(env, env.oracle()) == (1, 1)
    text = "<think>" + env.oracle()
    assert judged(started(tmp_path, opened=True), text) == (0, 1)


@pytest.mark.parametrize("form", ["hermes", "llama_json", "mistral"])
def test_the_reference_can_be_written_in_every_format(tmp_path, form):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW]))
    env = CallStep(file=str(path), match="string", calls=form)
    env.reset(options={"task": env.new_task(np.random.default_rng(0))})
    assert FORMATS[form].parse(env.oracle()).status is Parse.OK
    assert judged(env, env.oracle()) == (1, 1)


# ---- files --------------------------------------------------------------------------------------


def test_rows_become_tasks(tmp_path):
    env = started(tmp_path)
    text, info = env.reset(options={"task": env.data})
    assert text == ROW["query"]
    told = info["tools"][0]["function"]["parameters"]
    assert told["required"] == ["place"]
    assert told["properties"]["days"] == {
        "type": "integer",
        "description": "How long.",
        "default": 1,
    }


def test_a_schema_is_taken_as_it_is(tmp_path):
    schema = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    row = {
        "query": "q",
        "tools": [{"name": "f", "parameters": schema}],
        "answers": [{"name": "f", "arguments": {"x": "y"}}],
    }
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n\n")
    assert read(str(path))[0]["tools"][0]["parameters"] == schema


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"query": None}, "row 2 has no query"),
        ({"tools": "[{"}, "row 2, tools is no JSON"),
        ({"tools": "{}"}, "row 2, tools is '{}', expected a list"),
        ({"tools": "[{}]"}, r"the tool \{\} has no name"),
        ({"tools": '[{"name": "f", "parameters": 3}]'}, "parameters of f are 3"),
        ({"tools": '[{"name": "f", "parameters": {"x": 3}}]'}, "row 2, x: the parameter is 3"),
        ({"answers": 3}, "answers is 3, expected a list"),
        ({"answers": "[]"}, "row 2 has no call in answers"),
        ({"answers": '[{"name": "weather"}]'}, "is no call with name and arguments"),
        ({"answers": '[{"name": "x", "arguments": {}}]'}, r"call 'x', which is none of"),
        ({"answers": '[{"name": "weather", "arguments": {"x": NaN}}]'}, "NaN is no JSON value"),
    ],
)
def test_rows_that_are_wrong_are_refused_with_their_place(tmp_path, change, reason):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, [ROW, {**ROW, **change}])))
    with pytest.raises(DataError, match=reason) as refusal:
        CallStep(file=str(path))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "holds no row"), ("x", "line 1 is no JSON"), ("3", "expected an object")],
)
def test_files_that_are_wrong_are_refused(tmp_path, text, reason):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=reason):
        CallStep(file=str(path))
    with pytest.raises(DataError, match="cannot read"):
        CallStep(file=str(tmp_path / "none"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A file of forty rows."""
    path = tmp_path_factory.mktemp("xlam") / "rows.jsonl"
    rows = [{**ROW, "query": f"{ROW['query']} ({number})"} for number in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_a_file_is_split_by_identity(many):
    env = CallStep(file=many)
    train, test = ({task.id for task in env.tasks(split, 99, 0)} for split in ("train", "test"))
    assert len(train) + len(test) == 40
    assert test
    assert not train & test


def test_a_file_conforms(many):
    assert check_environment(lambda: make("agentrl/CallStep-v0", file=many), tasks=3) == []


# ---- generated ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["hermes", "llama_pythonic"])
def test_players_of_generated_steps(form):
    env, rng = CallStep(calls=form), np.random.default_rng(0)
    solved = []
    for task in env.tasks("train", 100, 0):
        for speak in (env.oracle, lambda: env.expert(rng)):
            env.reset(options={"task": task})
            *_, info = env.step(speak())
            assert info["parts"]["format"] == 1
            solved.append(info["success"])
    assert all(solved[::2])
    assert 0.1 < np.mean(solved[1::2]) < 0.8


def test_steps_show_what_was_said_and_no_more():
    env = CallStep(calls="llama_pythonic", listing="names")
    for task in env.tasks("train", 60, 0):
        shown, _ = env.reset(options={"task": task})
        reference = env.form.write(env.reference)
        before = [said for role, said in task.data["dialogue"] if role == "assistant"]
        assert reference not in shown or task.data["calls"] in before
        assert all(said in shown for _, said in task.data["dialogue"] if isinstance(said, str))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"office": {"size": 3}}, r"env\.office: .*'size'"),
        ({"office": {"turns": 9}}, r"env\.turns is \[9, 9\]"),
        ({"file": "x", "office": {}}, "not both"),
    ],
)
def test_arguments_that_cannot_run_are_refused(arguments, reason):
    with pytest.raises(ConfigError, match=reason):
        CallStep(**arguments)
