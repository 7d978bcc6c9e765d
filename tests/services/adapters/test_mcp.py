"""Environments out of a real MCP server in a process of its own."""

import json
import sys
from importlib.util import find_spec

import pytest

if find_spec("mcp") is None:
    pytest.skip("NOT CHECKED HERE: MCP servers need agentrl[mcp]", allow_module_level=True)

from learning import three_steps
from servers import Server, free_port

from agentrl.conformance import Recipe, check_environment
from agentrl.env import make
from agentrl.types import ToolCall

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("default")]
SHOP = """
from mcp.server import MCPServer
server = MCPServer("shop", log_level="CRITICAL")
basket = []

@server.tool()
def put(item: str) -> str:
    "Put an item into the basket."
    if item not in ("tea", "milk", "salt", "rice"):
        raise ValueError(f"no {item} here")
    basket.append(item)
    return f"{item} is in the basket"

@server.tool()
def content() -> str:
    "What the basket holds."
    return " ".join(basket) or "nothing"

@server.tool()
def clear() -> str:
    "Empty the basket."
    basket.clear()
    return "empty"

server.run()
"""
COLOURS = """
import sys
from mcp.server import MCPServer
from starlette.responses import PlainTextResponse
server = MCPServer("colours", log_level="CRITICAL")

@server.tool()
def colour(number: int) -> str:
    "The colour of a number."
    return ["red", "green", "blue", "pink"][number]

@server.custom_route("/health", ["GET"])
async def health(_):
    return PlainTextResponse("well")

server.run("streamable-http", port=int(sys.argv[1]))
"""
CLEAR = [{"tool": "clear"}]


def buying(item, split):
    put = {"tool": "put", "arguments": {"item": item}}
    check = {"tool": "content", "expect": item}
    solution = [put, "done"]
    told = {"question": f"buy {item}", "check": check, "setup": CLEAR, "solution": solution}
    return {**told, "split": split}


TASKS = [
    *(buying(item, "train") for item in ("tea", "milk", "salt")),
    buying("rice", "test"),
    {
        "question": "what is in the basket",
        "answer": ["nothing", "it is empty"],
        "setup": CLEAR,
        "solution": [{"tool": "content"}, "Nothing."],
        "split": "train",
    },
]


@pytest.fixture
def shop(tmp_path):
    """Arguments of the environment."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, TASKS)))
    return {
        "tasks": str(tmp_path / "tasks.jsonl"),
        "command": [sys.executable, str(tmp_path / "shop.py")],
        "hidden": ["clear"],
        "max_turns": 3,
    }


def test_a_server_becomes_an_environment(shop):
    env = make("agentrl/Mcp-v0", **shop)
    for record in TASKS:
        text, info = env.reset(options={"task": record})
        assert text == record["question"]
        assert [tool["function"]["name"] for tool in info["tools"]] == ["put", "content"]
        env.step(env.oracle())
        _, reward, terminated, _, info = env.step(env.oracle())
        assert (reward, terminated, info["success"]) == (1.0, True, True)
    env.close()


def asking(number, split):
    """A question whose answer the server of colours knows."""
    answer = ("red", "green", "blue", "pink")[number]
    solution = [{"tool": "colour", "arguments": {"number": number}}, answer]
    told = {"question": f"which colour is {number}", "answer": answer}
    return {**told, "solution": solution, "split": split}


@pytest.fixture
def colours(tmp_path):
    """Arguments of an environment whose instances share a server over HTTP."""
    (tmp_path / "colours.py").write_text(COLOURS)
    told = [asking(number, "test" if number == 3 else "train") for number in range(4)]
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, told)))
    port = free_port()
    command = [sys.executable, str(tmp_path / "colours.py"), str(port)]
    server = Server(command, port, tmp_path / "log")
    server.start()
    yield {"tasks": str(tmp_path / "tasks.jsonl"), "url": f"{server.url}/mcp", "max_turns": 3}
    server.kill()


def test_it_conforms(colours):
    assert check_environment(Recipe("agentrl/Mcp-v0", colours), tasks=4) == []


def test_what_the_server_does_not_know_is_an_observation(colours):
    env = make("agentrl/Mcp-v0", **colours)
    env.reset(seed=0)
    for name, number in (("colour", 9), ("smell", 1), ("colour", "one")):
        text, reward, ended, *_ = env.step(env.write([ToolCall(name, {"number": number})]))
        assert text.startswith("Error: ")
        assert (reward, ended) == (0.0, False) or env.turn == 3
    env.close()


def test_three_steps_of_training(shop, tmp_path):
    env = {"id": "agentrl/Mcp-v0", **shop, "calls": "llama_pythonic", "listing": "names"}
    warm = {"episodes": 64, "steps": 250, "batch": 16}
    limits = {"turn_tokens": 24}
    model = {"name": "tiny", "hidden_size": 32, "layers": 1, "corpus_tasks": 4}
    sections = {"model": model, "warm_start": warm, "limits": limits}
    steps = three_steps(tmp_path / "run", env, **sections)
    assert max(row["train/success"] for row in steps) > 0
