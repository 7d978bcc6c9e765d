"""Our environments in other trainers' hands, as far as these need not be installed.

The libraries themselves play them in `tests/services/adapters`.
"""

import inspect
import json
import pickle
from typing import Any, Literal

import pytest

from agentrl.env import make
from agentrl.errors import ConfigError, EnvError
from agentrl.export import trl
from agentrl.export.typed import hint, method
from agentrl.functions import Tool, tool_of

OFFICE = {"requests": ["move"], "turns": 1, "tools": 6}


def order(item: Literal["tea", "milk"], number: int = 1, notes: list[str] | None = None) -> str:
    """Order something.

    Args:
        item: What to order.
        number: How many.
        notes: For the waiter.
    """
    return f"{number} {item} {notes}"


def written(tool):
    """A tool as a method, and what it was called with."""
    calls = []
    made = method(tool, lambda self, arguments: calls.append(arguments) or "ok")
    return type("Env", (), {tool.name: made})(), calls


def test_a_schema_becomes_a_signature_and_back():
    env, _ = written(tool_of(order))
    again = tool_of(env.order).schema["function"]
    assert again["description"] == "Order something."
    item = again["parameters"]["properties"]["item"]
    assert item == {"enum": ["tea", "milk"], "type": "string", "description": "What to order."}
    assert again["parameters"]["required"] == ["item"]
    assert list(inspect.signature(env.order).parameters) == ["item", "number", "notes"]


def test_transformers_reads_the_signature():
    from transformers.utils import get_json_schema

    told = get_json_schema(written(tool_of(order))[0].order)["function"]
    assert told["parameters"]["required"] == ["item"]
    assert told["parameters"]["properties"]["item"]["enum"] == ["tea", "milk"]
    assert told["parameters"]["properties"]["number"]["description"] == "How many."


def test_arguments_that_are_left_out_are_not_passed_on():
    env, calls = written(tool_of(order))
    assert env.order(item="tea") == "ok"
    env.order(item="milk", number=2)
    assert calls == [{"item": "tea"}, {"item": "milk", "number": 2}]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, str),
        ({"type": "array", "items": {"type": "integer"}}, list[int]),
        ({"type": "array"}, list),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, float | None),
        ({"enum": [1, "a"]}, Literal[1, "a"]),
        ({"type": "object", "properties": {}}, dict),
        ({"anyOf": [{}, {"type": "null"}]}, Any | None),
        ({}, Any),
    ],
)
def test_types_of_schemas(schema, kind):
    assert hint(schema) == kind


def test_names_that_are_no_python_are_refused():
    schema = {"function": {"name": "a", "parameters": {"properties": {"from-date": {}}}}}
    with pytest.raises(ConfigError, match=r"'from-date'.*native=False"):
        method(Tool(name="a", schema=schema, call=dict), lambda self, arguments: "")


# ---- TRL ------------------------------------------------------------------------------------


def test_what_trl_sees_of_an_environment_without_tools():
    env = trl.environment_factory("agentrl/Echo-v0", words=2)()
    public = [n for n, _ in inspect.getmembers(type(env), inspect.isfunction) if n[0] != "_"]
    assert public == ["get_reward", "reset", "say"]
    assert type(env).__name__ == "Echo"


def test_an_episode_earns_what_the_environment_pays():
    env = trl.environment_factory("agentrl/Echo-v0", turns=2)()
    direct = make("agentrl/Echo-v0", turns=2)
    record = {"words": ["red", "pink"], "number": 1}
    assert (
        env.reset(task=json.dumps(record), prompt=[]) == direct.reset(options={"task": record})[0]
    )
    assert env.say("red") == "say pink"
    assert env.say("blue") == ""
    assert env.get_reward() == 0.5
    with pytest.raises(EnvError, match="the episode is over"):
        env.say("pink")
    env.reset(task=record)
    assert env.get_reward() == 0.0


def test_rollouts_of_one_batch_play_the_same_task_without_a_dataset():
    factory = trl.environment_factory("agentrl/Sudoku-v0", size=4)
    one, two = factory(), factory()
    first, second = ([env.reset() for _ in range(2)] for env in (one, two))
    assert first == second
    assert first[0] != first[1]
    assert first[0].startswith(make("agentrl/Sudoku-v0", size=4).reset()[1]["system"])


def test_tools_that_only_some_tasks_offer():
    factory = trl.environment_factory("agentrl/Office-v0", **OFFICE)
    env = factory()
    offers = [(env.reset(), {tool.name for tool in env._env.offered()})[1] for _ in range(8)]
    assert not set.union(*offers) - set(env._tools)
    strange = next(name for name in env._tools if name not in offers[-1])
    assert getattr(env, strange)().startswith("Error: no tool is called")
    factory.kind._tools = ("find_phone",)
    with pytest.raises(ConfigError, match=r"in few tasks.*native=False"):
        [env.reset() for _ in range(8)]


def test_tools_in_the_text_of_say():
    env = trl.environment_factory("agentrl/Office-v0", native=False, **OFFICE)()
    assert "You can call these functions" in env.reset()
    assert env.say(env._env.oracle())
    assert not env._tools


def test_tools_of_an_environment_are_methods():
    env = trl.environment_factory("agentrl/Office-v0", **OFFICE)()
    direct = make("agentrl/Office-v0", **OFFICE)
    task = direct.tasks("train", 1, 0)[0]
    direct.reset(options={"task": task})
    env.reset(task=dict(task.data))
    reward = 0.0
    while env._over is False:
        said = direct.oracle()
        called = direct.form.parse(said).calls
        told = [getattr(env, call.name)(**call.arguments) for call in called] or [env.say(said)]
        text, paid, *_ = direct.step(said)
        assert told == [text]
        reward += paid
    assert env.get_reward() == pytest.approx(reward)


def test_factories_go_to_other_processes():
    factory = pickle.loads(pickle.dumps(trl.environment_factory("agentrl/Office-v0", **OFFICE)))
    assert factory().reset() == factory().reset()
    assert type(factory()) is type(factory())


def test_an_unknown_environment_is_named():
    with pytest.raises(ConfigError, match="did you mean 'agentrl/Sudoku-v0'"):
        trl.environment_factory("agentrl/Sodoku-v0")
