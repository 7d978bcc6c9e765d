"""The simulator and the reference, side by side: the same texts, commands and ends.

`make env-alfworld` installs the reference, whose planner is GPL, in an environment of its own; it
runs there and is asked over a pipe. AGENTRL_ALFWORLD_GAMES is how many games of each task type and
kind are walked (2).
"""

import json
import os
import subprocess
from pathlib import Path
from random import Random

import pytest
from alfworld_walks import Player, Winner, rules_of, thorlike, twisted

from agentrl.envs.alfworld.game import TASKS
from agentrl.envs.alfworld.pddl import read_game, write_game
from agentrl.envs.alfworld.rooms import make_game
from agentrl.envs.alfworld.rules import Rules
from agentrl.envs.alfworld.world import World

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("AGENTRL_ALFWORLD_PYTHON", ROOT / ".venv-alfworld" / "bin" / "python"))
GAMES = int(os.environ.get("AGENTRL_ALFWORLD_GAMES", "2"))
STEPS = 30
pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(
        not PYTHON.is_file(),
        reason="NOT CHECKED HERE: the reference is installed by `make env-alfworld`",
    ),
]


class Reference:
    """The reference in its own process."""

    def __init__(self, *options):
        script = Path(__file__).with_name("alfworld_stepper.py")
        command = [PYTHON, script, *options]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes)

    def ask(self, **what):
        """(text, won, admissible commands) after a load or a step."""
        print(json.dumps(what), file=self.process.stdin, flush=True)
        told = json.loads(self.process.stdout.readline())
        return told["text"], told["won"], told["admissible"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def reference():
    told = Reference("--remember")
    yield told
    told.close()


def installed():
    """The rules of the package beside that Python, which is not ours."""
    ask = "from importlib.util import find_spec; print(find_spec('alfworld').origin)"
    found = subprocess.check_output([PYTHON, "-c", ask], text=True)
    data = Path(found.strip()).parent / "data"
    return Rules((data / "alfred.pddl").read_text(), (data / "alfred.twl2").read_text())


@pytest.fixture(scope="module")
def rules():
    return installed()


def walk(reference, path, player, steps=STEPS):
    """Play a game file on both sides, which must say the same; whether it was ever won."""
    world = World(read_game(path))
    assert reference.ask(load=str(path)) == (world.reset(), world.won, world.admissible())
    won = False
    for _ in range(steps):
        command = player.command(world)
        told = world.step(command)
        ours = (told.text, told.won, world.admissible())
        assert reference.ask(step=command) == ours, command
        won |= told.won
    return won


def games(task, size, seeds=GAMES):
    return [make_game(task, seed, size) for seed in range(seeds)]


@pytest.mark.parametrize("task", TASKS)
def test_erratic_players_see_the_same(reference, rules, task, tmp_path):
    for seed, game in enumerate(games(task, "small")):
        walk(reference, write_game(game, tmp_path, rules), Player(Random(seed)))


@pytest.mark.parametrize("task", TASKS)
def test_odd_households_are_the_same(reference, rules, task, tmp_path):
    for seed, plain in enumerate(games(task, "small")):
        game = twisted(plain, Random(seed))
        path = write_game(game, tmp_path, rules_of(rules, game.release))
        walk(reference, path, Player(Random(seed)))


@pytest.mark.parametrize("task", TASKS)
def test_files_of_other_ids_are_the_same(reference, rules, task, tmp_path):
    for seed, plain in enumerate(games(task, "small")):
        game = twisted(plain, Random(seed))
        path = write_game(game, tmp_path, rules_of(rules, game.release))
        data = json.loads(path.read_text())
        data["pddl_problem"] = thorlike(data["pddl_problem"], Random(seed))
        path.write_text(json.dumps(data))
        walk(reference, path, Player(Random(seed)))


@pytest.mark.parametrize("task", TASKS)
def test_planned_games_are_won_on_both_sides(reference, rules, task, tmp_path):
    for seed, game in enumerate(games(task, "official", seeds=1)):
        assert walk(reference, write_game(game, tmp_path, rules), Winner(Random(seed)), 40)
