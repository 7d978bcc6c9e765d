"""The conformance check passes for what comes with the library and names what is broken."""

import itertools
import random
import re
import sys
import threading
import time

import numpy as np
import pytest

from agentrl.cli.check_env import every, missing
from agentrl.conformance import MAX_FINDINGS, RULES, Recipe, check_environment, examine, watch
from agentrl.conformance.child import shared
from agentrl.conformance.speed import speed
from agentrl.conformance.trials import HOSTILE, UNICODE
from agentrl.env import NaturalText, Reply, TextEnv
from agentrl.errors import ConfigError, EnvError
from agentrl.types import Parse


class Reverse(TextEnv):
    """A small environment that conforms; the broken ones below differ from it in one thing."""

    max_turns = 3
    reward_range = (0.0, 1.0)

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


class BothFlags(Reverse):
    def step(self, action):
        text, reward, terminated, truncated, info = super().step(action)
        return text, reward, terminated or truncated, truncated, info


class GoesOn(Reverse):
    def step(self, action):
        self._over = False
        return super().step(action)


class ChangedByRefusal(Reverse):
    def step(self, action):
        self.turn += self._over
        return super().step(action)


class ClosesOnce(Reverse):
    closed = False

    def close(self):
        super().close()
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class ClosesAll(Reverse):
    open = True

    def close(self):
        super().close()
        ClosesAll.open = False

    def begin(self, data):
        if not self.open:
            raise RuntimeError("closed")
        return super().begin(data)

    def __init__(self):
        super().__init__()
        ClosesAll.open = True


class Remembers(Reverse):
    def begin(self, data):
        self.before = getattr(self, "before", 0) + 1
        return super().begin(data) + "!" * self.before


class Numbered(Reverse):
    numbers = itertools.count()

    def __init__(self):
        super().__init__()
        self.number = next(self.numbers)

    def begin(self, data):
        return f"{self.number}: {super().begin(data)}"


class HashOrder(Reverse):
    def begin(self, data):
        return " ".join({*"abcdefghijklmnop"}) + super().begin(data)


class SeedsGlobally(Reverse):
    def reset(self, *, seed=None, options=None):
        random.seed(seed)
        return super().reset(seed=seed, options=options)

    def act(self, text):
        return Reply(text=str(random.random())) if text != self.oracle() else super().act(text)


class DrawsGlobally(Reverse):
    def act(self, text):
        np.random.random()
        return super().act(text)


class PoorOracle(Reverse):
    reward_range = (0.0, 2.0)


class PaysEcho(Reverse):
    def act(self, text):
        solved = text in (self.oracle(), "no") or text.startswith("Reverse")
        return Reply(text="no", done=solved, success=solved)


class PaysNoise(Reverse):
    def act(self, text):
        noise = text not in (*HOSTILE, "no") and not text.startswith("Reverse")
        return Reply(text="no", done=noise, success=noise)


class Coin(Reverse):
    luck = True
    oracle = TextEnv.oracle

    def act(self, text):
        return Reply(done=True, success=text in self.won)

    def begin(self, data):
        self.won = HOSTILE[:: 1 + (data["word"][0] in "ab")]
        return super().begin(data)


class Sides(EmptySolves):
    def step(self, action):
        text, reward, terminated, truncated, info = super().step(action)
        return text, reward, terminated, truncated, {**info, "player": self.turn % 2}

    def reset(self, *, seed=None, options=None):
        text, info = super().reset(seed=seed, options=options)
        return text, {**info, "player": 0}


class Costs(Reverse):
    def act(self, text):
        return Reply(parts={"cost": -1.0}) if text == "" else super().act(text)


class PaysSilence(Reverse):
    def act(self, text):
        return Reply(done=True, parts={"quiet": 1.0}) if text == "" else super().act(text)


class Exits(Reverse):
    def act(self, text):
        return sys.exit(3) if text == "" else super().act(text)


class Hangs(Reverse):
    def act(self, text):
        return threading.Event().wait() if text == "" else super().act(text)


class Wordy(Reverse):
    def act(self, text):
        raise ValueError(f"{text}\n\ud800")


class OddNumbers(Reverse):
    def step(self, action):
        text, reward, *ends, info = super().step(action)
        return text, np.float32(reward), *ends, {**info, "admissible": np.array([1, 2])}


class Leaks(Reverse):
    def secrets(self):
        return [self.oracle()]

    def act(self, text):
        reply = super().act(text)
        return reply if reply.done else Reply(text=f"no, {self.oracle()}")


class LeaksAtOnce(Leaks):
    act = Reverse.act

    def begin(self, data):
        self.system_prompt = f"Never say {data['word'][::-1]}."
        return super().begin(data)


class Babbles(Reverse):
    observation_chars = 60

    def act(self, text):
        reply = super().act(text)
        return reply if reply.done else Reply(text=f"no: {text[:100]}")


class Parrots(Reverse):
    def act(self, text):
        reply = super().act(text)
        return reply if reply.done else Reply(text=text[:100])


class ParsesSlowly(Reverse):
    def act(self, text):
        time.sleep(0.1 * (len(text) > 10**6))
        return super().act(text)


class Crowded(Reverse):
    playing = 0

    def act(self, text):
        Crowded.playing += 1
        time.sleep(0.005)
        crowd, Crowded.playing = Crowded.playing, Crowded.playing - 1
        return Reply(text=f"{crowd} play") if text != self.oracle() else super().act(text)


class HoldsLock(Reverse):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class ForgetsTurn(Reverse):
    def __getstate__(self):
        return {**vars(self), "turn": 0}

    def act(self, text):
        return Reply(text=f"turn {self.turn}") if text != self.oracle() else super().act(text)


ONE = Reverse()


def one_for_all():
    return ONE


PLANTED = [
    ("factory", one_for_all, r"make\(\) brings the same environment twice"),
    ("gymnasium", ShortSpace, r"the observation space does not contain"),
    ("tasks", OneSplit, r"tasks\('test'\) brings \w+, which belongs to 'train'"),
    ("tasks", NoJson, r"JSON does not bring back the data of \w+: .*'cell': \(1, 2\)"),
    ("tasks", Unseeded, r"tasks\('train', 4, 0\) must bring the same 1 to 4 every time"),
    ("steps", NumberFlags, r"terminated and truncated after .* are \(0, False\): give two bools"),
    ("steps", NoText, r"the text None after '' is outside the observation space"),
    ("ends", SuccessGoesOn, r"the episode goes on after '\w+', which succeeds: set terminated"),
    ("ends", Endless, r"saying '' goes on after the last turn of task"),
    ("ends", BothFlags, r"terminated and truncated are both set after ''"),
    ("refuses", GoesOn, r"step\(\) before reset\(\) is answered: raise EnvError"),
    ("refuses", GoesOn, r"after the episode's end \(the oracle\) is answered: raise EnvError"),
    ("refuses", ChangedByRefusal, r"the oracle\) is refused, yet changes what is shown"),
    ("close", ClosesOnce, r"RuntimeError: closed already"),
    ("close", ClosesAll, r"close\(\) of one instance breaks another"),
    ("seeds", GlobalTask, r"with seed \d, the oracle saw .* the second time"),
    ("seeds", GlobalFeedback, r"with seed \d, the expert saw .* the second time"),
    ("seeds", Remembers, r"on a new instance, with seed 1, the oracle saw"),
    ("twins", Numbered, r"the oracle, task \w+: one twin saw .*, the other"),
    ("others", SharedState, r"while another instance plays, the oracle saw"),
    ("processes", HashOrder, r"with seed 0, the oracle saw .* in another process"),
    ("global_random", GlobalFeedback, r"with other global random states, the expert saw"),
    ("global_random", SeedsGlobally, r"reset\(\) changes the state of random: use the generator"),
    ("global_random", DrawsGlobally, r"step\(\) changes the state of numpy.random"),
    ("task_data", ChangesTask, r"playing task \w+ changes its data"),
    ("oracle", WrongOracle, r"the oracle does not solve task \w+ in 3 turns"),
    ("oracle", SlowOracle, r"the oracle does not solve task \w+ in 3 turns"),
    ("oracle", PoorOracle, r"the oracle earns less than reward_range's 2 at task \w+"),
    ("expert", Mumbling, r"the expert says '\w+', which is Parse.MALFORMED"),
    ("clueless", EmptySolves, r"saying '' solves task"),
    ("clueless", PaysEcho, r"repeating the observation solves task"),
    ("clueless", PaysNoise, r"saying random text solves task"),
    ("clueless", Coin, r"saying '' solves task"),
    ("best", GenerousFormat, r"saying '' earns more than the oracle's 1 at task \w+ .* earning 6"),
    ("best", PaysSilence, r"saying '' earns the oracle's 1 without success at task"),
    ("rewards", NanReward, r"the reward after '' is nan: give a finite number"),
    ("rewards", LyingReward, r"the reward after .* is 0\.5, but its weighted parts sum to 0"),
    ("rewards", Costs, r"saying '' leaves reward_range 0 to 1 at task \w+ in 3 turns, earning -3"),
    ("secrets", Leaks, r"the expert is told the secret '\w+' at task"),
    ("secrets", LeaksAtOnce, r"saying '' is told the secret '\w+' at task"),
    ("observations", Babbles, r"is 104 characters long, over observation_chars=60"),
    ("observations", Parrots, r"has lone surrogates: it cannot be tokenised"),
    ("survives", Raises, r"step\('<answer>'\): KeyError: '<answer>'"),
    ("survives", Exits, r"step\(''\): SystemExit: 3"),
    ("survives", ParsesSlowly, r"1,048,576 characters of 'a' took more than 0.05 s"),
    ("threads", Crowded, r"beside other threads, with seed \d, the expert saw"),
    ("copies", HoldsLock, r"cannot pickle .* declare pickles = False"),
    ("copies", ForgetsTurn, r"with seed 0, the expert, after 1 turns: the original saw"),
]
HEAVY = "agentrl/TextWorld-v0"
"""Whose games take long to make: its first variant is played here, the others in the slow tests."""
SHIPPED = [
    pytest.param(
        id,
        given,
        id=f"{id} {name}".strip(),
        marks=[pytest.mark.slow] if id == HEAVY and name else [],
    )
    for id, name, given in every()
]


@pytest.mark.parametrize(("name", "arguments"), SHIPPED)
def test_what_comes_with_the_library_conforms(name, arguments):
    if reason := missing(Recipe(name, arguments)):
        pytest.skip(f"NOT CHECKED HERE: {reason}")
    assert examine(Recipe(name, arguments), tasks=2).findings == []


def test_an_environment_that_is_not_registered_may_conform():
    assert check_environment(Reverse) == []


@pytest.mark.parametrize(
    ("rule", "env", "sentence"), PLANTED, ids=[f"{rule}-{env.__name__}" for rule, env, _ in PLANTED]
)
def test_a_planted_violation_is_caught_by_its_rule(rule, env, sentence):
    found = examine(env, tasks=4, seconds=0.05, rules=[rule]).findings
    assert {finding.rule for finding in found} == {rule}
    assert any(re.search(sentence, finding.finding) for finding in found), found


def test_every_rule_has_a_planted_violation():
    assert list(dict.fromkeys(rule for rule, *_ in PLANTED)) == list(RULES)


def test_findings_are_few_and_different_and_name_their_rule():
    findings = check_environment(NanReward, tasks=2)
    assert len(set(findings)) == len(findings)
    names = [finding.partition(": ")[0] for finding in findings]
    assert "rewards" in names
    assert all(names.count(name) <= MAX_FINDINGS for name in names)
    assert set(names) <= set(RULES)


def test_a_lucky_win_is_one_that_another_task_does_not_bring():
    found = [finding.finding for finding in examine(Coin, rules=["clueless"]).findings]
    assert found
    assert not [told for told in found if r"saying ' \n\t'" in told]


def test_who_plays_both_sides_beats_itself():
    assert examine(Sides, tasks=2, rules=["clueless"]).findings == []


def test_what_cannot_be_tried_says_why():
    class Local(Reverse):
        pickles = False
        oracle = TextEnv.oracle

    skipped = examine(Local, tasks=1, rules=["oracle", "processes", "copies"]).skipped
    assert list(skipped) == ["oracle", "processes", "copies"]
    assert skipped["copies"] == "it declares pickles = False"
    assert "cannot be sent to another process" in skipped["processes"]


def test_what_does_not_come_back_is_one_finding_and_the_last(monkeypatch):
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 0.5)
    verdict = examine(Hangs, tasks=1, rules=["survives", "ends"])
    assert verdict.findings == [("survives", "step('') did not come back within 0.5 s")]
    assert list(verdict.skipped) == ["ends"]


@pytest.mark.parametrize("env", [NanReward, OddNumbers])
def test_equal_numbers_are_no_difference(env):
    rules = ["seeds", "twins", "others", "processes", "global_random", "threads", "copies"]
    assert examine(env, tasks=1, rules=rules).findings == []


def test_numbers_of_numpy_are_rewards():
    assert examine(OddNumbers, tasks=1, rules=["rewards"]).findings == []


def test_a_finding_is_one_line_that_can_be_written():
    for told in check_environment(Wordy, tasks=1):
        assert len(told.encode().splitlines()) == 1


def test_an_environment_that_cannot_be_made_is_one_finding():
    (finding,) = check_environment(Recipe("agentrl/Nothing-v0"))
    assert finding.startswith("factory: make() and close() must work: ConfigError: unknown")


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="unknown rule 'twin': did you mean 'twins'"):
        examine(Reverse, rules=["twin"])


def test_the_global_generators_are_left_as_they_were():
    before = random.getstate(), np.random.get_state()[1].tolist()
    check_environment(Reverse, tasks=1)
    assert before == (random.getstate(), np.random.get_state()[1].tolist())


def test_another_process_that_dies_is_told_and_replaced():
    with pytest.raises(EnvError, match="another process died"):
        shared().play(b"cos\n_exit\n(I1\ntR.", [], 10.0)
    assert examine(Reverse, tasks=1, rules=["processes"]) == examine(Reverse, rules=["ends"])


def test_speed_is_measured_within_its_time():
    told = speed(Reverse, seconds=0.5)
    assert told["player"] == "the expert"
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert {"1", "16"} <= set(told["steps_per_second"])
    assert all(rate > 0 for rate in told["steps_per_second"].values())


def test_a_step_outside_an_episode_is_refused():
    env = Reverse()
    with pytest.raises(EnvError, match="no episode is being played; reset it"):
        env.step(UNICODE)
    env.reset(seed=0)
    env.close()
    with pytest.raises(EnvError, match="no episode"):
        env.step("")
