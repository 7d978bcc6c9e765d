"""TextArena's games: alone, against a player, against oneself."""

from importlib.util import find_spec

import pytest

if find_spec("textarena") is None:
    pytest.skip("NOT CHECKED HERE: `make env-adapters` installs it", allow_module_level=True)

from learning import three_steps
from playing import episode, found, in_threads

from agentrl.envs import adapters
from agentrl.errors import ConfigError, DataError

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("default")]

ECHO = "clueless: repeating the observation solves"
EXPECTED = {
    "GuessTheNumber-v0": set(),
    "FrozenLake-v0-random": set(),
    "Mastermind-v0": set(),
    "Minesweeper-v0-small": set(),
    "TowerOfHanoi-v0": set(),
    "KuhnPoker-v0-short": set(),
    "TicTacToe-v0": {ECHO},  # the first move named is a legal one, and the opponent plays at random
}
"""What conformance finds, game by game."""


@pytest.mark.parametrize("game", EXPECTED)
def test_games_conform_as_expected(game):
    assert found(lambda: adapters.textarena(game)) == EXPECTED[game]


def test_against_oneself_the_same_texts_win_and_lose():
    told = found(lambda: adapters.textarena("TicTacToe-v0", opponent="self"))
    assert {finding.split(" ")[0] for finding in told} == {"clueless:"}


def test_the_librarys_own_violations_show():
    rules = ("global_random", "others")
    bare = found(lambda: adapters.textarena("FrozenLake-v0-random", mend=False), rules=rules)
    assert "global_random: reset() changes the state of random" in " ".join(bare)


@pytest.mark.parametrize(
    ("game", "options"),
    [("Minesweeper-v0-small", {}), ("TicTacToe-v0", {}), ("KuhnPoker-v0", {"opponent": "self"})],
)
def test_16_threads_play_the_games_of_one(game, options):
    def make():
        return adapters.textarena(game, **options)

    seeds = [seed % 8 for seed in range(64)]
    assert in_threads(make, seeds) == [episode(make, seed) for seed in seeds]


def test_an_observation_is_the_news_alone():
    env = adapters.textarena("GuessTheNumber-v0")
    first, info = env.reset(seed=4)
    assert first.startswith("You are Player 0. You are playing Guess The Number.")
    assert (info["player"], info["learner"]) == (0, 0)
    texts = [env.step(say)[0] for say in ("[20]", "1")]  # brackets are added
    assert set(texts) <= {"The target number is lower.", "The target number is higher."}
    assert env.reset(seed=4)[0] == first


@pytest.mark.parametrize("player", [0, 1])
def test_the_learner_sits_where_it_is_told(player):
    env = adapters.textarena("TicTacToe-v0", player=player, opponent=["[0]", "[1]", "[2]"])
    text, info = env.reset(seed=0)
    assert f"You are Player {player}" in text
    assert ("Player 1 placed" in text, "Player 0 placed" in text) == (False, player == 1)
    assert info["player"] == info["learner"] == player
    told = [env.step(say) for say in ("[4]", "[3]", "[5]")[: 3 - player]]
    assert told[0][0].count("placed their symbol") == 2
    assert told[-1][1:3] == ((1.0, True) if player == 0 else (-1.0, True))


def test_seats_are_drawn_with_the_task():
    env = adapters.textarena("TicTacToe-v0")
    seats = [env.reset(options={"task": task})[1]["learner"] for task in env.tasks("train", 40, 0)]
    assert 10 < sum(seats) < 30


def test_with_opponent_self_both_sides_step():
    env = adapters.textarena("TicTacToe-v0", opponent="self", player=1)
    players = [env.reset(seed=0)[1]["player"]]
    told = [env.step(f"[{cell}]") for cell in (0, 3, 1, 4, 8, 5)]
    players += [step[4]["player"] for step in told[:-1]]
    assert players == [0, 1, 0, 1, 0, 1]
    assert told[-1][1:3] == (1.0, True)
    assert told[-1][4]["success"]


@pytest.mark.parametrize(
    ("game", "options", "error", "message"),
    [
        ("TicTacTo-v0", {}, ConfigError, "unknown game 'TicTacTo-v0': did you mean 'TicTacToe-v0"),
        ("Wordle-v0", {}, DataError, "needs a word list of nltk"),
        ("Chess-v0", {"no": 1}, ConfigError, "cannot be made"),
        ("TicTacToe-v0", {"opponent": "clever"}, ConfigError, "opponent='clever': give random"),
        ("TicTacToe-v0", {"size": 4}, ConfigError, "cannot be made: TypeError"),
    ],
)
def test_what_cannot_be_played_is_one_line(game, options, error, message):
    with pytest.raises(error, match=message) as caught:
        adapters.textarena(game, **options)
    assert "\n" not in str(caught.value)


def test_a_game_for_more_players_is_refused():
    with pytest.raises(ConfigError, match="games for three or more are not supported"):
        adapters.textarena("ThreePlayerTicTacToe-v0")


def test_the_number_of_players_may_be_told():
    assert adapters.textarena("QuantumTicTacToe-v0", players=2).players == 2
    with pytest.raises(ConfigError, match="cannot be made: AssertionError"):
        adapters.textarena("TicTacToe-v0", players=1)


@pytest.mark.parametrize("text", ["word " * 200_000, "[" * 2**20, f"[{'9' * 2**20}]"])
@pytest.mark.parametrize("game", ["ConnectFour-v0", "GuessTheNumber-v0"])
def test_a_megabyte_is_survived(game, text):
    env = adapters.textarena(game)
    env.reset(seed=0)
    assert not env.step(text)[4]["success"]


def test_games_do_not_print(capsys):
    episode(lambda: adapters.textarena("LogicPuzzle-v0"), 0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("env", "sections"),
    [
        ({"game": "GuessTheNumber-v0"}, {}),
        ({"game": "Nim-v0", "opponent": "self"}, {"agent": {"name": "selfplay"}}),
    ],
)
def test_the_tiny_model_trains_on_a_game(tmp_path, env, sections):
    warm = {"episodes": 32, "steps": 30, "batch": 16, "lr": 1e-2}
    settings = {"warm_start": warm, "limits": {"turn_tokens": 6}, **sections}
    env |= {"max_turns": 6}
    steps = three_steps(tmp_path, {"id": "agentrl/TextArena-v0", **env}, **settings)
    assert all(row["train/failed_episodes"] == 0 for row in steps)
