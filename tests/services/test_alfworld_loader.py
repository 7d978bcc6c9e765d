"""Our reading of ALFWorld's data beside its own loader's: the same games, none more, none less."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from agentrl.envs.alfworld import official
from agentrl.envs.alfworld.env import AlfWorld
from agentrl.envs.alfworld.game import TASKS
from agentrl.envs.alfworld.pddl import write_game
from agentrl.envs.alfworld.rooms import make_game
from agentrl.envs.alfworld.rules import Rules

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("AGENTRL_ALFWORLD_PYTHON", ROOT / ".venv-alfworld" / "bin" / "python"))
MODES = {
    "train": "train",
    "valid_seen": "eval_in_distribution",
    "valid_unseen": "eval_out_of_distribution",
}
pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(
        not PYTHON.is_file(),
        reason="NOT CHECKED HERE: the reference is installed by `make env-alfworld`",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Games of every type in every split, with all that makes a trial none beside them."""
    root = tmp_path_factory.mktemp("alfworld")
    found = [PYTHON, "-c", "import alfworld; print(alfworld.__path__[0])"]
    data = Path(subprocess.check_output(found, text=True).split("\n")[-2]) / "data"
    rules = Rules((data / "alfred.pddl").read_text(), (data / "alfred.twl2").read_text())
    for number, split in enumerate(official.SPLITS):
        for task in TASKS:
            for name in ("Mug-None-Desk-1", "BreadSliced-None-Desk-1", "no_game", "unsolvable"):
                trial = root / official.RELEASE / split / f"{task}-{name}" / f"trial_{number}"
                spoil(write_game(make_game(task, number, "small"), trial, rules), name)
        movable = (
            root / official.RELEASE / split / "pick_and_place_with_movable_recep-Mug" / "trial"
        )
        write_game(make_game(TASKS[0], number, "small"), movable, rules)
    return root


def spoil(path, name):
    """Make a trial what its name says."""
    if name == "no_game":
        path.unlink()
    if name == "unsolvable":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"solvable": False}))


@pytest.mark.parametrize("split", official.SPLITS)
def test_the_same_games_are_found(folder, split):
    script = Path(__file__).with_name("alfworld_loader.py")
    told = subprocess.run(
        [PYTHON, script, folder, MODES[split]], capture_output=True, text=True, check=True
    )
    ours = official.collect(folder / official.RELEASE, split)
    assert sorted(ours.trials) == json.loads(told.stdout.splitlines()[-1])
    assert len(ours.trials) == 6
    assert sum(ours.skipped.values()) == 19


def test_games_with_the_true_rules_are_won_by_both_players(folder):
    env = AlfWorld(source="official", folder=str(folder))
    for task in [*env.tasks("train", 9, 0), *env.tasks("test", 9, 0)]:
        for name in ("oracle", "expert"):
            env.reset(seed=0, options={"task": task})
            speak = {"oracle": env.oracle, "expert": lambda: env.expert(env.np_random)}[name]
            while not env.world.won and env.turn < env.max_turns:
                _, _, _, _, info = env.step(speak())
            assert info["success"], (name, task.data)
