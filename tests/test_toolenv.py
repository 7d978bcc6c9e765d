"""Environments with tools: calls run, failures are observations, results go back as the model's."""

import asyncio
import os
import sys
import time
from typing import Literal

import pytest

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.backends.scripted import ScriptedPlayer
from agentrl.conformance import check_environment
from agentrl.env import Reply
from agentrl.errors import ConfigError, ToolError
from agentrl.functions import tool
from agentrl.stage import EnvStage
from agentrl.toolenv import ToolEnv
from agentrl.types import Message, Parse, Status, Task, ToolCall, join


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


class Shop(ToolEnv):
    """Buy what is wished for, then say so."""

    functions = (double,)

    def new_task(self, rng):
        return {"wish": str(rng.choice(["tea", "milk"])), "number": int(rng.integers(1000))}

    def begin(self, data):
        self.basket = []
        return f"Buy {data['wish']}."

    @tool
    def add(self, item: Literal["tea", "milk"]) -> str:
        """Put an item into the basket."""
        self.basket.append(item)
        return f"{item} is in the basket"

    @tool
    async def wait(self, seconds: float, name: str = "") -> str:
        """Wait."""
        self.basket.append(f"begin {name}")
        await asyncio.sleep(seconds)
        self.basket.append(f"end {name}")
        return "waited"

    @tool
    def fail(self, how: str) -> str:
        """Fail in some way."""
        raise {"exit": SystemExit, "broken": ToolError}.get(how, ValueError)(how)

    @tool
    async def leave(self, how: str) -> bytes:
        """Exit, or return what is no text."""
        return b"\xff" if how == "bytes" else sys.exit(how)

    @tool
    def shout(self, length: int) -> str:
        """Say much."""
        return "a" * length + "\ud800"

    def said(self, text):
        return Reply(done=True, success=self.basket == [self.data["wish"]], answer=text)

    def oracle(self):
        if self.basket:
            return "done"
        return self.write([ToolCall("add", {"item": self.data["wish"]})])

    def expert(self, rng):
        return self.write([ToolCall("add", {"item": "tea"})]) if not self.basket else "done"


def play(*calls, calls_as="plain", **settings):
    env = Shop(**settings)
    env.reset(seed=0, options={"task": {"wish": "tea"}, "calls": calls_as})
    return env, env.step(env.write([ToolCall(name, given) for name, given in calls]))


def test_it_conforms():
    assert check_environment(Shop) == []


def test_functions_and_methods_are_offered_in_the_order_of_definition():
    info = Shop().reset(seed=0)[1]
    names = [schema["function"]["name"] for schema in info["tools"]]
    assert names == ["add", "wait", "fail", "leave", "shout", "double"]


def test_calls_of_one_text_run_in_order():
    env, step = play(("add", {"item": "tea"}), ("double", {"number": 4}), ("add", {"item": "milk"}))
    assert step[0] == "tea is in the basket\n8\nmilk is in the basket"
    assert env.basket == ["tea", "milk"]


def test_results_are_tool_messages_where_the_template_teaches_calls():
    env, step = play(("double", {"number": 4}), calls_as="mistral")
    assert step[4]["messages"] == (Message("tool", "8", name="double", call="call00100"),)
    assert env.heard.calls[0].name == "double"


@pytest.mark.parametrize("form", ["hermes", "llama_json", "llama_pythonic", "mistral"])
def test_what_is_written_with_content_and_a_thought_is_called(form):
    env = Shop(calls=form)
    env.reset(seed=0)
    text = env.write([ToolCall("double", {"number": 4})], content="Well:", thinking="twice")
    assert env.step(text)[0] == "8"
    assert env.heard.thinking == "twice"


def test_results_are_the_users_where_it_teaches_none():
    assert "messages" not in play(("double", {"number": 4}))[1][4]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (("ad", {}), "Error: no tool is called 'ad': did you mean 'add'?"),
        (("add", {"item": "beer"}), "Error: add: item: Input should be 'tea' or 'milk'"),
        (("fail", {"how": "why"}), "Error: fail: why"),
        (("fail", {"how": "exit"}), "Error: fail: exit"),
        (("leave", {"how": "now"}), "Error: leave: now"),
        (("leave", {"how": "bytes"}), r"b'\xff'"),
        (("wait", {"seconds": 60}), "Error: wait: took too long"),
        (("shout", {"length": 9}), "aaaaaaaaa?"),
        (("shout", {"length": 500}), "a" * 100 + " ... cut after 100 of 501 characters"),
    ],
)
def test_what_goes_wrong_is_an_observation(call, text):
    step = play(call, tool_seconds=0.05, result_chars=100)[1]
    assert step[0] == text
    assert not step[2]


def test_a_tool_that_is_broken_itself_ends_the_episode():
    with pytest.raises(ToolError, match="broken"):
        play(("fail", {"how": "broken"}))


def test_malformed_calls_are_not_run():
    env = Shop()
    env.reset(seed=0)
    text, _, done, _, info = env.step('<tool_call>{"name": "add"')
    assert (info["parse"], done, env.basket) == (Parse.MALFORMED, False, [])
    assert text.startswith("Error: call 1, character")


def test_too_many_calls_are_not_run():
    env, step = play(*[("add", {"item": "tea"})] * 3, max_calls=2)
    assert step[0] == "Error: 3 calls in one text, at most 2 are run: none was"
    assert env.basket == []


WAITS = [("wait", {"seconds": 0.01, "name": "1"}), ("wait", {"seconds": 0, "name": "2"})]


def test_asynchronous_calls_run_one_after_another():
    assert play(*WAITS)[0].basket == ["begin 1", "end 1", "begin 2", "end 2"]


def test_asynchronous_calls_run_together_if_told():
    env, step = play(*WAITS, parallel=True)
    assert env.basket == ["begin 1", "begin 2", "end 2", "end 1"]
    assert step[0] == "waited\nwaited"


def test_tools_can_be_listed_in_the_prompt():
    info = Shop(listing="prompt", calls="llama_pythonic").reset(seed=0)[1]
    assert "tools" not in info
    assert '{"name": "double", "description": "Twice a number."' in info["system"]
    assert info["system"].endswith("[name(argument='value')]")


def test_a_prompt_that_tells_the_format_decides_it():
    _, step = play(
        ("double", {"number": 4}), calls_as="mistral", listing="prompt", calls="llama_pythonic"
    )
    assert step[0] == "8"
    assert "messages" not in step[4]


def test_names_alone_can_be_listed():
    text, info = Shop(listing="names").reset(seed=0, options={"task": {"wish": "tea"}})
    assert text == "Tools: add wait fail leave shout double\nBuy tea."
    assert "tools" not in info


def test_static_and_class_methods_are_marked_in_either_order():
    class Clock(Shop):
        @tool
        @staticmethod
        def hour() -> int: ...

        @classmethod
        @tool
        def minute(cls) -> int: ...

    assert [one.name for one in Clock().offered()][-3:] == ["hour", "minute", "double"]


@pytest.mark.parametrize("name", ["write", "close", "render", "data", "calls"])
def test_a_tool_that_hides_what_the_environment_needs_is_refused(name):
    def method(self, text: str) -> None: ...

    with pytest.raises(ConfigError, match=f"the tool '{name}' hides"):
        type("Files", (Shop,), {name: tool(method)})()


def test_two_tools_of_one_name_are_refused():
    env = Shop()
    env.functions = (double, double)
    with pytest.raises(ConfigError, match="two tools are called 'double'"):
        env.reset(seed=0)


def test_unknown_formats_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'hermes'"):
        Shop(calls="herms")


SERVER = """
import os
from mcp.server import MCPServer
server = MCPServer("notes", log_level="CRITICAL")
notes = []
@server.tool()
def note(text: str) -> str:
    "Keep a note."
    notes.append(text)
    return f"{len(notes)} notes"
@server.tool()
def die() -> str:
    "End the server."
    os._exit(1)
server.run()
"""


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_tools_of_an_mcp_server(tmp_path):
    pytest.importorskip("mcp", reason="NOT CHECKED HERE: MCP servers need agentrl[mcp]")
    from agentrl.tools.mcp import McpServer

    (tmp_path / "server.py").write_text(SERVER)
    server = McpServer(command=[sys.executable, str(tmp_path / "server.py")])

    class Notes(Shop):
        functions = (server,)

    env = Notes()
    assert env.reset(seed=0)[1]["tools"][-1]["function"]["description"] == "End the server."
    calls = [ToolCall("note", {"text": "a"}), ToolCall("note", {"text": "b"}), ToolCall("note", {})]
    text = env.step(env.write(calls))[0]
    assert text.startswith("1 notes\n2 notes\nError: note: Error executing tool note: 1 validation")
    with pytest.raises(ToolError, match=r"server\.py is gone"):
        env.step(env.write([ToolCall("die", {})]))
    env.reset(seed=1)  # connects anew
    assert env.step(env.write(calls[:1]))[0] == "1 notes"
    server.close()


def test_an_mcp_server_that_does_not_answer_is_ended(tmp_path):
    pytest.importorskip("mcp", reason="NOT CHECKED HERE: MCP servers need agentrl[mcp]")
    from agentrl.tools.mcp import McpServer

    alive = f"import os, sys, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    mute = [sys.executable, "-c", f"{alive}; sys.stdin.read()"]
    with pytest.raises(ToolError, match="does not answer"):
        McpServer(command=mute, start_seconds=1.0).tools()
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not running(pid):
            break
        time.sleep(0.1)
    assert not running(pid)


def test_an_mcp_server_that_does_not_start_is_named():
    pytest.importorskip("mcp", reason="NOT CHECKED HERE: MCP servers need agentrl[mcp]")
    from agentrl.tools.mcp import McpServer

    with pytest.raises(ToolError, match="MCP server /no/such does not answer"):
        McpServer(command=["/no/such"]).tools()
    with pytest.raises(ToolError, match="ConnectError"):
        McpServer(url="http://127.0.0.1:9/mcp").tools()
    with pytest.raises(ConfigError, match="a command or a URL"):
        McpServer()


@pytest.mark.parametrize("name", ["qwen2.5", "qwen3", "hermes", "llama3", "mistral", "gemma"])
def test_a_model_calls_as_its_template_teaches(name):
    from templates import chat as chat_of

    env = Shop()
    stage, chat = EnvStage(env, 10.0), chat_of(name)
    task = Task(env="shop", data={"wish": "milk"})

    async def play():
        agent = ChatAgent(Limits(turn_tokens=512))
        return await agent(task, stage, {"main": ScriptedPlayer(chat, lambda: stage.ask("oracle"))})

    main = asyncio.run(play()).main
    assert (main.status, main.success, len(main.turns)) == (Status.COMPLETED, True, 2)
    assert env.form.name == (chat.call_format if chat.call_format != "plain" else "hermes")
    context = chat.tokenizer.decode(join(main.turns[1].spans))
    assert "milk is in the basket" in context
    assert ("Put an item" in context) == (name != "gemma")  # whose template knows no tools
