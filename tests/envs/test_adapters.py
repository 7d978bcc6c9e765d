"""What all adapters share, on Gymnasium's toy texts and on environments that misbehave."""

import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import agentrl
from agentrl.conformance import check_environment, examine
from agentrl.envs import adapters
from agentrl.envs.adapters import isolation
from agentrl.envs.adapters.isolation import GlobalRandom
from agentrl.envs.adapters.opponents import any_move
from agentrl.envs.adapters.shown import ansi, value
from agentrl.errors import ConfigError, DataError, EnvError, MissingDependencyError
from agentrl.types import Parse

GUESS = "foreign_games:foreign/Guess-v0"
ODD = "foreign_games:foreign/Odd-v0"


def episode(env, seed, say=None):
    """Everything an episode says; by default the expert speaks, its draws following the seed."""
    rng, ended = np.random.default_rng(seed), False
    told = [env.reset(seed=seed)]
    while not ended:
        told.append(env.step(env.expert(rng) if say is None else say))
        ended = told[-1][2] or told[-1][3]
    return told


# ---- the contract ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wraps", "options"),
    [
        (GUESS, {}),
        ("FrozenLake-v1", {"max_turns": 5}),
    ],
)
def test_adapted_environments_conform(wraps, options):
    assert check_environment(lambda: adapters.gymnasium(wraps, **options), tasks=1) == []


def test_unmended_violations_show():
    rules = ("ends", "global_random", "others")
    verdict = examine(lambda: adapters.gymnasium(GUESS, mend=False), tasks=2, rules=rules)
    told = " ".join(finding for _, finding in verdict.findings)
    assert {rule for rule, _ in verdict.findings} == set(rules)
    for fault in ("terminated and truncated are both set", "reset() changes", "another instance"):
        assert fault in told


def test_threads_play_the_episodes_that_one_plays_alone():
    alone = [episode(adapters.gymnasium(GUESS), seed % 4) for seed in range(16)]
    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(episode, adapters.gymnasium(GUESS), seed % 4) for seed in range(16)]
        assert [job.result() for job in jobs] == alone


def test_global_random_state_is_nobody_elses_business():
    env = adapters.gymnasium(GUESS)
    random.seed(5)
    np.random.seed(5)
    np.random.standard_normal()  # half of a pair: the other half is kept, and must stay
    expected = random.Random(5).random(), np.random.RandomState(5).standard_normal(2)[1]
    episode(env, 3)
    assert (random.random(), np.random.standard_normal()) == expected


def test_one_line_is_what_a_run_says():
    env = adapters.gymnasium("FrozenLake-v1", is_slippery=False, max_turns=7)
    settings = {"wraps": "FrozenLake-v1", "arguments": {"is_slippery": False}, "max_turns": 7}
    made = agentrl.make("agentrl/Gymnasium-v0", **settings)
    assert env.id == made.id == "agentrl/Gymnasium-v0"
    assert episode(env, 1) == episode(made, 1)


# ---- rewards and ends -----------------------------------------------------------------------


def test_a_win_is_the_rewards_sum_at_the_end():
    env = adapters.gymnasium("FrozenLake-v1", is_slippery=False)
    env.reset(seed=0)
    told = [env.step(word) for word in ("down", "down", "right", "right", "down", "right")]
    assert told[-1][1:4] == (1.0, True, False)
    assert told[-1][4]["parts"] == {"reward": 1.0, "solved": 1.0}
    assert not any(step[4]["success"] for step in told[:-1])
    assert env.success == 0.7  # Gymnasium's own threshold


@pytest.mark.parametrize(
    ("ends", "mended"),
    [((True, True), (True, False)), ((False, True), (False, True)), ((True, False), (True, False))],
)
def test_terminated_wins(ends, mended):
    said = {"say": "no tree", "seed": 0}
    assert episode(adapters.gymnasium(GUESS, ends=ends), **said)[-1][2:4] == mended
    assert episode(adapters.gymnasium(GUESS, ends=ends, mend=False), **said)[-1][2:4] == ends


def test_a_cut_episode_may_succeed_and_is_then_terminated():
    env = adapters.gymnasium(GUESS, ends=(False, True), success=0.0)
    last = episode(env, 0, "no tree")[-1]
    assert last[2:4] == (True, False)
    assert last[4]["success"]


def test_the_librarys_limit_does_not_outlive_the_episode():
    env = adapters.gymnasium(GUESS, ends=(False, True))
    episode(env, 0, "no tree")
    env.reset(seed=1)
    assert env.max_turns == 64
    assert not env.step("no tree")[3]


def test_numbers_of_the_info_become_parts():
    env = adapters.gymnasium(GUESS, parts=["mood"], reward_weights={"mood": 2.0})
    env.reset(seed=0)
    _, reward, *_, info = env.step("no tree")
    assert info["parts"] == {"reward": 0.0, "mood": 0.5}
    assert reward == 1.0


# ---- showing and reading --------------------------------------------------------------------


def test_names_are_read_wherever_they_stand():
    env = adapters.gymnasium("FrozenLake-v1", is_slippery=False)
    assert env.reset(seed=0)[0] == ("Say one of: left, down, right, up.\n[S]FFF\nFHFH\nFFFH\nHFFG")
    assert env.step("not LEFT, but\nRight!")[0].startswith("  (Right)\nS[F]FF")
    text, _, _, _, info = env.step("downright up-to-date")  # "up" is a word of its own there
    assert text.startswith("  (Up)")
    text, reward, *_, info = env.step("downright")
    assert text == "No action found. Say one of: left, down, right, up."
    assert (reward, info["parse"]) == (0.0, Parse.MALFORMED)


def test_numbers_are_shown_and_read():
    env = adapters.gymnasium("Blackjack-v1", actions=["stay", "card"])
    assert re.fullmatch(r"Say one of: stay, card\.\n\d+ \d+ [01]", env.reset(seed=1)[0])
    show = {"show": "foreign_games:brightest"}
    env = adapters.gymnasium("foreign_games:foreign/Pixels-v0", **show)
    assert env.reset(seed=0)[0].endswith("brightest 0")
    assert env.step("I turn them to 3 and 1")[4]["parse"] is Parse.MALFORMED
    assert env.step("2, 3")[:2] == ("brightest 3", 2.0)
    assert env.expert(np.random.default_rng(0)) in {f"{a} {b}" for a in range(3) for b in range(4)}


def test_a_reader_of_ones_own():
    env = adapters.gymnasium(ODD, how="repeats", read="foreign_games:first_letter")
    env.reset(seed=0)
    assert env.step("")[0] == "No action found. Say an action."
    assert env.step("walk")[0] == "w"


def test_colours_are_told_in_brackets():
    assert ansi("\n\x1b[41mS\x1b[0mF\n") == "[S]F"
    assert ansi("\x1b[34;1mR\x1b[0m \x1b[43m_\x1b[0m") == "[R:blue] [_:yellow]"
    assert value({"a": (1, 2), "b": np.array([0.123456, 1e9])}) == "a: 1 2, b: 0.1235 1e+09"


# ---- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wraps": "FrozenLak-v1"}, "unknown environment 'FrozenLak-v1': did you mean 'FrozenLake"),
        ({"wraps": "no_such:Thing-v0"}, "cannot import 'no_such'"),
        ({"wraps": "foreign_games:foreign/Pixels-v0"}, "no text: say how to show it (show:"),
        ({"wraps": "FrozenLake-v1", "show": "pictures"}, "show='pictures': give text, ansi, value"),
        ({"wraps": "FrozenLake-v1", "show": "math:nothing"}, "cannot be imported"),
        ({"wraps": "FrozenLake-v1", "read": "numbers"}, "say how to read an action (read:"),
        ({"wraps": "FrozenLake-v1", "actions": ["a", "b"]}, "give 4 different names"),
        ({"wraps": GUESS, "actions": ["a"]}, "actions name those of a discrete space"),
        ({"wraps": "FrozenLake-v1", "max_turns": 0}, "max_turns=0: give at least 1"),
        ({"wraps": "FrozenLake-v1", "icy": True}, "cannot be made: TypeError"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        adapters.gymnasium(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "foreign/Odd-v0: reset raised RuntimeError: no board today"),
        ("dictionary", "observes {'board': 1}, no text"),
    ],
)
def test_a_broken_reset_is_one_line(how, message):
    with pytest.raises(EnvError, match=re.escape(message)):
        adapters.gymnasium(ODD, how=how).reset(seed=0)


@pytest.mark.parametrize("data", [{"game": "Other-v0", "seed": 1}, {"game": GUESS}, {"seed": -1}])
def test_a_task_of_another_environment_is_refused(data):
    with pytest.raises(DataError, match="is not one of foreign_games:foreign/Guess-v0"):
        adapters.gymnasium(GUESS).reset(options={"task": data})


@pytest.mark.parametrize("text", ["x" * 2**20, "[" * 2**20, "\x00\ud800", "left " * 2**18])
@pytest.mark.parametrize("wraps", ["FrozenLake-v1", GUESS])
def test_any_text_is_survived(wraps, text):
    env = adapters.gymnasium(wraps)
    env.reset(seed=0)
    assert not env.step(text)[4]["success"]


def test_what_is_repeated_can_be_tokenised():
    env = adapters.gymnasium(ODD, how="repeats")
    env.reset(seed=0)
    assert env.step("a\ud800b")[0] == "a\ufffdb"


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (lambda: adapters.gem("game:GuessTheNumber-v0-easy"), "gem"),
        (lambda: adapters.textarena("Nim-v0"), "textarena"),
        (lambda: adapters.reasoning_gym("leg_counting"), "reasoning_gym"),
    ],
)
def test_a_missing_library_names_its_extra(make, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    extra = package.replace("_", "-")
    with pytest.raises(MissingDependencyError, match=rf"agentrl\[{extra}\]"):
        make()


def test_a_hung_call_loses_the_global_state(monkeypatch):
    monkeypatch.setattr(isolation, "PATIENCE_SECONDS", 0.05)
    before, errors = random.getstate(), []

    def hang():
        try:
            with GlobalRandom(1).swapped("hanging"):
                time.sleep(0.3)
        except EnvError as error:
            errors.append(str(error))

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.02)
    with GlobalRandom(2).swapped("playing"):
        assert random.random() == random.Random(2).random()
    assert random.getstate() == before
    thread.join()
    assert errors == [
        "hanging took over 0.05 s and lost the global random state: its episode would not repeat "
        "itself"
    ]


def test_moves_are_read_from_the_newest_message_that_has_any():
    rng = np.random.default_rng(0)
    heard = ["say [7], for example, from 1 to 9", "[GAME] take [up] or [down] [ ]", "[Player 1] hm"]
    assert {any_move(heard, rng) for _ in range(50)} == {"[up]", "[down]"}
    assert {any_move(heard[:1], rng) for _ in range(200)} == {f"[{n}]" for n in range(10)}
    assert any_move(["hello"], rng) == "[0]"
