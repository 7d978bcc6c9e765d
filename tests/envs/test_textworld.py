"""TextWorld's games as an environment: observations, rewards and players, in real games."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from agentrl.algorithms.practitioner_guide import dense_shares
from agentrl.env import make
from agentrl.envs.textworld.games import checked, made, place
from agentrl.errors import ConfigError, DataError, EnvError
from agentrl.types import Parse

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("textworld"), reason="NOT CHECKED HERE: needs agentrl[textworld]"
)
TASK = {"task": {"level": "w2-o3-q4", "seed": 1, "split": "test"}}
WAY = [
    "take type J keycard from mantle",
    "unlock type J chest with type J keycard",
    "open type J chest",
    "take desktop computer from type J chest",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder of made games that the module's tests share."""
    return str(tmp_path_factory.mktemp("games"))


@pytest.fixture(scope="module")
def started(cache):
    """Makes environments that have begun the same game; one worker process plays them all."""
    envs = []

    def start(options=TASK, **arguments):
        settings = {"cache": cache, "num_workers": 1, "train_seeds": (2, 3), "test_seeds": (1, 1)}
        envs.append(make("agentrl/TextWorld-v0", **settings | arguments))
        envs[-1].first = envs[-1].reset(options=options)
        return envs[-1]

    yield start
    for env in envs:
        env.close()


def played(env, speak):
    """What an episode earned turn by turn, and its last info."""
    rewards, over = [], False
    while not over:
        _, reward, terminated, truncated, info = env.step(speak(env))
        rewards.append(reward)
        over = terminated or truncated
    return rewards, info


def test_a_game_is_told_and_won(started):
    env = started()
    text, info = env.first
    assert text.startswith("You are now playing a life changing session of TextWorld!")
    assert "-= Studio =-" in text
    assert "take type J keycard from mantle" in info["admissible"]
    assert env.max_turns == 12
    rewards, info = played(env, lambda env: env.oracle())
    assert (rewards, info["success"]) == ([0, 0, 0, 1], True)


def test_what_is_shown_is_chosen(started):
    bare = started(show=["inventory"], admissible="shown", hide=["examine", "look", "inventory"])
    assert bare.first[0] == "You are carrying nothing.\ngo north\ntake type J keycard from mantle"
    text = bare.step(WAY[0])[0]
    assert text.startswith("You are carrying: a type J keycard.")
    assert "You take" not in text
    full = started(show=["said", "description"])
    assert "First step" not in full.first[0]
    assert full.first[0].count("-= Studio =-") == 1
    text = full.step("inventory")[0]
    assert text.startswith("You are carrying nothing.\n-= Studio =-")


def test_a_command_can_be_answered_by_its_number(started):
    hide = ["examine", "look", "inventory"]
    env = started(answer="number", admissible="shown", show=["inventory"], hide=hide)
    assert env.first[0].endswith("\n1 go north\n2 take type J keycard from mantle")
    assert env.oracle() == "2"
    assert env.step("3")[4]["parse"] is Parse.MALFORMED
    assert env.step("2")[0].startswith("You are carrying: a type J keycard.")
    assert played(env, lambda env: env.oracle())[1]["success"]
    with pytest.raises(ConfigError, match="needs admissible='shown'"):
        make("agentrl/TextWorld-v0", answer="number")


def test_turns_are_limited_by_level(started):
    env = started(max_turns={"w2-o3-q4": 2}, levels={"w2-o3-q4": 1.0})
    assert [env.step("look")[2:4] for _ in range(2)] == [(False, False), (False, True)]
    assert started(max_turns={"coin-1": 2}).max_turns == 12


def test_admissible_commands_can_be_left_out(started):
    env = started(admissible="none")
    assert "admissible" not in env.first[1]
    assert env.expert(np.random.default_rng(0))


@pytest.mark.parametrize("arguments", [{}, {"pay": "end"}])
def test_progress_adds_up_to_one(started, arguments):
    env = started(rewards="progress", **arguments)
    rewards, _ = played(env, lambda env: env.oracle())
    assert sum(rewards) == pytest.approx(1)
    assert (rewards[0] > 0) == (not arguments)


def test_moving_away_costs_progress(started):
    env = started(rewards="progress", max_turns=2)
    assert env.step("go north")[1] == pytest.approx(-0.25)
    assert env.step("go south")[1] == pytest.approx(0.25)


class Scripted:
    """A game of four commands with two points, as TextWorld would tell it."""

    def __init__(self, won):
        told = {"said": "", "lost": False, "max_score": 2, "objective": "", "walkthrough": ["a"]}
        scores = [(0, False), (1, False), (1, False), (1 + won, won)]
        self.states = [told | {"score": score, "won": won} for score, won in scores]

    def begin(self):
        return {**self.states[0], "score": 0}

    def step(self, command):
        return self.states.pop(0)

    def end(self):
        pass


@pytest.mark.parametrize(
    ("rewards", "won", "paid"),
    [
        ("points", True, [0, 1, 0, 1]),
        ("dense", True, [0, 0.5, 0, 0.5]),
        ("sparse", True, [0, 0, 0, 1]),
        ("points", False, [0, 1, 0, 0]),
        ("sparse", False, [0, 0, 0, 0]),
    ],
)
def test_rewards_lie_on_the_turns_that_earn_them(started, monkeypatch, rewards, won, paid):
    env = started(rewards=rewards, admissible="none", max_turns=4)
    monkeypatch.setattr(type(env.backing), "game", lambda self, request: Scripted(won))
    env.reset(options=TASK)
    earned, info = played(env, lambda env: "wait")
    assert (earned, info["success"]) == (paid, won)
    if rewards == "points":  # the guide's golden numbers
        assert dense_shares(earned, won, 1.0) == ([0, 0.5, 0, 0.5] if won else paid)


def test_the_oracle_wins_from_wherever_the_player_went(started):
    env = started()
    for text in ("go north", "dance", "go south", WAY[0], "drop type J keycard"):
        env.step(text)
    assert env.oracle() == "take type J keycard"
    assert played(env, lambda env: env.oracle())[1]["success"]


def test_the_expert_errs_as_often_as_it_is_told(started):
    env, rng = started(expert_noise=0.0), np.random.default_rng(0)
    assert [env.expert(rng) for _ in range(5)] == WAY[:1] * 5
    env.expert_noise = 1.0
    assert {env.expert(rng) for _ in range(60)} == set(env.first[1]["admissible"])


@pytest.mark.parametrize("text", ["", "restart", "é" * 9, "tw-print state"])
def test_what_is_no_command_costs_a_turn_and_nothing_else(started, text):
    env = started()
    said, reward, _, _, info = env.step(text)
    assert (said, reward, info["parse"]) == ("I beg your pardon?", 0, Parse.MALFORMED)
    assert env.oracle() == WAY[0]


def test_threads_play_the_same_game(started, cache):
    threads, processes = started(workers="threads"), started()
    for text in (*WAY[:2], "go north", "inventory"):
        assert threads.step(text) == processes.step(text)
    assert threads.oracle() == processes.oracle() == "go south"


def test_tasks_are_made_before_they_are_handed_out(started, cache):
    env = started()
    tasks = env.tasks("train", 9, seed=0)
    assert sorted(task.data["seed"] for task in tasks) == [2, 3]
    assert {task.split for task in tasks} == {"train"}
    assert all(place("w2-o3-q4", seed, Path(cache)).path.exists() for seed in (2, 3))


@pytest.mark.parametrize(
    ("ending", "damaged"),
    [
        (".z8", lambda whole: whole[:1000]),
        (".z8", lambda whole: whole[:-1] + b"x"),
        (".json", lambda whole: b"{}"),
    ],
)
def test_a_damaged_cache_is_made_again(started, tmp_path, cache, ending, damaged):
    shutil.copytree(cache, tmp_path / "copy")
    path = made("w2-o3-q4", 1, tmp_path / "copy").path.with_suffix(ending)
    path.write_bytes(damaged(path.read_bytes()))
    assert started(cache=str(tmp_path / "copy")).first == started().first


def test_files_are_known_by_their_content(started, tmp_path, cache):
    game = made("w2-o3-q4", 1, Path(cache))
    for name in ("one", "two"):
        for ending in (".z8", ".json"):
            shutil.copy(game.path.with_suffix(ending), tmp_path / f"{name}{ending}")
    env = started(options=None, files=str(tmp_path / "one.z8"), test_files=str(tmp_path / "two.z8"))
    assert env.first == started().first
    assert list(env.source.games) == [checked(game.path).key]


def test_files_may_be_named_from_wherever_one_is(started, tmp_path, cache, monkeypatch):
    game, first = made("w2-o3-q4", 1, Path(cache)), started().first
    for ending in (".z8", ".json"):
        shutil.copy(game.path.with_suffix(ending), tmp_path / f"one{ending}")
    monkeypatch.chdir(tmp_path)
    assert started(options=None, files="one.z8").first == first


def test_a_game_that_cannot_be_made_is_an_environment_error(started):
    with pytest.raises(EnvError, match="cannot make coin-1 with seed -1: Seed must be"):
        started(options={"task": {"level": "coin-1", "seed": -1}})


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"levels": "w2-o3"}, ConfigError, "write it like w2-o3-q4"),
        ({"levels": "coin-1", "files": "x.z8"}, ConfigError, "exclude each other"),
        ({"show": ["objectives"]}, ConfigError, "did you mean 'objective'"),
        ({"rewards": "rich"}, ConfigError, "unknown 'rich'"),
        ({"reward_weights": {"won": 1}}, ConfigError, "unknown 'won'"),
        ({"files": "/nowhere/*.z8"}, DataError, "there is no file"),
        ({"files": []}, ConfigError, "names no game"),
        ({"test_files": "x.z8"}, ConfigError, "test_files needs files"),
        ({"test_levels": "coin-1", "files": "x.z8"}, ConfigError, "test_levels and files exclude"),
        ({"admissible": "show"}, ConfigError, "admissible: unknown 'show'; did you mean 'shown'"),
        ({"answer": "numbers"}, ConfigError, "answer: unknown 'numbers'; did you mean 'number'"),
        ({"workers": "thread"}, ConfigError, "workers: unknown 'thread'; did you mean 'threads'"),
        ({"pay": "last"}, ConfigError, "pay: unknown 'last'; known: end, turn"),
        ({"num_workers": 0}, ConfigError, "num_workers=0: give at least 1"),
        ({"ahead": -1}, ConfigError, "ahead=-1: give at least 0"),
        ({"max_turns": 0}, ConfigError, "max_turns=0: give at least 1"),
        ({"max_turns": {"coin-1": -5}}, ConfigError, "max_turns.coin-1=-5: give at least 1"),
        ({"step_seconds": float("nan")}, ConfigError, "step_seconds=nan: give more than 0"),
        ({"make_seconds": 0}, ConfigError, "make_seconds=0: give more than 0"),
        ({"reward_weights": {"solved": float("inf")}}, ConfigError, "solved=inf: give a finite"),
    ],
)
def test_arguments_that_cannot_run_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        make("agentrl/TextWorld-v0", **arguments)


@pytest.mark.parametrize(
    "data", [{"a": 1}, {"level": "coin-1"}, {"level": "coin-1", "seed": "1"}, {"file": "0123"}]
)
def test_a_task_that_is_no_game_is_refused(started, data):
    with pytest.raises(DataError, match=r"is no game: give a level and a seed, or files="):
        started(options={"task": data})
