"""All of TextWorld's families: their games are made, are the same ones again, and can be won."""

import pytest

from agentrl.conformance import check_environment
from agentrl.env import make
from agentrl.envs.textworld import TextWorld
from agentrl.envs.textworld.games import checked, made

pytestmark = pytest.mark.service
pytest.importorskip("textworld")
LEVELS = [
    *("w2-o3-q4", "w4-o6-q8", "coin-5", "coin-120", "treasure-5", "treasure-22"),
    *("cooking-1", "cooking-2", "cooking-3", "cooking-4", "cooking-recipe2-take2-go6-cut-drop"),
    *("simple-dense-brief", "simple-sparse-detailed"),
]
ASTRAY = {"cooking-4": ["go west", "go north", "look", "open fridge", "close fridge"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder of made games."""
    return tmp_path_factory.mktemp("games")


def win(env):
    """The rewards of the oracle from here on."""
    rewards, over = [], False
    while not over:
        _, reward, terminated, truncated, info = env.step(env.oracle())
        rewards.append(reward)
        over = terminated or truncated
    assert info["success"]
    return rewards


@pytest.mark.parametrize("name", LEVELS)
def test_the_oracle_wins_every_family(name, cache):
    env = make("agentrl/TextWorld-v0", levels=name, cache=str(cache), rewards="dense")
    env.reset(options={"task": {"level": name, "seed": 7}})
    assert sum(win(env)) == pytest.approx(1)
    env.close()


@pytest.mark.parametrize("name", ["cooking-4", "coin-5", "treasure-22", "simple-dense-brief"])
def test_the_oracle_finds_its_way_back(name, cache):
    env = make("agentrl/TextWorld-v0", levels=name, cache=str(cache), max_turns=200)
    _, info = env.reset(options={"task": {"level": name, "seed": 7}})
    for _ in range(4):  # what can be taken back: doors, ways and things
        verbs = ("go ", "open ", "take ", "look")
        away = [text for text in info["admissible"] if text.startswith(verbs)]
        info = env.step(away[-1])[4]
    assert win(env)[-1] == 1
    env.close()


@pytest.mark.parametrize("name", ["w2-o3-q4", "cooking-4"])
def test_a_level_and_a_seed_are_one_game(name, cache, tmp_path):
    first, again = (made(name, 7, folder) for folder in (cache, tmp_path))
    assert first.key == again.key
    assert (
        first.path.with_suffix(".json").read_bytes() == again.path.with_suffix(".json").read_bytes()
    )
    assert checked(first.path)


@pytest.mark.parametrize("name", list(TextWorld.variants()))
def test_it_conforms(name, cache):
    arguments = {**TextWorld.variants()[name], "cache": str(cache)}
    assert check_environment(lambda: make("agentrl/TextWorld-v0", **arguments), tasks=2) == []
