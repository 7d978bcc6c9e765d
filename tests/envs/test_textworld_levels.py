"""TextWorld's levels, seeds, files and texts: what needs no game."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from agentrl.envs.textworld.choice import Files, Levels
from agentrl.envs.textworld.games import CACHE, cache_folder, is_whole, made
from agentrl.envs.textworld.levels import level
from agentrl.envs.textworld.plans import reversals
from agentrl.envs.textworld.texts import MAX_COMMAND, command, told
from agentrl.errors import ConfigError, DataError, EnvError

SEEDS = {"test_levels": None, "train_seeds": (30001, 30010), "test_seeds": (1, 4)}
SCREEN = (
    "\n  |  $$ \\$$  |\n   \\$$    \\$$$$$$$ \n\nOpen the safe.\n\n-= Study =-\nA study.\n\n"
    "You see a   safe.\n\n>                     -= Study =-0/12"
)
WON = (
    "\nYou win.\n\n   *** The End ***\n\nWould you like to RESTART, RESTORE a saved game, QUIT?\n>"
)


@pytest.mark.parametrize(
    ("name", "family", "commands"),
    [
        ("w2-o3-q4", "custom", 4),
        ("w8-o12-q4", "custom", 4),
        ("coin-5", "tw-coin_collector", 5),
        ("coin-150", "tw-coin_collector", 50),
        ("treasure-29", "tw-treasure_hunter", None),
        ("cooking-4", "tw-cooking", None),
        ("simple-balanced-none", "tw-simple", None),
    ],
)
def test_a_level_says_what_its_games_are_made_of(name, family, commands):
    assert (level(name).family, level(name).commands) == (family, commands)


def test_cooking_spells_its_skills_out():
    spelt = level("cooking-recipe3-take3-go6-open-cook-cut")
    assert spelt == level("cooking-4")
    assert spelt.settings["recipe"] == 3
    assert not spelt.settings["drop"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("coins-3", "did you mean 'coin-5'"),
        ("w2-o3", "write it like w2-o3-q4"),
        ("w0-o3-q4", "each at least 1"),
        ("w101-o3-q4", "at most 100 rooms"),
        ("coin-0", "levels 1 to 300"),
        ("coin-200", "has 200 rooms and TextWorld 1.7 at most 100: use coin-150"),
        ("coin-234", "use coin-233"),
        ("treasure-30", "takes minutes a game to generate: use treasure-29"),
        ("cooking-fly", "'fly' is none of its skills"),
        ("cooking-go7", "'go7' is none of its skills"),
        ("cooking-recipe1-take2", "takes more than its recipe"),
        ("simple-rich-brief", "write it like simple-dense-brief"),
        ("", "known: "),
        (3, "unknown level 3"),
    ],
)
def test_an_unknown_level_is_told_what_is_known(name, says):
    with pytest.raises(ConfigError, match=says):
        level(name)


def test_splits_are_seeds_that_they_do_not_share():
    levels = Levels(["w2-o3-q4", "coin-5"], **SEEDS)
    rng = np.random.default_rng(0)
    train, test = (list(levels.every(split, rng)) for split in ("train", "test"))
    assert (len(train), len(test)) == (20, 8)
    assert {game["seed"] for game in train} == set(range(30001, 30011))
    assert {game["seed"] for game in test} == {1, 2, 3, 4}
    assert all(game["split"] == "train" for game in train)
    assert len({(game["level"], game["seed"]) for game in train}) == 20


def test_levels_are_mixed_by_weight():
    levels = Levels({"w2-o3-q4": 3, "coin-5": 1}, "coin-9", (1, 1000), (2001, 2002))
    drawn = [game["level"] for game in islice(levels.every("train", np.random.default_rng(0)), 400)]
    assert 250 < drawn.count("w2-o3-q4") < 350
    test = levels.every("test", np.random.default_rng(0))
    assert [game["level"] for game in test] == ["coin-9", "coin-9"]
    one = Levels({"w2-o3-q4": 1, "coin-5": 0}, **SEEDS)
    assert {game["level"] for game in one.every("train", np.random.default_rng(0))} == {"w2-o3-q4"}


def test_no_list_of_all_seeds_is_made():
    levels = Levels("coin-1", None, (101, (1 << 31) - 1), (1, 100))
    drawn = [game["seed"] for game in islice(levels.every("train", np.random.default_rng(0)), 99)]
    assert len(set(drawn)) == 99
    assert min(drawn) > 100


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"levels": {"coin-1": 0}}, "weights above 0"),
        ({"levels": []}, "weights above 0"),
        ({"levels": {"coin-1": float("nan")}}, "weights above 0"),
        ({"levels": {"coin-1": float("inf")}}, "weights above 0"),
        ({"train_seeds": (5, 1)}, "the first and the last one"),
        ({"train_seeds": (1, 9), "test_seeds": (9, 12)}, "overlap"),
    ],
)
def test_games_that_cannot_be_drawn_are_refused(arguments, says):
    with pytest.raises(ConfigError, match=says):
        Levels(**{"levels": "coin-1", **SEEDS, **arguments})


def test_a_screen_is_told_without_its_decoration():
    assert told(SCREEN, compact=False) == "Open the safe.\n-= Study =-\nA study.\nYou see a   safe."
    assert told(SCREEN, compact=True).startswith("Open the safe. -= Study =- A study. You see a sa")
    assert told("-= Study =-\nA study.", compact=True) == "-= Study =- A study."
    assert told("A sign:\n>>> north", compact=True) == "A sign: >>> north"
    assert told(WON, compact=True) == "You win. *** The End ***"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" open  the\tsafe ", "open the safe"),
        ("go north. take all", "go north"),
        ("open chest then look", "open chest"),
        ("strengthen\nlook", "strengthen"),
        ("take \\key", "take key"),
        ("ouvrir é中\x00 x", "ouvrir x"),
        ("Restart", ""),
        ("UNDO", ""),
        ("tw-print all", ""),
        ("save game", ""),
        ("me, restart", ""),
        ("me,Save", ""),
        ("score, look , script", ""),
        ("short", ""),
        ("savour soup", "savour soup"),
        ("cook, savour soup", "cook, savour soup"),
        ("", ""),
        ("a" * 10**6, "a" * MAX_COMMAND),
    ],
)
def test_a_text_is_one_command_in_the_game(text, said):
    assert command(text) == said


def test_commands_are_taken_back():
    assert list(reversals("go north")) == ["go south"]
    assert "insert red key into old chest" in reversals("take red key from old chest")
    assert list(reversals("eat apple")) == []


def test_the_cache_is_the_users_unless_it_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv(CACHE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "agentrl" / "textworld"
    monkeypatch.setenv(CACHE, str(tmp_path / "named"))
    assert cache_folder(None) == tmp_path / "named"
    assert cache_folder(str(tmp_path / "given")) == tmp_path / "given"
    monkeypatch.chdir(tmp_path)  # workers stay where they were started
    assert cache_folder("given") == tmp_path / "given"


@pytest.mark.parametrize("folder", ["/dev/null/games", "/proc/games"])
def test_a_folder_that_cannot_hold_games_is_named(folder):
    with pytest.raises(EnvError, match=rf"cannot write to '{folder}' .*cache or \${CACHE}"):
        made("coin-1", 1, Path(folder))


def test_a_story_is_whole_or_not():
    body = bytes(range(64))
    head = bytearray(64)
    head[0], head[0x1B] = 8, 16  # version, and 128 bytes in eights
    head[0x1C:0x1E] = sum(body).to_bytes(2, "big")
    story = bytes(head) + body
    assert is_whole(story)
    assert not any(map(is_whole, [b"", story[:-1], b"\x05" + story[1:], story[:-1] + b"x"]))


def test_a_file_without_its_logic_or_cut_is_refused(tmp_path):
    (tmp_path / "game.z8").write_bytes(b"\x08" * 100)
    with pytest.raises(DataError, match=r"there is no file .*game.json'.*has it beside game.z8"):
        Files(str(tmp_path / "*.z8"), None)
    (tmp_path / "game.json").write_text("{}")
    with pytest.raises(DataError, match=r"game.z8' is damaged or no .z8 game"):
        Files(str(tmp_path / "game.z8"), None)
    with pytest.raises(DataError, match=r"there is no file .*missing.z8"):
        Files(str(tmp_path / "missing.z8"), None)


def test_textworld_is_not_imported_by_the_learners_process():
    code = "import agentrl, sys; agentrl.make('agentrl/TextWorld-v0')\n"
    code += "print('textworld' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
