"""The Sudoku environment: the game, its rewards and its players."""

import warnings
from collections import Counter

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.env import make
from agentrl.envs.sudoku import Sudoku, order_score
from agentrl.envs.sudoku.board import Board, geometry
from agentrl.envs.sudoku.moves import read_moves
from agentrl.errors import ConfigError, DataError
from agentrl.types import Parse

# 1 2 | 3 4      the solution of the board below; r2c3 looks like 1 or 2 until r2c4 is filled,
# 3 4 | 1 2      so the solver fills r2c4 first
# ----+----
# 2 1 | 4 3
# 4 3 | 2 1
PUZZLE = "..34.4..21..43.1"
ANSWER = "r1c1=1 r1c2=2 r2c1=3 r2c4=2 r2c3=1 r3c3=4 r3c4=3 r4c3=2"
TASK = {"task": {"puzzle": PUZZLE}}
KINDS = [(4, 6), (6, 14), (9, 30)]


def started(**arguments):
    env = Sudoku(**arguments)
    env.reset(options=TASK)
    return env


def played(env, speak, seed=0):
    """Play one episode: summed parts, summed reward, the last info."""
    env.reset(seed=seed)
    parts, total, ended = Counter(), 0.0, False
    while not ended:
        _, reward, terminated, truncated, info = env.step(speak(env))
        parts.update(info["parts"])
        total += reward
        ended = terminated or truncated
    return parts, total, info


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 5}, "size=5: choose 4, 6 or 9"),
        ({"blanks": 0}, "blanks=0"),
        ({"max_turns": 0}, "max_turns=0"),
        ({"placements_per_turn": 0}, "placements_per_turn=0"),
        ({"placements_per_turn": 2, "max_turns": 2}, "max_turns=2.*at least 3 to fill 6"),
        ({"check": "rule"}, "'rule'; did you mean 'rules'"),
        ({"expert_skill": 1.5}, "expert_skill=1.5"),
        ({"reward_weights": {"cell": 1.0}}, "'cell'; did you mean 'cells'"),
    ],
)
def test_arguments_that_cannot_run_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Sudoku(**arguments)


# ---- the game -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["r1c2=3", "R1C2 = 3", "I say r 1 c 2 =3.", "<think>r2c2=1</think> (r1c2=3),"]
)
def test_placements_are_read_leniently(text):
    assert list(map(str, read_moves(text))) == ["r1c2=3"]


@pytest.mark.parametrize("text", ["", "r1c2", "car1c2=3", "r1c2=x", "r1c2=1234", "r1c2=3</think>"])
def test_what_is_no_placement(text):
    assert read_moves(text) == []


def test_the_first_observation_shows_task_and_board():
    env = Sudoku()
    shown, _ = env.reset(options=TASK)
    assert shown.startswith("Fill this 4x4 Sudoku: each row, column and 2x2 box holds 1 to 4 once")
    assert shown.endswith("\n. . 3 4\n. 4 . .\n2 1 . .\n4 3 . 1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("r1c3=1", "r1c3=1 given cell"),
        ("r1c1=3", "r1c1=3 contradicts row"),
        ("r2c4=1", "r2c4=1 contradicts column"),
        ("r2c4=3", "r2c4=3 contradicts box"),
        ("r0c1=1", "r0c1=1 out of range"),
        ("r1c5=1", "r1c5=1 out of range"),
        ("r1c1=5", "r1c1=5 out of range"),
        ("r1c1=0", "r1c1=0 already empty"),
    ],
)
def test_a_rejected_placement_says_why_and_changes_nothing(text, reason):
    env = started()
    reply, reward, terminated, _, info = env.step(text)
    assert reply == f"{reason}\n8 cells left\n. . 3 4\n. 4 . .\n2 1 . .\n4 3 . 1"
    assert (reward, terminated, info["parse"]) == (0, False, Parse.OK)
    assert set(info["parts"].values()) == {0}


def test_a_rejected_placement_does_not_stop_the_others_of_its_turn():
    reply = started(show_board=False).step("r1c1=1, r1c1=1 r1c3=1\nr1c2=2")[0]
    assert reply == "r1c1=1 already filled\nr1c3=1 given cell\n6 cells left"


def test_only_the_solution_check_tells_a_legal_digit_from_the_right_one():
    assert started(show_board=False).step("r2c3=2")[0] == "7 cells left"
    strict = started(show_board=False, check="solution")
    assert strict.step("r2c3=2 r2c3=1")[0] == "r2c3=2 wrong\n7 cells left"


def test_placements_over_the_limit_are_rejected():
    reply = started(show_board=False, placements_per_turn=1).step("r1c1=1 r1c2=2")[0]
    assert reply == "r1c2=2 over 1 a turn\n7 cells left"


def test_many_rejections_are_counted_and_not_listed():
    reply = started(show_board=False).step("r1c3=1 " * 5000)[0]
    assert reply.count("given cell") == 8
    assert "4992 more rejected" in reply


def test_malformed_text_costs_a_turn_and_is_told():
    env = started(show_board=False, max_turns=2)
    reply, reward, _, truncated, info = env.step("three in the corner")
    assert reply == "no placement found: write r1c2=3\n8 cells left"
    assert (reward, truncated, info["parse"]) == (0, False, Parse.MALFORMED)
    assert info["parts"]["format"] == -0.5
    assert env.step("")[3]


def test_a_cell_can_be_overwritten_and_emptied():
    env = started()
    shares = [
        env.step(text)[4]["parts"]["cells"] for text in ("r2c3=1", "r2c3=2", "r2c3=0", "r2c3=1")
    ]
    assert shares == pytest.approx([1 / 8, -1 / 8, 0, 1 / 8])
    assert env.step("r2c3=0 r2c3=0")[0].startswith("r2c3=0 already empty\n8 cells left")


def test_the_full_board_ends_the_episode():
    reply, reward, terminated, truncated, info = started().step(ANSWER + " r1c1=0")
    assert reply == "solved\n1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1"
    assert (reward, terminated, truncated, info["success"]) == (1, True, False, True)
    assert info["parts"] == {"solved": 1, "cells": 1, "order": 1, "format": 0}


def test_a_task_that_is_no_puzzle_is_a_data_error():
    for data in ({"word": "x"}, {"puzzle": "." * 16}, {"puzzle": "x" * 16}):
        with pytest.raises(DataError):
            Sudoku().reset(options={"task": data})


# ---- rewards --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("emitted", "canonical", "score"),
    [("bacd", "abcd", 5 / 6), ("axac", "abc", 1), ("ax", "ab", 0), ("", "ab", 0), ("ba", "ab", 0)],
)
def test_order_score(emitted, canonical, score):
    assert order_score(emitted, canonical) == pytest.approx(score)


@given(st.permutations(range(6)))
def test_order_score_of_the_reverse_is_the_complement(order):
    forth, back = order_score(order, range(6)), order_score(order[::-1], range(6))
    assert forth + back == pytest.approx(1)


def test_parts_sum_to_the_final_values():
    env, sums = started(max_turns=5), Counter()
    for text in ("r2c3=2", "r1c1=1 r2c3=0", "nothing", "r2c3=1 r1c2=2"):
        sums.update(env.step(text)[4]["parts"])
    assert sums["cells"] == pytest.approx(3 / 8)
    assert sums["order"] == pytest.approx(order_score([6, 0, 1], env.puzzle.canonical))
    assert sums["order"] == pytest.approx(1 / 3)
    assert sums["format"] == pytest.approx(-1 / 5)
    assert sums["solved"] == 0


def test_weights_mix_the_parts():
    env = started(reward_weights={"cells": 0.75, "order": 0.25})
    rewards = [env.step(text)[1] for text in ("r1c2=2", "r1c1=1", ANSWER)]
    assert sum(rewards) == pytest.approx(0.75 + 0.25 * 27 / 28)


# ---- players --------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "blanks"), KINDS)
@pytest.mark.parametrize(
    "arguments", [{}, {"placements_per_turn": 3}, {"max_turns": 2}, {"check": "solution"}]
)
def test_the_oracle_earns_the_maximum(size, blanks, arguments):
    env = Sudoku(size=size, blanks=blanks, **arguments)
    parts, total, info = played(env, Sudoku.oracle)
    assert info["success"]
    assert total == 1
    assert parts == pytest.approx({"solved": 1, "cells": 1, "order": 1, "format": 0})


def test_the_oracle_plays_one_cell_a_turn_unless_time_runs_out():
    assert started().oracle() == "r1c1=1"
    assert started(placements_per_turn=2).oracle() == "r1c1=1 r1c2=2"
    assert started(max_turns=1).oracle() == ANSWER


def test_the_oracle_empties_wrong_cells_first():
    env = started()
    env.step("r2c3=2 r1c1=1")
    assert env.oracle() == "r2c3=0"
    ended = False
    while not ended:
        _, _, ended, truncated, _ = env.step(env.oracle())
        assert not truncated
    assert env.render().startswith("solved")


@pytest.mark.parametrize("arguments", [{}, {"size": 6, "blanks": 14, "placements_per_turn": 2}])
def test_the_expert_is_well_formed_and_succeeds_sometimes(arguments):
    env, rng, wins = Sudoku(expert_skill=0.3, **arguments), np.random.default_rng(0), 0
    for seed in range(40):
        parts, _, info = played(env, lambda env: env.expert(rng), seed)
        assert parts["format"] == 0
        wins += info["success"]
    assert 0 < wins < 40


def test_the_experts_order_is_not_the_solvers():
    env, rng = Sudoku(blanks=8, expert_skill=1.0), np.random.default_rng(0)
    episodes = [played(env, lambda env: env.expert(rng), seed) for seed in range(20)]
    assert all(info["success"] for _, _, info in episodes)
    assert 0.3 < np.mean([parts["order"] for parts, _, _ in episodes]) < 0.7


@pytest.mark.parametrize("text", ["", "I do not know", "r1c2=", "r9c9=9", "<answer></answer>"])
def test_null_and_malformed_answers_earn_nothing(text):
    parts, total, info = played(Sudoku(), lambda env: text)
    assert not info["success"]
    assert total == 0
    assert parts["cells"] == parts["order"] == parts["solved"] == 0


MARKS = st.text(alphabet="rcRC=0123456789 ,.\n<>/think", max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.text(), MARKS), max_size=4), st.booleans())
def test_no_text_raises_or_breaks_the_board(texts, strict):
    env = started(check="solution" if strict else "rules")
    for text in texts:
        env.step(text)
    assert 0 <= env.board.digits.count(0) <= 8
    again = Board(geometry(4))
    for cell, digit in enumerate(env.board.digits):
        assert not digit or not again.clash(cell, digit)
        again.put(cell, digit)


def test_gymnasiums_own_check_passes_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make("agentrl/Sudoku-v0", render_mode="ansi"), skip_close_check=True)
