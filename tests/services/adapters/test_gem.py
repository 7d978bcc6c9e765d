"""GEM's environments, mended and as they are."""

import random
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("gem") is None:
    pytest.skip("NOT CHECKED HERE: `make env-adapters` installs GEM", allow_module_level=True)

from learning import three_steps
from playing import episode, found, in_threads

from agentrl.envs import adapters
from agentrl.errors import ConfigError, DataError

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("default")]

GUESS, MINES = "game:GuessTheNumber-v0-easy", "game:Minesweeper-v0-easy"
ECHO = "clueless: repeating the observation solves"
CONFORMS = [
    *(MINES, "game:Mastermind-v0-easy", "game:Sudoku-v0-easy", "game:FifteenPuzzle-v0-easy"),
    *("game:TowerofHanoi-v0-easy", "rg:leg_counting", "rg:mini_sudoku"),
]
BOTH = "terminated and truncated are both set after"


@pytest.mark.parametrize("game", CONFORMS)
def test_mended_games_conform(game):
    assert found(lambda: adapters.gem(game)) == set()


def test_games_that_name_a_number_pay_who_repeats_it():
    assert found(lambda: adapters.gem(GUESS)) == {ECHO}


def test_gems_own_violations_show():
    told = found(lambda: adapters.gem(GUESS, mend=False))
    kinds = {finding.split(":")[0] for finding in told}
    raced = {"threads"}  # whose race is not always lost
    assert kinds - raced == {"ends", "others", "global_random", "clueless"}
    assert any(BOTH in finding for finding in told)
    seeds = {finding for finding in told if "reset() changes the state of" in finding}
    assert len(seeds) == 2, "of random and of numpy.random"


def test_a_game_drawn_while_it_is_played_differs_between_twins_unless_mended():
    bare = found(lambda: adapters.gem(MINES, mend=False), rules=("twins", "others"))
    assert {finding.split(":")[0] for finding in bare} == {"twins", "others"}


@pytest.mark.parametrize("game", [GUESS, MINES, "game:Sudoku-v0-easy", "rg:chain_sum"])
def test_16_threads_play_the_episodes_of_one(game):
    def make():
        return adapters.gem(game)

    seeds = [seed % 8 for seed in range(64)]
    assert in_threads(make, seeds) == [episode(make, seed) for seed in seeds]


def test_the_last_turn_is_terminated_alone():
    env, bare = (adapters.gem(GUESS, mend=mend) for mend in (True, False))
    for each, ends in ((env, (True, False)), (bare, (True, True))):
        each.reset(options={"task": {"game": GUESS, "seed": 2}})
        told = [each.step(f"\\boxed{{{11}}}") for _ in range(4)]
        assert told[-1][2:4] == ends


def test_questions_do_not_depend_on_how_many_were_asked():
    env = adapters.gem("rg:leg_counting", size=3)
    first = [env.reset(seed=seed)[0] for seed in range(12)]
    assert [env.reset(seed=seed)[0] for seed in range(12)] == first


def test_hints_for_the_next_turn_are_said_until_the_end():
    env = adapters.gem(MINES)
    assert env.reset(seed=1)[0].endswith("Enter your guess.")
    assert env.step("\\boxed{reveal 2 2}")[0].endswith("Enter your guess.")
    last = env.step("mines?")
    assert last[0] == "At turn 2, you did not provide a valid guess."
    assert last[1:3] == (-0.1, True)


def test_experts_say_gems_random_actions_or_examples():
    for game in ("TowerofHanoi-v0-easy", "FifteenPuzzle-v0-easy", "Sudoku-v0-easy"):
        env = adapters.gem(f"game:{game}")
        env.reset(seed=0)
        assert "\\boxed{" in env.expert(np.random.default_rng(0))
    random.seed(0)
    before = random.getstate()
    episode(lambda: adapters.gem("game:Sudoku-v0-easy"), 0)
    episode(lambda: adapters.gem("game:Mastermind-v0-random"), 0)
    assert random.getstate() == before


@pytest.mark.parametrize(
    ("game", "error", "message"),
    [
        ("game:GuessTheNumber-v0", ConfigError, "did you mean 'game:GuessTheNumber-v0-"),
        ("zzz", ConfigError, "unknown GEM environment 'zzz': it has"),
        ("game:Hangman-v0-easy", DataError, "needs a word list of nltk"),
        ("game:Crosswords-v0-random", ConfigError, "cannot be made: ValueError: No words found"),
    ],
)
def test_what_cannot_be_played_is_one_line(game, error, message):
    with pytest.raises(error, match=message) as caught:
        adapters.gem(game)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 2**20, "\\boxed{" * 2**17, "\\boxed{" + "9" * 5000 + "}"])
def test_a_megabyte_is_survived(text):
    env = adapters.gem(GUESS)
    env.reset(seed=0)
    assert not env.step(text)[4]["success"]


def test_the_tiny_model_trains_on_a_game(tmp_path):
    warm = {"episodes": 32, "steps": 30, "batch": 16, "lr": 1e-2}
    env = {"id": "agentrl/Gem-v0", "game": GUESS}
    steps = three_steps(tmp_path, env, warm_start=warm, limits={"turn_tokens": 12})
    assert all(row["train/failed_episodes"] == 0 for row in steps)
