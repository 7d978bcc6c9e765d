"""The conformance check passes for what comes with the library and names what is broken."""

import random
import re

import numpy as np
import pytest

from agentrl.conformance import check_environment
from agentrl.env import NaturalText, Reply, TextEnv, make
from agentrl.types import Parse


class Reverse(TextEnv):
    """A small environment that conforms; the broken ones below differ from it in one thing."""

    max_turns = 3

    def new_task(self, rng):
        return {"word": "".join(rng.choice(list("abcd"), size=6))}

    def begin(self, data):
        return f"Reverse the word {data['word']}."

    def act(self, text):
        solved = text == self.data["word"][::-1]
        return Reply(text="no", done=solved, success=solved)

    def oracle(self):
        return self.data["word"][::-1]

    def expert(self, rng):
        return "".join(rng.permutation(list(self.data["word"])))


class GlobalTask(Reverse):
    def new_task(self, rng):
        return {"word": "".join(random.choices("abcd", k=6))}


class GlobalFeedback(Reverse):
    def act(self, text):
        return Reply(text=str(np.random.random())) if text != self.oracle() else super().act(text)


class SharedState(Reverse):
    seen = []  # noqa: RUF012 - the fault

    def begin(self, data):
        self.seen[:] = [data["word"]]
        return super().begin(data)

    def act(self, text):
        return Reply(text=f"no, it is {self.seen}") if text == "" else super().act(text)

    def oracle(self):
        return self.seen[0][::-1]


class NanReward(Reverse):
    def act(self, text):
        return Reply(parts={"close": float("nan")}) if text == "" else super().act(text)


class LyingReward(Reverse):
    def step(self, action):
        text, reward, *rest = super().step(action)
        return text, reward + 0.5, *rest


class WrongOracle(Reverse):
    def oracle(self):
        return self.data["word"]

    def new_task(self, rng):
        return {"word": "ab" + "".join(rng.choice(list("abcd"), size=6)) + "c"}


class SlowOracle(Reverse):
    def oracle(self):
        return super().oracle() if self.turn == 3 else "wait"


class GenerousFormat(Reverse):
    def act(self, text):
        return Reply(parts={"short": 2.0}) if text == "" else super().act(text)


class SuccessGoesOn(Reverse):
    def act(self, text):
        return Reply(success=text == self.oracle())


class EmptySolves(Reverse):
    def act(self, text):
        return super().act(text or self.oracle())


class Endless(Reverse):
    def step(self, action):
        text, reward, terminated, _, info = super().step(action)
        return text, reward, terminated, False, info


class Raises(Reverse):
    def act(self, text):
        return Reply(text={}[text]) if text.startswith("<") else super().act(text)


class NumberFlags(Reverse):
    def step(self, action):
        text, reward, terminated, truncated, info = super().step(action)
        return text, reward, int(terminated), truncated, info


class NoText(Reverse):
    def act(self, text):
        return Reply(text=None) if text == "" else super().act(text)


class ChangesTask(Reverse):
    def begin(self, data):
        data["word"] += "a"
        return super().begin(data)


class OneSplit(Reverse):
    def tasks(self, split, count, seed):
        return super().tasks("train", count, seed)


class NoJson(Reverse):
    def new_task(self, rng):
        return {**super().new_task(rng), "cell": (1, 2)}


class Unseeded(Reverse):
    def tasks(self, split, count, seed):
        return super().tasks(split, count, random.randrange(10**9))


class ShortSpace(Reverse):
    def __init__(self):
        super().__init__()
        self.observation_space = NaturalText(8)


class Mumbling(Reverse):
    def act(self, text):
        reply = super().act(text)
        return reply if reply.success else Reply(parse=Parse.MALFORMED)


CONFORMING = [
    ("agentrl/Echo-v0", {}),
    ("agentrl/Echo-v0", {"turns": 3}),
    *(("agentrl/Sparql-v0", {"hops": [hops], "triples": 1000}) for hops in (1, 2, 3)),
    ("agentrl/Sudoku-v0", {"size": 4}),
    ("agentrl/Sudoku-v0", {"size": 6, "reward_weights": {"cells": 0.75, "order": 0.25}}),
]
BROKEN = [
    (GlobalTask, r"with seed \d, the oracle saw .* the second time"),
    (GlobalFeedback, r"with seed \d, the expert saw .* the second time"),
    (SharedState, r"while another instance plays, the oracle saw"),
    (NanReward, r"the reward after '' is nan: give a finite number"),
    (LyingReward, r"the reward after .* is 0\.5, but its weighted parts sum to 0"),
    (WrongOracle, r"the oracle does not solve task \w+ in 3 turns"),
    (SlowOracle, r"the oracle does not solve task \w+ in 3 turns"),
    (GenerousFormat, r"saying '' earns more than the oracle's 1 at task \w+ .* earning 6"),
    (SuccessGoesOn, r"the episode goes on after '\w+', which succeeds: set terminated"),
    (EmptySolves, r"saying '' solves task"),
    (Endless, r"saying '' goes on after the last turn of task"),
    (Raises, r"step\('<answer>'\): KeyError: '<answer>'"),
    (NumberFlags, r"terminated and truncated after .* are \(0, False\): give two bools"),
    (NoText, r"the text None after '' is outside the observation space"),
    (ChangesTask, r"playing task \w+ changes its data"),
    (OneSplit, r"tasks\('test'\) brings \w+, which belongs to 'train'"),
    (NoJson, r"JSON does not bring back the data of \w+: .*'cell': \(1, 2\)"),
    (Unseeded, r"tasks\('train', 4, 0\) must bring the same 1 to 4 every time"),
    (ShortSpace, r"the observation space does not contain"),
    (Mumbling, r"the expert says '\w+', which is Parse.MALFORMED"),
]


@pytest.mark.parametrize(("name", "arguments"), CONFORMING)
def test_what_comes_with_the_library_conforms(name, arguments):
    assert check_environment(lambda: make(name, **arguments), tasks=4) == []


def test_an_environment_that_is_not_registered_may_conform():
    assert check_environment(Reverse) == []


@pytest.mark.parametrize(("env", "sentence"), BROKEN, ids=[env.__name__ for env, _ in BROKEN])
def test_a_broken_environment_is_told_what_is_broken(env, sentence):
    findings = check_environment(env, tasks=4)
    assert any(re.search(sentence, finding) for finding in findings), findings


def test_one_instance_for_all_is_no_factory():
    one = Reverse()
    assert "make() brings the same environment twice" in check_environment(lambda: one)[0]


def test_findings_are_few_and_different():
    findings = check_environment(NanReward)
    assert len(set(findings)) == len(findings) <= 12
