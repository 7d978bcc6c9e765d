"""ALFWorld's own data: which folders are games, their splits and people's goals."""

import json

import pytest

from agentrl.conformance import check_environment
from agentrl.env import make
from agentrl.envs.alfworld import official, rules
from agentrl.envs.alfworld.env import AlfWorld
from agentrl.envs.alfworld.game import TASKS
from agentrl.envs.alfworld.pddl import write_game
from agentrl.envs.alfworld.rooms import make_game
from agentrl.errors import DataError
from agentrl.types import Group

STANDIN = rules.Rules("(define (domain alfred))", '"rhs": "Your task is to: UNKNOWN GOAL."')
"""A game's file carries rules that the simulator only recognises: here they say next to nothing."""
PEOPLE = ["Warm up an egg,\n put it away.", "Heat an egg."]


@pytest.fixture
def known_rules(monkeypatch):
    """Let the stand-in count as the rules that the simulator plays."""
    monkeypatch.setitem(rules.RELEASES, rules.identities(STANDIN), "0.4")


@pytest.fixture
def folder(known_rules, tmp_path):
    """Data in the official form: three games of each type in `train`, one in the others."""
    for split, seeds in (("train", (0, 1, 2)), ("valid_seen", (3,)), ("valid_unseen", (4,))):
        for task in TASKS:
            for seed in seeds:
                _written(tmp_path, split, task, seed)
    return tmp_path


def _written(root, split, task, seed):
    game = make_game(task, seed, "tiny")
    goal = game.goal
    name = f"{task}-{goal.item}-None-{goal.receptacle or goal.lamp}-{seed}"
    trial = root / official.RELEASE / split / name / f"trial_{seed}"
    write_game(game, trial, STANDIN)
    _change(trial / "traj_data.json", turk_annotations={"anns": [{"task_desc": t} for t in PEOPLE]})
    return trial


def _change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_the_three_splits_are_the_official_ones(folder):
    env = AlfWorld(source="official", folder=str(folder))
    seen = AlfWorld(source="official", folder=str(folder), test="valid_seen")
    assert len(env.tasks("train", 99, 0)) == 18
    assert {task.data["game"].split("/")[0] for task in env.tasks("test", 99, 0)} == {
        "valid_unseen"
    }
    assert {task.data["game"].split("/")[0] for task in seen.tasks("test", 99, 0)} == {"valid_seen"}
    assert env.tasks("test", 99, 0)[0].split == "test"


def test_the_order_follows_from_the_seed(folder):
    env = AlfWorld(source="official", folder=str(folder))
    assert env.tasks("train", 5, 1) == env.tasks("train", 5, 1) == env.tasks("train", 18, 1)[:5]
    assert env.tasks("train", 18, 1) != env.tasks("train", 18, 2)


def test_the_folder_may_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(folder))
    assert len(AlfWorld(source="official").tasks("test", 99, 0)) == 6
    monkeypatch.setenv("ALFWORLD_DATA", str(folder / official.RELEASE))
    assert len(AlfWorld(source="official").tasks("test", 99, 0)) == 6


def test_official_games_conform(folder):
    arguments = {"source": "official", "folder": str(folder), "max_turns": 12}
    assert check_environment(lambda: make("agentrl/AlfWorld-v0", **arguments), tasks=2) == []


def test_a_game_plays_as_the_one_that_was_written(folder):
    env = AlfWorld(source="official", folder=str(folder), types=["pick_heat_then_place_in_recep"])
    (task,) = env.tasks("test", 99, 0)
    made = AlfWorld().reset(
        options={
            "task": {
                "task": task.data["game"].split("/")[1].split("-")[0],
                "size": "tiny",
                "seed": 4,
            }
        }
    )
    assert env.reset(options={"task": task}) == made


def test_people_may_say_the_goal(folder):
    env = AlfWorld(source="official", folder=str(folder), goals="human")
    said = [env.reset(options={"task": task})[0] for task in env.tasks("train", 99, 0)]
    goals = {text.rpartition("Your task is to: ")[2] for text in said}
    assert goals == {"Warm up an egg, put it away.", "Heat an egg."}
    assert said == [env.reset(options={"task": task})[0] for task in env.tasks("train", 99, 0)]


@pytest.mark.parametrize(
    ("file", "entries", "reason"),
    [
        ("game.tw-pddl", {"solvable": False}, "unsolvable"),
        ("game.tw-pddl", {"solvable": None}, "not tried for solvability"),
        ("traj_data.json", {"task_type": "pick_and_place_with_movable_recep"}, "other task type"),
    ],
)
def test_what_is_no_game_is_counted(folder, file, entries, reason):
    first = sorted((folder / official.RELEASE / "train").glob("*/*"))[0]
    _change(first / file, **entries)
    found = AlfWorld(source="official", folder=str(folder)).collection("train")
    assert (len(found.trials), found.skipped) == (17, {reason: 1})


def test_sliced_movable_and_missing_games_are_left_out(folder):
    train = folder / official.RELEASE / "train"
    first, second, third = sorted(train.glob("*/*"))[:3]
    first.parent.rename(train / "pick_and_place_simple-BreadSliced-None-Fridge-1")
    second.parent.rename(train / "pick_and_place_with_movable_recep-Egg-Pan-Fridge-1")
    (third / "game.tw-pddl").unlink()
    found = AlfWorld(source="official", folder=str(folder)).collection("train")
    reasons = {"movable receptacle": 1, "sliced object": 1, "without game.tw-pddl": 1}
    assert (len(found.trials), found.skipped) == (15, reasons)


def test_a_result_says_what_was_left_out(folder):
    env = AlfWorld(source="official", folder=str(folder), types=[TASKS[0]])
    groups = [Group(task=task, episodes=()) for task in env.tasks("test", 9, 0)]
    scores = env.scores(groups)
    assert scores["setting"]["games_of"] == ["valid_unseen"]
    assert scores["left_out"] == {"valid_unseen": {"other task type": 5}}


def test_without_data_one_line_says_where_it_comes_from(monkeypatch, tmp_path):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(DataError, match=r"ALFWORLD_DATA is not set.*alfworld-download.*generated"):
        AlfWorld(source="official")
    with pytest.raises(DataError, match=r"has no json_2.1.1/train.*ALFWORLD_DATA"):
        AlfWorld(source="official", folder=str(tmp_path))


def test_records_without_games_are_told(tmp_path):
    trial = (
        tmp_path / official.RELEASE / "train" / "pick_and_place_simple-Mug-None-Desk-1" / "trial_1"
    )
    trial.mkdir(parents=True)
    (trial / "traj_data.json").write_text('{"task_type": "pick_and_place_simple"}')
    env = AlfWorld(source="official", folder=str(tmp_path))
    with pytest.raises(DataError, match=r"no game in .*train' \(1 without game.tw-pddl\)"):
        env.tasks("train", 1, 0)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_broken_file_is_named(folder, text):
    first = sorted((folder / official.RELEASE / "train").glob("*/*"))[0]
    (first / "game.tw-pddl").write_text(text)
    with pytest.raises(DataError, match=r"game.tw-pddl: .*download it again"):
        AlfWorld(source="official", folder=str(folder)).tasks("train", 1, 0)


def test_an_official_task_needs_the_data(folder):
    task = AlfWorld(source="official", folder=str(folder)).tasks("test", 1, 0)[0]
    with pytest.raises(DataError, match="play it with source: official"):
        AlfWorld().reset(options={"task": task})


@pytest.mark.parametrize("people", [None, [], {"anns": None}, {"anns": ["Heat an egg."]}])
def test_a_record_of_other_values_is_named(folder, people):
    first = sorted((folder / official.RELEASE / "train").glob("*/*"))[0]
    _change(first / "traj_data.json", turk_annotations=people)
    with pytest.raises(DataError, match=r"traj_data.json: turk_annotations is .*download it again"):
        AlfWorld(source="official", folder=str(folder)).tasks("train", 1, 0)


def test_a_task_without_a_split_is_played(folder):
    env = AlfWorld(source="official", folder=str(folder), goals="human")
    task = env.tasks("train", 1, 0)[0]
    told = env.reset(options={"task": {"game": task.data["game"]}})
    assert told == env.reset(options={"task": task})
    other = AlfWorld(source="official", folder=str(folder), goals="human", types=TASKS[:1])
    with pytest.raises(DataError, match=r"is no game of .* the types pick_and_place_simple"):
        other.reset(options={"task": {"game": task.data["game"]}})
