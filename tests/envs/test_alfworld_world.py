"""The household simulator: what the reference was recorded to say, games as data, own households.

The recording is made by `python tests/services/alfworld_record.py`.
"""

import copy
import json
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.alfworld import rules, texts
from agentrl.envs.alfworld.game import RELEASES, TASKS, Game
from agentrl.envs.alfworld.household import LAMP, ROOMS, THINGS
from agentrl.envs.alfworld.pddl import game_of, parse_game, read_game, text_of, write_game
from agentrl.envs.alfworld.planner import plan
from agentrl.envs.alfworld.rooms import SIZES, Size, make_game
from agentrl.envs.alfworld.rules import Rules, installed_rules, release_of, with_sentence
from agentrl.envs.alfworld.world import World
from agentrl.errors import ConfigError, DataError, MissingDependencyError

RECORDED = json.loads(Path(__file__).with_name("alfworld_transcripts.json").read_text())
DRAWN = st.builds(
    make_game, st.sampled_from(TASKS), st.integers(0, 10**6), st.sampled_from(list(SIZES))
)
HEAT = "pick_heat_then_place_in_recep"
GRAMMAR = '"rhs": "Your task is to: UNKNOWN GOAL."'
STANDIN = Rules("(define (domain alfred))", GRAMMAR)


@pytest.fixture
def standin(monkeypatch):
    """Rules that count as the ones that the simulator plays, and say next to nothing."""
    monkeypatch.setitem(rules.RELEASES, rules.identities(STANDIN), "0.4")
    return STANDIN


def told(text, won, world):
    return [text, won, crc32("\n".join(world.admissible()).encode())]


@pytest.mark.parametrize("one", RECORDED, ids=[one["name"] for one in RECORDED])
def test_all_is_said_as_the_reference_says_it(one):
    world = World(Game.from_json(one["game"]))
    assert told(world.reset(), world.won, world) == one["opening"]
    for command, *expected in one["steps"]:
        step = world.step(command)
        assert told(step.text, step.won, world) == expected, command


@pytest.mark.parametrize("one", RECORDED, ids=[one["name"] for one in RECORDED])
def test_a_game_survives_its_file(one):
    game = Game.from_json(one["game"])
    assert game_of(text_of(game), game.sentence, game.release) == game
    assert Game.from_json(json.loads(json.dumps(game.to_json()))) == game


@settings(max_examples=25, deadline=None)
@given(game=DRAWN)
def test_a_drawn_game_survives_its_file_and_is_not_won_yet(game):
    assert game_of(text_of(game), game.sentence, game.release) == game
    assert not World(game).won


@settings(max_examples=25, deadline=None)
@given(game=DRAWN)
def test_every_drawn_game_can_be_won(game):
    world = World(game)
    for command in plan(game, world):
        step = world.step(command)
        assert step.valid, command
    assert step.won


@settings(max_examples=25, deadline=None)
@given(game=DRAWN)
def test_things_lie_where_they_fit(game):
    kinds = {one.name: one.kind for one in game.receptacles}
    for item in game.items:
        (place,) = item.inside
        assert item.kind == LAMP or item.kind in game.fits[kinds[place]]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(TASKS), st.integers(0, 10**6), st.integers(5, 25), st.integers(3, 30))
def test_a_size_is_kept(task, seed, receptacles, items):
    size = Size(receptacles=(receptacles, receptacles), items=(items, items), kinds=5)
    game = make_game(task, seed, size)
    assert len(game.receptacles) == receptacles
    assert len(game.items) <= items
    assert len({item.kind for item in game.items} - {LAMP}) <= 5


def test_the_same_game_is_drawn_in_every_process():
    drawn = "import json; from agentrl.envs.alfworld.rooms import make_game; print(json.dumps("
    code = f"{drawn}make_game('{HEAT}', 7, 'official').to_json()))"
    said = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONHASHSEED": "5"})
    assert json.loads(said) == make_game(HEAT, 7, "official").to_json()


def test_what_is_not_admissible_does_nothing():
    world = World(make_game(HEAT, 1, "tiny"))
    before = copy.copy(world)
    for command in ("", "LOOK", "go to", "take nothing 1 from desk 1", "look look", "x" * 10**6):
        assert world.step(command) == ("Nothing happens.", False, False)
    assert world.admissible() == before.admissible()
    assert world.step("  look\n").valid


def test_copies_and_pickles_go_their_own_way():
    world = World(make_game(HEAT, 1, "tiny"))
    twins = [copy.copy(world), pickle.loads(pickle.dumps(world))]
    for command in plan(world.game, world):
        world.step(command)
    assert world.won
    assert [twin.won for twin in twins] == [False, False]
    assert twins[0].reset() == twins[1].reset() == world.reset()


def test_what_is_known_of_a_world():
    size = Size(receptacles=(5, 6), items=(3, 5), kinds=4)
    game = make_game("pick_and_place_simple", 0, size)
    world = World(game)
    assert (world.here, world.held, world.where("kettle 1")) == ((), None, "cabinet 1")
    world.step("go to cabinet 1")
    assert (world.here, world.is_open("cabinet 1")) == (("cabinet 1",), False)
    world.step("open cabinet 1")
    world.step("take kettle 1 from cabinet 1")
    assert (world.held, world.where("kettle 1")) == ("kettle 1", None)
    assert world.contents("cabinet 1") == ["saltshaker 1"]
    assert not world.has("kettle 1", "clean")
    assert game.receptacle("cabinet 1").kind == "Cabinet"
    assert game.item("kettle 1").kind == "Kettle"
    with pytest.raises(KeyError):
        game.item("kettle 9")


def test_a_goal_item_put_away_wins_only_in_the_goals_place():
    world = World(make_game("pick_and_place_simple", 0, "tiny"))
    commands = ["go to cabinet 1", "open cabinet 1", "take kettle 1 from cabinet 1"]
    commands += ["go to shelf 1", "move kettle 1 to shelf 1"]
    assert [world.step(command).won for command in commands] == [False] * 5


def test_the_tables_name_nothing_that_is_nowhere():
    places = {kind for room in ROOMS.values() for kind in room}
    for kind, thing in THINGS.items():
        assert thing.places <= places, kind
        assert thing.rooms <= ROOMS.keys(), kind
        assert all(thing.places & ROOMS[room].keys() for room in thing.rooms), kind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pick_and_heat", 0), "no task type 'pick_and_heat': "),
        ((HEAT, 0, "huge"), "no size 'huge': known: medium, official, small, tiny"),
    ],
)
def test_unknown_tasks_and_sizes_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_game(*arguments)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"receptacles": (6, 5), "items": (1, 1)}, r"receptacles=\(6, 5\)"),
        ({"receptacles": (5, 6), "items": (0, 1)}, r"items=\(0, 1\)"),
        ({"receptacles": (5, 6), "items": (1, 1), "kinds": 0}, "kinds=0"),
        ({"receptacles": (5, 6), "items": (1, 1), "rooms": ("attic",)}, "rooms: 'attic': known"),
        ({"receptacles": (5, 6), "items": (1, 1), "things": ("Mugg",)}, "did you mean 'Mug'"),
    ],
)
def test_sizes_of_nothing_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        Size(**words)


def test_a_task_without_a_room_is_refused():
    size = Size(receptacles=(5, 6), items=(1, 1), rooms=("bedroom",))
    with pytest.raises(ConfigError, match=f"no {HEAT} in bedroom .*: it is set in kitchen"):
        make_game(HEAT, 0, size)


@pytest.mark.parametrize("task", TASKS)
def test_the_smallest_household_still_has_what_its_goal_needs(task):
    game = make_game(task, 0, Size(receptacles=(1, 1), items=(1, 1), kinds=1))
    assert len(game.receptacles) <= 4
    assert plan(game, World(game))


def test_a_written_game_is_read_back(standin, tmp_path):
    game = make_game(HEAT, 3, "small")
    path = write_game(game, tmp_path / "trial_1", standin)
    assert read_game(path) == game
    record = json.loads(path.with_name("traj_data.json").read_text())
    assert record["task_type"] == HEAT
    assert record["pddl_params"]["object_target"] == game.goal.item


def test_blanks_and_comments_make_no_other_rules(standin):
    domain = "(DEFINE (domain\n  alfred)) ; as ever"
    assert release_of(Rules(domain, standin.grammar + "\n")) == "0.4"


def test_a_game_is_not_written_with_other_rules(standin, tmp_path):
    game = replace(make_game(HEAT, 3, "tiny"), release="0.3")
    with pytest.raises(DataError, match=r"a game of 0.3 with the rules of 0.4"):
        write_game(game, tmp_path, standin)


def test_every_release_is_recognised_and_spoken():
    assert set(rules.RELEASES.values()) == set(RELEASES)
    for words in (texts.COMMON, texts.PUTTING, texts.PUT, texts.ARRIVED):
        assert set(words) == set(RELEASES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pddl_domain": "(define (domain other))"}, "none that the simulator plays"),
        ({"grammar": GRAMMAR + "more"}, "none that the simulator plays"),
        ({"grammar": "no task"}, "tells no task"),
        ({"pddl_problem": "(define"}, "not one bracketed expression"),
        ({"pddl_problem": "(define))"}, "never opened"),
        ({"pddl_problem": "(define (:objects) (:init))"}, "has no :goal"),
    ],
)
def test_other_games_are_refused_with_a_reason(standin, change, message):
    game = make_game(HEAT, 3, "tiny")
    data = {"pddl_domain": standin.domain, "grammar": standin.grammar}
    with pytest.raises(DataError, match=message):
        parse_game({**data, "pddl_problem": text_of(game), **change})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("isHot", "isSliced", "the game's goal .*issliced.* is none of the simulator's"),
        ("(atLocation agent1", "(holdsAny agent1) (was", "gives agent1 0 places"),
    ],
)
def test_problems_that_are_not_played_are_refused(old, new, message):
    text = text_of(make_game(HEAT, 3, "tiny")).replace(old, new).replace(old.lower(), new.lower())
    with pytest.raises(DataError, match=message):
        game_of(text, "", "0.4")


def test_a_file_without_a_game_is_refused_with_its_name(tmp_path):
    (tmp_path / "game.tw-pddl").write_text("{}")
    with pytest.raises(DataError, match=r"game.tw-pddl: no game: it has no 'grammar'"):
        read_game(tmp_path / "game.tw-pddl")


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_played_or_refused(tmp_path_factory, data):
    text = text_of(make_game(HEAT, 3, "tiny"))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    record = {"pddl_problem": text[:start] + text[end:], "pddl_domain": "", "grammar": GRAMMAR}
    file = tmp_path_factory.mktemp("damaged") / "game.tw-pddl"
    file.write_text(json.dumps(record))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rules.RELEASES, rules.identities(Rules("", GRAMMAR)), "0.4")
        with suppress(DataError):
            World(read_game(file)).admissible()


def test_names_out_of_order_cannot_be_written():
    game = make_game(HEAT, 3, "tiny")
    with pytest.raises(DataError, match="numbered and ordered"):
        text_of(replace(game, items=game.items[::-1]))


def test_a_task_that_a_grammar_cannot_tell_is_refused():
    with pytest.raises(DataError, match="characters that a grammar cannot tell"):
        with_sentence(GRAMMAR, 'put a "mug" there')


@pytest.mark.parametrize("data", [{}, {"receptacles": 3}, {"receptacles": [{"title": 1}]}])
def test_json_that_is_no_game_is_refused(data):
    with pytest.raises(DataError, match="no game as `to_json` writes it"):
        Game.from_json(data)


@pytest.mark.skipif(find_spec("alfworld") is not None, reason="alfworld is installed here")
def test_missing_rules_say_what_brings_them():
    with pytest.raises(MissingDependencyError, match=r"agentrl\[alfworld\]"):
        installed_rules()
