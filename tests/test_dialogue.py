"""Conversations with tools, from the environment's info to the samples that are trained on."""

import asyncio
import json

import numpy as np
import pytest
from builders import group, table_of
from templates import SETTINGS, TEMPLATES

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.backends.scripted import ScriptedPlayer
from agentrl.chat import TemplateChat
from agentrl.types import Message, Source, Status, Task, ToolCall, join

SCHEMA = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "looks things up",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}
CALL = ToolCall("search", {"query": "Oslo"}, "abcdefghi")
TASK = Task(env="test", data={})


class Desk:
    """A stage that answers each call with tool results of `size` characters, then ends."""

    seconds = 0.0

    def __init__(self, size=20, results=1, turns=3):
        self.size, self.results, self.left = size, results, turns

    async def reset(self, task, calls="plain"):
        return "what is the weather?", {"tools": [SCHEMA]}

    async def step(self, text):
        self.left -= 1
        told = [Message("tool", "x" * self.size, name="search", call=CALL.id)] * self.results
        return "", 0.0, self.left == 0, False, {"messages": told, "success": True}


def chat_of(name):
    return TemplateChat(TEMPLATES[name](), **SETTINGS.get(name, {}))


def played(chat, stage, *texts, **limits):
    """The trajectory of a player that says these texts in turn."""
    said = iter(texts)

    async def script():
        return next(said)

    agent = ChatAgent(Limits(**{"turn_tokens": 512, **limits}))
    return asyncio.run(agent(TASK, stage, {"main": ScriptedPlayer(chat, script)})).main


@pytest.mark.parametrize("name", ["qwen2.5", "hermes", "llama3", "mistral"])
def test_tool_results_reach_the_context_and_calls_are_rows(name):
    chat = chat_of(name)
    call = chat.calls.write([CALL])
    trajectory = played(chat, Desk(), call, call, "sunny")
    assert trajectory.status is Status.COMPLETED
    last = trajectory.turns[-1]
    heard = [chat.decode(span.ids) for span in last.spans if span.source is Source.ENV]
    assert sum(text.count("x" * 20) for text in heard) == 2
    table = table_of([group(trajectory)])
    assert len(table.samples) == 1
    assert (
        table.ids.tolist()
        == np.concatenate([chat.encode(t) for t in (call, call, "sunny")]).tolist()
    )


def test_results_of_parallel_calls_are_one_delta():
    chat = chat_of("qwen2.5")
    call = chat.calls.write([CALL, CALL])
    trajectory = played(chat, Desk(results=2, turns=2), call, "sunny")
    delta = chat.decode(join(trajectory.turns[1].spans[len(trajectory.turns[0].spans) + 1 :]))
    assert delta.count("x" * 20) == 2
    assert delta.count("<|im_start|>user") == 1, "Qwen writes them into one turn"


def test_the_tools_are_told_once_in_the_opening():
    chat = chat_of("hermes")
    trajectory = played(chat, Desk(), chat.calls.write([CALL]), "sunny", "rain")
    text = chat.decode(join(trajectory.turns[-1].spans))
    assert text.count("looks things up") == 1
    assert json.dumps("search") in text


def test_a_tool_result_beyond_the_context_ends_the_episode_and_cuts_nothing():
    chat = chat_of("qwen2.5")
    call = chat.calls.write([CALL])
    trajectory = played(chat, Desk(size=4000), call, "sunny", context_tokens=600)
    assert trajectory.status is Status.CONTEXT_LIMIT
    (turn,) = trajectory.turns
    assert turn.completion.text == call
    assert len(join(turn.spans)) < 600


def test_thoughts_that_the_template_strips_fork_the_sample():
    chat = chat_of("qwen3")
    thought = "<think>\nhm\n</think>\n\nsunny"

    class Talk(Desk):
        async def step(self, text):
            self.left -= 1
            return "and now?", 0.0, self.left == 0, False, {}

    trajectory = played(chat, Talk(), thought, thought, thought)
    table = table_of([group(trajectory)])
    assert len(table.samples) == 3
    assert len(table) == 3 * len(chat.encode(thought)), "each token is a row once"
    assert "hm" not in chat.decode(join(trajectory.turns[-1].spans))
