"""AgentFlow: modules in their order, a memory of the episode, and rows of the planner alone."""

import re

import numpy as np
import pytest
from runs import played

from agentrl.agents.agentflow import AgentFlow
from agentrl.agents.chat import Limits
from agentrl.agents.plans import Plan, plain, read_plan
from agentrl.backends import scripted
from agentrl.config import build_run
from agentrl.env import Reply, TextEnv
from agentrl.errors import ConfigError
from agentrl.table import build_table
from agentrl.types import Status, Task

LIMITS = Limits(turn_tokens=64, trajectory_tokens=4000, context_tokens=4000)
FLOW = {"executor": "main", "verifier": "main", "generator": "main"}


class Colours(TextEnv):
    """Look at two colours, then name the second one."""

    max_turns = 8

    def begin(self, data):
        return "name the second colour"

    def act(self, text):
        if text.startswith("<answer>"):
            return Reply(done=True, success=text == "<answer>green")
        return Reply(text="red" if self.turn == 1 else "green")

    def oracle(self):
        return "<answer>green" if self.turn == 2 else "look"


class Said:
    """A player that says what a function makes of the prompt."""

    def __init__(self, chat, answer):
        self.chat, self.answer = chat, answer

    async def complete(self, context, max_tokens):
        ids = np.concatenate([span.ids for span in context]).tolist()
        read = "".join(chr(i) for i in ids if i < 0x110000)  # roles have ids above
        return scripted.scripted(self.chat, self.answer(read), max_tokens)

    def again(self, place):
        return self


def play(cast, attempts=1, **settings):
    tasks = [Task(env="Colours", data={"number": 0})]
    return played(cast, AgentFlow(LIMITS, **settings), Colours, tasks=tasks, attempts=attempts)


@pytest.fixture
def saying(text_chat):
    """Casts players that answer every prompt by a function of it."""

    def cast(answer):
        from contextlib import contextmanager

        @contextmanager
        def seats(stage, seed):
            yield {"main": Said(text_chat, answer)}

        return seats

    return cast


@pytest.fixture
def text_chat():
    from agentrl.backends.http.textchat import TextChat

    return TextChat()


def modules(episode):
    return {t.agent: [turn.completion.text for turn in t.turns] for t in episode.trajectories}


def test_a_demonstration_goes_through_every_module(text_chat):
    episode = play(scripted.oracle(text_chat), roles=FLOW)[0].episodes[0]
    said = modules(episode)
    assert [read_plan(text).context for text in said["planner"]] == ["look", "look"]
    assert said["executor"] == ["look", "look"]
    assert said["verifier"] == ["CONTINUE", "STOP"]
    assert said["generator"] == ["<answer>green"]
    assert episode.main.success


def test_a_bare_plan_is_the_command(text_chat):
    episode = play(scripted.oracle(text_chat), plan="bare")[0].episodes[0]
    assert modules(episode) == {"planner": ["look", "look", "<answer>green"]}
    assert episode.main.success


def test_only_trained_modules_have_rows(saying):
    table = build_table(play(saying(lambda prompt: "Tool: x"), roles=FLOW, turns=2))
    assert table.names["agent"] == ("planner",)
    assert table.count("sample") == 2, "every planner turn is a sample of its own, others are none"
    both = play(saying(lambda prompt: "STOP"), roles=FLOW, trained=["planner", "verifier"])
    assert set(build_table(both).names["agent"]) == {"planner", "verifier"}


def test_demonstrations_teach_every_module(text_chat):
    table = build_table(play(scripted.oracle(text_chat), roles=FLOW))
    assert set(table.names["agent"]) == {"planner", "executor", "verifier", "generator"}


def test_the_memory_is_the_episode_s(saying):
    read = []

    def answer(prompt):
        read.append(prompt.rpartition("Steps so far:")[2])
        return "Context: look\nTool Name: Environment"

    play(saying(answer), attempts=3, turns=2)
    assert sum("look" in memory for memory in read) == 3
    assert sum("look" not in memory for memory in read) == 3, "empty at every first step"
    assert all(len(re.findall(r"environment:", memory)) <= 1 for memory in read)


def test_a_turn_s_prompt_begins_like_the_next_one_s(saying):
    read = []
    play(saying(lambda prompt: read.append(prompt) or "Context: look\nTool: environment"), turns=3)
    kept = [prompt[: prompt.index("Steps so far:")] for prompt in read]
    assert len(set(kept)) == 1
    memories = [prompt.rpartition("Steps so far:")[2].strip() for prompt in read]
    assert memories[2].startswith(memories[1].removesuffix('"}'))


def test_an_unknown_tool_is_a_step(saying):
    read = []
    play(saying(lambda prompt: read.append(prompt) or "Tool Name: oracle\nContext: x"), turns=2)
    assert "error: no tool named 'oracle'" in read[1]


def test_a_plan_that_cannot_be_read_is_an_empty_action(saying):
    episode = play(saying(lambda prompt: "I do not know"), turns=2)[0].episodes[0]
    assert episode.main.status is Status.COMPLETED
    assert [turn.reply for turn in episode.main.turns] == ["", ""], (
        "nothing reached the environment"
    )


def look_up(command: str) -> str:
    """Looks a colour up."""
    return {"second": "green"}[command]


def test_plug_ins_answer_and_their_faults_are_results(saying):
    read = []

    def answer(prompt):
        read.append(prompt)
        return f"Tool Name: LOOK up\nContext: {'second' if len(read) == 2 else 'third'}"

    play(saying(answer), turns=3, tools=["environment", f"{__name__}:look_up"])
    assert "look_up: Looks a colour up." in read[0]
    assert "error: KeyError: 'third'" in read[1]
    assert read[2].rstrip("\n").count("green") == 1


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("Context: a\nb\nSub-Goal: c\nTool Name: d", Plan("d", "c", "a\nb")),
        ("**Context:** a\n**Tool Name:** `d`", Plan("`d`", "", "a")),
        ("Justification: Context matters\nTool: d", Plan("d", "", "")),
        ("", Plan()),
        ("tool name : x: y", Plan("x: y", "", "")),
    ],
)
def test_plans_are_read(text, plan):
    assert read_plan(text) == plan


def test_names_of_tools_are_forgiven():
    assert {plain(name) for name in ("Look_Up", "look up", "`LOOKUP`", "LookUp.")} == {"lookup"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"turns": 0}, "turns is 0"),
        ({"tools": []}, "tools are none"),
        ({"plan": "bare", "tools": ["environment", "math:sqrt"]}, "exactly one tool"),
        ({"tools": ["math:nothing"]}, "no function of math"),
        ({"tools": ["web"]}, "give environment or module:function"),
        ({"prompts": {"planner": "{memori}"}}, "did you mean 'memory'"),
        ({"entry": "{step}"}, "entry has no {step}"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        AgentFlow(LIMITS, **settings)


def test_modules_and_their_names_are_checked():
    with pytest.raises(ConfigError, match="roles"):
        build_run(
            {"env": "agentrl/Echo-v0", "agent": {"name": "agentflow", "roles": {"judge": "x"}}}
        )
