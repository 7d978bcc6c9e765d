"""Agents let a policy read different things; the ledger stays exact and states stay comparable."""

import json
import re

import numpy as np
import pytest
from runs import played

from agentrl.agents import AGENTS
from agentrl.agents.chat import ChatAgent, Limits
from agentrl.agents.memory import SummaryAgent, WindowAgent
from agentrl.agents.stepwise import StepwiseAgent
from agentrl.algorithms import algorithm
from agentrl.backends import scripted
from agentrl.backends.hf import HFPolicy
from agentrl.config import build_run
from agentrl.env import Reply, TextEnv
from agentrl.episodes import episode_record, read_episode
from agentrl.errors import ConfigError
from agentrl.learner import Learner
from agentrl.rollout import seated
from agentrl.samples import merge
from agentrl.segments import anchors
from agentrl.table import build_table
from agentrl.train import run_training
from agentrl.types import Source, Task

LIMITS = Limits(turn_tokens=12, trajectory_tokens=1000, context_tokens=250)
MADE = {
    "chat": ChatAgent(LIMITS),
    "window": WindowAgent(LIMITS, turns=2),
    "summary": SummaryAgent(LIMITS, every=2, question="you said"),
    "stepwise": StepwiseAgent(LIMITS, history=1),
}


class Colours(TextEnv):
    """Six turns in a circle of three states; whatever is said, the next colour is shown."""

    max_turns = 6

    def begin(self, data):
        return "say"

    def act(self, text):
        colour = ("red", "green", "blue")[self.turn % 3]
        return Reply(text=f"you said {colour}", parts={"turn": 1.0})

    def oracle(self):
        return " pink"


def play(cast, agent, attempts=2, env=Colours):
    tasks = [Task(env="Colours", data={"number": 0})]
    return played(cast, agent, env, tasks=tasks, attempts=attempts)


def texts(tiny, trajectory):
    """What the policy read before each turn."""
    decode = tiny.tokenizer.decode
    return [decode(np.concatenate([s.ids for s in turn.spans])) for turn in trajectory.turns]


@pytest.mark.parametrize("name", MADE)
def test_what_is_trained_is_what_was_sampled(tiny, name):
    model = tiny.fresh()
    groups = play(seated({"main": HFPolicy(model, tiny.chat)}, 1.0), MADE[name])
    table = build_table(groups)
    sampled = [t for e in groups[0].episodes for turn in e.main.turns for t in turn.completion.ids]
    assert table.ids.tolist() == sampled
    learner = Learner(model, algorithm("grpo"), 1)
    assert np.allclose(learner.run(table, model).logprobs.detach(), table.behaviour, atol=1e-4)


@pytest.mark.parametrize("name", MADE)
def test_the_same_episode_whatever_an_agent_reads(tiny, name):
    main = play(scripted.oracle(tiny.chat), MADE[name], attempts=1)[0].episodes[0].main
    seen = [turn.reply.split()[-1] for turn in main.turns if turn.reply]
    assert seen == ["green", "blue", "red"] * 2
    assert main.reward == 6.0


def test_a_window_shows_the_task_and_the_last_turns(tiny):
    main = play(scripted.oracle(tiny.chat), MADE["window"], attempts=1)[0].episodes[0].main
    read = texts(tiny, main)
    assert "left out" not in read[2]
    assert read[3].count("pink") == 2
    assert len(merge(main)[0]) == 4  # three turns in one sample, then one each
    assert [read[5].count(colour) for colour in ("green", "blue", "red")] == [1, 1, 1]


def test_kept_turns_stay_in_the_ids_that_were_sampled(tiny):
    cast = seated({"main": HFPolicy(tiny.fresh(), tiny.chat)}, 1.0)
    turns = play(cast, MADE["window"], attempts=1)[0].episodes[0].main.turns
    kept = [span.ids for span in turns[5].spans if span.source is Source.SAMPLED]
    assert [list(ids) for ids in kept] == [list(turn.completion.ids) for turn in turns[3:5]]


def test_a_stepwise_prompt_is_made_anew(tiny):
    agent = StepwiseAgent(LIMITS, history=1, prompt="{turn} {task} {history}", entry="{action}")
    main = play(scripted.oracle(tiny.chat), agent, attempts=1)[0].episodes[0].main
    assert len(merge(main)[0]) == 6
    assert all(text.count("pink") == 1 for text in texts(tiny, main)[1:])
    assert len({len(text) for text in texts(tiny, main)[1:]}) == 1


def test_admissible_actions_are_listed_where_the_environment_tells_them(tiny):
    class Telling(Colours):
        def step(self, action):
            text, *rest, info = super().step(action)
            return text, *rest, info | {"admissible": ["red", "blue"]}

    agent = StepwiseAgent(LIMITS, choices="say {admissible}", prompt="{admissible}")
    main = play(scripted.oracle(tiny.chat), agent, attempts=1, env=Telling)[0].episodes[0].main
    assert "pink" not in texts(tiny, main)[1]
    assert "red" in texts(tiny, main)[1]


def test_a_summary_stands_for_the_turns_before_it(tiny):
    main = play(scripted.oracle(tiny.chat), MADE["summary"], attempts=1)[0].episodes[0].main
    asked = {number: turn.state for number, turn in enumerate(main.turns) if not turn.reply}
    assert asked == {2: "you said\nyou said blue", 5: "you said\nyou said green"}
    assert texts(tiny, main)[3].count("pink") == 2  # recited
    assert len(merge(main)[0]) == 3


@pytest.mark.parametrize("name", MADE)
def test_states_are_the_environment_s(tiny, name):
    main = play(scripted.oracle(tiny.chat), MADE[name], attempts=1)[0].episodes[0].main
    own = [state for state in anchors(main) if "\n" not in (state or "")]
    assert own == [None, *(f"you said {c}" for c in ("green", "blue", "red", "green", "blue"))]


@pytest.mark.parametrize("name", MADE)
def test_recorded_episodes_come_back(tiny, name):
    episode = play(scripted.oracle(tiny.chat), MADE[name], attempts=1)[0].episodes[0]
    again = read_episode(episode.task, episode_record(0, episode))
    assert anchors(again.main) == anchors(episode.main)
    assert texts(tiny, again.main) == texts(tiny, episode.main)


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("windows", "unknown agent 'windows': did you mean 'window'"),
        ({"name": "window", "turns": 0}, "turns is 0"),
        ({"name": "summary", "everyn": 2}, "unknown key 'everyn'"),
        ({"name": "stepwise", "prompt": "{observatoin}"}, "did you mean 'observation'"),
        ({"name": "stepwise", "prompt": "{"}, "write {{ for a brace"),
        ({"name": "stepwise", "prompt": "{turn:x7}"}, "Invalid format specifier 'x7'"),
        ({"name": "stepwise", "entry": "{action!z}"}, "Unknown conversion specifier"),
        ({"name": "summary", "question": " "}, "question is ' ': ask for a summary"),
        ({"name": "stepwise", "history": -1}, "history is -1"),
    ],
)
def test_what_cannot_be_is_refused(agent, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        build_run({"env": "agentrl/Echo-v0", "agent": agent})


@pytest.mark.parametrize("name", AGENTS)
def test_a_run_repeats_its_agent(name):
    needs = {"function": "test_programs:reviewed"} if name == "program" else {}
    run = build_run({"env": "agentrl/Echo-v0", "agent": {"name": name, **needs}})
    assert build_run(run.resolved()).resolved() == run.resolved()


@pytest.mark.parametrize("name", ["window", "summary", "stepwise"])
def test_it_trains_with_states_compared(tmp_path, name):
    settings = {
        "env": {"id": "agentrl/Sudoku-v0", "size": 4, "blanks": 3, "max_turns": 6},
        "model": {"name": "tiny", "hidden_size": 16, "layers": 1},
        "agent": {"name": name},
        "algorithm": "gigpo",
        "warm_start": {"episodes": 8, "steps": 2},
        "limits": {"turn_tokens": 8},
        "rollout": {"tasks": 2, "attempts": 4},
        "train": {"steps": 1, "train_tasks": 8, "eval_tasks": 4},
        "out": str(tmp_path / "run"),
    }
    run_training(build_run(settings))
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["learner/gap"] < 1e-4
