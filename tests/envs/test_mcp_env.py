"""Environments out of MCP servers: their tasks and what solves them, with scripted tools.

Real servers are started in `tests/services/adapters`.
"""

import json

import pytest

pytest.importorskip("mcp", reason="NOT CHECKED HERE: MCP servers need agentrl[mcp]")

from agentrl.env import make
from agentrl.envs.adapters.mcp_env import canonical
from agentrl.errors import ConfigError, DataError, EnvError, ToolInputError
from agentrl.functions import tool_of
from agentrl.types import ToolCall

PUT = {"tool": "put", "arguments": {"item": "tea"}}
BUY = {
    "question": "buy tea",
    "setup": [{"tool": "clear"}],
    "check": {"tool": "content", "expect": "tea"},
    "solution": [PUT, "done"],
}
ASK = {"question": "what is in the basket", "answer": ["nothing", "It is empty."]}


class Shop:
    """What an `McpServer` is to an environment."""

    def __init__(self):
        self.basket = []

    def tools(self):
        return [tool_of(self.put), tool_of(self.content), tool_of(self.clear)]

    def put(self, item: str) -> str:
        if item == "gold":
            raise ToolInputError("no gold here")
        self.basket.append(item)
        return f"{item} is in the basket"

    async def content(self) -> str:
        return " ".join(self.basket) or "nothing"

    def clear(self) -> str:
        self.basket.clear()
        return "empty"

    def close(self):
        pass


def shop(path, *records, **settings):
    """The environment of some tasks."""
    path.write_text("\n".join(map(json.dumps, records)))
    env = make("agentrl/Mcp-v0", tasks=str(path), command=["none"], hidden=["clear"], **settings)
    env.server = Shop()
    return env


def test_the_state_is_judged_by_a_tool(tmp_path):
    env = shop(tmp_path / "tasks", BUY)
    text, info = env.reset(seed=0)
    assert text == "buy tea"
    assert [one["function"]["name"] for one in info["tools"]] == ["put", "content"]
    assert env.step(env.oracle())[0] == "tea is in the basket"
    _, reward, ended, _, info = env.step(env.oracle())
    assert (reward, ended, info["parts"]) == (1.0, True, {"state": 1.0, "solved": 1.0})
    env.reset(seed=1)
    _, reward, ended, _, info = env.step("done")
    assert (reward, ended, info["success"], info["parts"]) == (0.0, True, False, {"state": 0.0})


@pytest.mark.parametrize(
    ("said", "right"), [(" it is  EMPTY", True), ("nothing.", True), ("tea", False), ("", False)]
)
def test_the_answer_is_compared(tmp_path, said, right):
    env = shop(tmp_path / "tasks", ASK)
    env.reset(seed=0)
    _, reward, ended, _, info = env.step(said)
    assert (reward, ended, info["answer"]) == (float(right), True, canonical(said))


def test_hidden_tools_cannot_be_called(tmp_path):
    env = shop(tmp_path / "tasks", BUY)
    env.reset(seed=0)
    assert env.step(env.write([ToolCall("clear", {})]))[0].startswith("Error: no tool is called")


def test_the_expert_takes_some_tasks_steps(tmp_path):
    env = shop(tmp_path / "tasks", BUY, ASK)
    env.reset(options={"task": ASK})
    assert "put" in env.expert(env.np_random)
    with pytest.raises(NotImplementedError, match=r"what is in the basket.*no `solution`"):
        env.oracle()


def test_a_set_up_that_fails_costs_the_episode(tmp_path):
    env = shop(tmp_path / "tasks", {**BUY, "setup": [{"tool": "put", "arguments": {}}]})
    with pytest.raises(EnvError, match=r"set-up call.*failed: Error: put: item"):
        env.reset(seed=0)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("[", "tasks:1 is no JSON"),
        ("[]", "tasks:1 is no task: write a question and an answer or a check"),
        ({"question": "why"}, "nothing that solves it"),
        ({"question": "why", "answer": 3}, "the answer 3: write a text"),
        ({"question": "why", "answer": "so", "when": "now"}, "the key 'when'"),
        ({"question": "why", "check": {"tool": "a"}}, "write tool, arguments and expect"),
        ({**BUY, "solution": [{"tool": 1}]}, "the step {'tool': 1}"),
        ({**BUY, "setup": ["clear"]}, "the step 'clear'"),
        ("", "holds no task"),
    ],
)
def test_files_that_are_not_what_they_should_be(tmp_path, record, message):
    text = record if isinstance(record, str) else json.dumps(record)
    (tmp_path / "tasks").write_text(text)
    with pytest.raises(DataError, match=message):
        make("agentrl/Mcp-v0", tasks=str(tmp_path / "tasks"), command=["none"])


def test_arguments_that_cannot_run_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="a command or a URL"):
        make("agentrl/Mcp-v0")
    with pytest.raises(DataError, match="tasks='/no/file' is no file"):
        make("agentrl/Mcp-v0", tasks="/no/file", command=["none"])
