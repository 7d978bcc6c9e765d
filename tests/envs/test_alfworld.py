"""The household environment: commands, texts, rewards, players and what a result records."""

from collections import Counter

import numpy as np
import pytest

from agentrl.conformance import check_environment
from agentrl.env import make
from agentrl.envs.alfworld.env import AlfWorld
from agentrl.envs.alfworld.game import TASKS
from agentrl.envs.alfworld.said import brief, brief_opening, read_command
from agentrl.envs.alfworld.texts import HELP
from agentrl.errors import ConfigError, DataError
from agentrl.types import Episode, Group, Parse, Task, Trajectory

TASK = {"task": "pick_heat_then_place_in_recep", "size": "tiny", "seed": 0}


def started(task=TASK, **arguments):
    env = AlfWorld(size="tiny", **arguments)
    text, info = env.reset(seed=0, options={"task": task})
    return env, text, info


def played(env, speak):
    """Play on to the end: summed parts, summed reward, the last info."""
    parts, total, ended = Counter(), 0.0, False
    while not ended:
        _, reward, terminated, truncated, info = env.step(speak())
        parts.update(info["parts"])
        total += reward
        ended = terminated or truncated
    return parts, total, info


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"types": ["pick_and_place"]}, "types: 'pick_and_place'; did you mean"),
        ({"types": []}, "types: give at least one of"),
        ({"size": "large"}, "size: 'large'"),
        ({"source": "mine"}, "source: 'mine'; known"),
        ({"test": "valid"}, "test: 'valid'"),
        ({"texts": "long"}, "texts: 'long'"),
        ({"max_turns": 0}, "max_turns=0"),
        ({"expert_noise": 2}, "expert_noise=2"),
        ({"goals": "human"}, "only source: official"),
        ({"goals": "mine"}, "goals: 'mine'"),
        ({"reward_weights": {"solve": 1.0}}, "'solve'; did you mean 'solved'"),
        ({"reward_weights": {"solved": float("nan")}}, "solved=nan: give a finite number"),
    ],
)
def test_arguments_that_cannot_run_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        AlfWorld(**arguments)


@pytest.mark.parametrize("data", [{"number": 3}, TASK | {"seed": "1"}, {"task": TASK["task"]}])
def test_a_task_that_is_no_game_is_refused(data):
    with pytest.raises(DataError, match="is no game: give its task, its seed and its size"):
        started(data)


# ---- what is said ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("go to drawer 1", " Go to  drawer 1.", "> go to drawer 1\nThen I open it."),
        *("<think>open it?</think> go to drawer 1", "<action>go to drawer 1</action>"),
        "<think>a</think><action>look</action> no: <action> go to drawer 1 </action>",
    ],
)
def test_commands_are_read_leniently(text):
    assert read_command(text) == "go to drawer 1"


@pytest.mark.parametrize(
    "text",
    ["", " \n", "<think>go to drawer 1", "<action>go to drawer 1", "<action></action>", "x" * 201],
)
def test_what_is_no_command(text):
    assert read_command(text) is None


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("You arrive at shelf 1. On the shelf 1, you see a mug 1, and a pan 2.", "see mug 1 pan 2"),
        ("You open the safe 1. The safe 1 is open. In it, you see nothing.", "see nothing"),
        ("You arrive at safe 1. The safe 1 is closed.", "closed"),
        ("You pick up the mug 1 from the shelf 1.", "ok"),
        ("You put the mug 1 in/on the shelf 1.", "ok"),
        ("Nothing happens.", "nothing happens"),
        ("You are carrying: a mug 1.", "see nothing"),
        (HELP, "help"),
    ],
)
def test_short_texts_keep_what_a_player_needs(text, short):
    assert brief(text) == short


def test_short_texts_tell_place_and_hand():
    text = "You are facing the bed 1. Next to it, you see nothing."
    assert brief(text, ["bed 1"], "mug 2") == "at bed 1 hold mug 2"
    assert brief("Nothing happens.", ["bed 1", "desk 1"]) == "at bed 1 desk 1 nothing happens"


def test_the_short_opening_is_goal_and_receptacles():
    text = "You are in the middle of a room. Looking quickly around you, you see a bed 1, a desk 2."
    assert brief_opening(text, "put a cd in desk") == "put a cd in desk\nsee bed 1 desk 2"


def test_the_opening_names_room_and_task():
    env, text, info = started()
    assert text.endswith(f"Your task is to: {env.game.sentence}.")
    assert all(place.name in text for place in env.game.receptacles)
    assert "go to (receptacle)" in info["system"]
    assert info["admissible"] == env.world.admissible()


def test_admissible_commands_are_listed_on_demand():
    _, text, info = started(admissible=True)
    assert text.endswith("You can: " + ", ".join(info["admissible"]))


def test_a_tiny_model_is_spared_words():
    env, text, info = started(texts="short", prompt=False)
    assert len(text.split()) < 25
    assert info["system"] == ""
    assert env.step("go to microwave 1")[0] == "at microwave 1 closed"


def test_the_state_is_the_world_and_not_the_way_there():
    env, _, info = started()
    first, second = (place.name for place in env.game.receptacles[:2])
    states = [info["state"]]
    for command in (f"go to {first}", f"go to {second}", f"go to {first}", "fly", f"open {first}"):
        states.append(env.step(command)[4]["state"])
    assert states[1] == states[3] == states[4]
    assert len(set(states)) == 4


# ---- rewards --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_a_won_game_sum_to_one(task):
    env, _, _ = started({"task": task, "size": "tiny", "seed": 3})
    parts, total, info = played(env, env.oracle)
    assert info["success"]
    assert total == 1.0
    assert parts == pytest.approx({"solved": 1.0, "progress": 1.0, "invalid": 0.0})


def test_what_does_nothing_is_counted():
    env, _, _ = started(max_turns=4)
    text, reward, terminated, truncated, info = env.step("fly to the moon 1")
    assert (text, reward, terminated, truncated) == ("Nothing happens.", 0.0, False, False)
    assert (info["parts"]["invalid"], info["parse"]) == (-0.25, Parse.OK)
    assert env.step("")[4]["parse"] is Parse.MALFORMED


def test_the_official_reward_and_dense_parts_are_weights():
    env, _, _ = started(reward_weights={"solved": 10.0, "progress": 2.0, "invalid": 1.0})
    assert env.reward_range == (-1.0, 12.0)
    assert played(env, env.oracle)[1] == pytest.approx(12.0)


def test_progress_is_paid_once():
    env, _, _ = started(reward_weights={"progress": 1.0})
    earned = []
    while not env.world.held:
        earned.append(env.step(env.oracle())[1])
    place, item = env.world.here[0], env.world.held
    for command in (f"move {item} to {place}", f"take {item} from {place}"):
        earned.append(env.step(command)[1])
    assert sum(earned) == pytest.approx(1 / 3)


# ---- players --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", ["tiny", "small", "official"])
def test_oracle_and_expert_win_within_the_cap(task, size):
    env = AlfWorld()
    for seed in range(4):
        turns = []
        rng = np.random.default_rng(seed)
        for speak in (env.oracle, lambda rng=rng: env.expert(rng)):
            env.reset(options={"task": {"task": task, "size": size, "seed": seed}})
            assert played(env, speak)[2]["success"]
            turns.append(env.turn)
        assert turns[0] <= turns[1]


def test_the_oracle_wins_from_anywhere():
    env = AlfWorld(size="tiny", expert_noise=1.0, max_turns=80)
    rng = np.random.default_rng(0)
    for task in env.tasks("train", 24, 0):
        env.reset(options={"task": task})
        for _ in range(12):
            if not env.world.won:
                env.step(env.expert(rng))
        assert env.world.won or played(env, env.oracle)[2]["success"]


def test_the_expert_hears_only_texts():
    env, _, _ = started()
    hidden = env.explorer.known
    env.world.reset = env.world.contents = None  # what would tell more
    assert hidden == {}
    assert env.expert(np.random.default_rng(0)).startswith("go to ")


def test_noise_fails_the_expert():
    env = AlfWorld(size="tiny", expert_noise=0.9, max_turns=12)
    rng, won = np.random.default_rng(0), 0
    for task in env.tasks("train", 16, 0):
        env.reset(options={"task": task})
        won += played(env, lambda: env.expert(rng))[2]["success"]
    assert won < 8


# ---- tasks and results ----------------------------------------------------------------------


def test_tasks_follow_from_the_seed_and_the_types():
    env = AlfWorld(types=["pick_two_obj_and_place", "look_at_obj_in_light"], size="tiny")
    tasks = env.tasks("test", 20, 1)
    assert tasks == env.tasks("test", 20, 1) != env.tasks("test", 20, 2)
    assert {task.data["task"] for task in tasks} == set(env.types)
    assert not {task.id for task in tasks} & {task.id for task in env.tasks("train", 200, 1)}


def test_a_result_records_its_setting():
    env = AlfWorld(size="tiny", max_turns=20, admissible=True)
    tasks = [Task(env=env.id, data=TASK | {"seed": seed}) for seed in (1, 2)]
    episodes = [Episode(task=t, trajectories=(Trajectory(success=t is tasks[0]),)) for t in tasks]
    scores = env.scores([Group(task=e.task, episodes=(e,)) for e in episodes])
    kind = TASK["task"]
    assert {env.kind(task) for task in tasks} == {kind}
    assert scores["games"] == {f"{kind}/tiny/1": 1.0, f"{kind}/tiny/2": 0.0}
    assert scores["setting"] == {
        "source": "generated",
        "games_of": ["tiny households"],
        "max_turns": 20,
        "admissible": True,
        "goals": "template",
    }


@pytest.mark.parametrize("name", ["generated", "short", "listed"])
def test_it_conforms(name):
    arguments = {"max_turns": 12, **AlfWorld.variants()[name]}
    assert check_environment(lambda: make("agentrl/AlfWorld-v0", **arguments), tasks=3) == []
