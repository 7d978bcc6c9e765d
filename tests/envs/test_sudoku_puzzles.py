"""Sudoku's puzzles: the solver, the generator and the reader of CSV files."""

import numpy as np
import pytest

from agentrl.envs.sudoku import Sudoku
from agentrl.envs.sudoku.board import Board, choose, geometry, solutions
from agentrl.envs.sudoku.generate import MAX_BLANKS, generate
from agentrl.envs.sudoku.puzzle import load
from agentrl.errors import ConfigError, DataError

PUZZLE = "..34.4..21..43.1"
SOLUTION = "1234341221434321"
KINDS = [(4, 6), (6, 14), (9, 30)]


def count_solutions(puzzle, size):
    board = Board(geometry(size), [int(mark) if mark != "." else 0 for mark in puzzle])
    return len(list(solutions(board)))


# ---- puzzles --------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "blanks"), [*KINDS, (4, 12), (6, 24), (9, 50)])
def test_generated_puzzles_have_one_solution(size, blanks):
    for seed in range(5):
        puzzle = generate(np.random.default_rng(seed), size, blanks)
        assert puzzle.count(".") == blanks
        assert count_solutions(puzzle, size) == 1


def test_fifty_blanks_on_nine_by_nine_are_cheap_enough_for_many():
    made = {generate(np.random.default_rng(seed), 9, 50) for seed in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize(("size", "blanks"), KINDS)
def test_same_seed_same_puzzle(size, blanks):
    env, other = Sudoku(size=size, blanks=blanks), Sudoku(size=size, blanks=blanks)
    shown = [env.reset(seed=7)[0], other.reset(seed=7)[0], other.reset(seed=8)[0]]
    assert shown[0] == shown[1] != shown[2]
    assert env.tasks("test", 3, seed=1) == other.tasks("test", 3, seed=1)


def test_a_tasks_puzzle_survives_being_played_alone():
    task = Sudoku(blanks=5).tasks("train", 1, seed=0)[0]
    env = Sudoku()
    env.reset(options={"task": task})
    assert str(env.board).replace(" ", "").replace("\n", "") == task.data["puzzle"]


def test_the_solver_finds_both_solutions_of_an_ambiguous_board():
    assert count_solutions("12343412" + "." * 8, 4) == 4
    assert count_solutions("." * 16, 4) == 288


def test_the_canonical_order_takes_naked_singles_first():
    assert load(PUZZLE).canonical == (0, 1, 4, 7, 6, 10, 11, 14)
    assert load(PUZZLE).solution == tuple(map(int, SOLUTION))


@pytest.mark.parametrize(
    ("digits", "cell", "candidates"),
    [
        ([1, 2, 3], 3, 1 << 4),  # a naked single
        ([0] * 4 + [1] + [0] * 5 + [1], 3, 1 << 1),  # 1 has no other place in the first row
        ([1], 1, 1 << 2 | 1 << 3 | 1 << 4),  # nothing is certain: the first of three candidates
        ([1, 2, 3, 0, 0, 0, 0, 4], 3, 0),  # nothing fits
        (list(map(int, SOLUTION)), -1, 0),  # nothing is left
    ],
)
def test_the_solver_takes_naked_then_hidden_singles_then_branches(digits, cell, candidates):
    assert choose(Board(geometry(4), digits)) == (cell, candidates)


@pytest.mark.parametrize("size", [4, 6, 9])
def test_more_blanks_than_any_unique_puzzle_has_are_refused(size):
    most = MAX_BLANKS[size]
    with pytest.raises(ConfigError, match=f"blanks={most + 1}.*from 1 to {most}"):
        Sudoku(size=size, blanks=most + 1)


def test_blanks_that_no_grid_allows_are_refused_with_what_is_possible(monkeypatch):
    monkeypatch.setattr("agentrl.envs.sudoku.generate.MAX_GRIDS", 2)
    with pytest.raises(ConfigError, match=r"blanks=28: .* use blanks=2\d or fewer"):
        Sudoku(size=6, blanks=28).reset(seed=0)


# ---- files ----------------------------------------------------------------------------------


def written(folder, text):
    path = folder / "puzzles.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        f"quizzes,solutions\n{PUZZLE},{SOLUTION}\n",
        f"quizzes\n{PUZZLE.replace('.', '0')}\n\n",
        f"\ufeffid,quizzes\r\n1,{PUZZLE}\r\n",
    ],
)
def test_a_file_brings_its_puzzles_and_their_size(tmp_path, text):
    env = Sudoku(csv=written(tmp_path, text))
    assert env.size == 4
    assert env.blanks == 8
    env.reset(seed=0)
    assert env.data == {"puzzle": PUZZLE}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the header '' has no column 'quizzes'"),
        ("quizzes,solutions\n", "line 2: no puzzle"),
        (f"puzzle\n{PUZZLE}\n", "line 1: the header 'puzzle' has no column 'quizzes'"),
        (f"quizzes,solutions\n{PUZZLE}\n", "line 2: .* has 1 columns, the header 2"),
        (f"quizzes\n{PUZZLE},1\n", "line 2: .*,1' has 2 columns, the header 1"),
        (f"quizzes\n{PUZZLE[1:]}\n", "line 2: quizzes=.* has 15 cells: write 16, 36 or 81"),
        (f"quizzes\n{PUZZLE}\n5{PUZZLE[1:]}\n", "line 3: .* has '5' at r1c1: write 1 to 4"),
        (f"quizzes\n{PUZZLE}\n{'.' * 36}\n", "line 3: .* has 36 cells but line 2 has 16"),
        (f"quizzes,solutions\n{PUZZLE},{PUZZLE}\n", "line 2: solutions=.* has '.' at r1c1"),
        (f"quizzes,solutions\n{PUZZLE},{'1' * 36}\n", "line 2: solutions=.* differs .* in length"),
        (f"quizzes,solutions\n{PUZZLE},{'1' * 16}\n", "line 2: r1c3 is 3 in .* but 1 in the"),
        (f"quizzes,solutions\n{PUZZLE},2{SOLUTION[1:]}\n", "line 2: solutions='2.* is wrong"),
        (f"quizzes\n{SOLUTION}\n", "line 2: .* has no blank"),
        (f"quizzes\n33{PUZZLE[2:]}\n", "line 2: .* second 3 in the row of r1c2"),
        (f"quizzes\n123.{'.' * 11}4\n", "line 2: quizzes=.* has no solution"),
        (f"quizzes\n{'.' * 16}\n", "line 2: quizzes=.* has two solutions: add clues"),
    ],
)
def test_a_corrupt_file_is_one_line_with_place_and_value(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        Sudoku(csv=written(tmp_path, text))
    assert "puzzles.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"quizzes\n\xff\n"])
def test_a_file_that_cannot_be_read_is_a_data_error(tmp_path, content):
    path = tmp_path / "puzzles.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"puzzles.csv' cannot be read"):
        Sudoku(csv=str(path))


def test_a_line_beyond_the_proven_ones_is_proven_when_it_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("agentrl.envs.sudoku.reader.PROVEN", 0)
    env = Sudoku(csv=written(tmp_path, f"quizzes\n{'.' * 16}\n"))
    with pytest.raises(DataError, match=r"puzzles.csv: line 2: .* two solutions"):
        env.reset(seed=0)


def test_a_size_that_the_file_does_not_have_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"size=9: the boards of csv=.* have 4"):
        Sudoku(size=9, csv=written(tmp_path, f"quizzes\n{PUZZLE}\n"))


def test_a_files_splits_are_disjoint_and_complete(tmp_path):
    puzzles = {generate(np.random.default_rng(seed), 4, 8) for seed in range(40)}
    env = Sudoku(csv=written(tmp_path, "quizzes\n" + "\n".join(sorted(puzzles))))
    train, test = (env.tasks(split, 99, seed=0) for split in ("train", "test"))
    assert len(train) + len(test) == len(puzzles)
    assert {task.data["puzzle"] for task in train + test} == puzzles
    assert len(env.tasks("train", 3, seed=1)) == 3
    assert env.tasks("train", 99, seed=1) != train


def test_a_split_without_puzzles_says_so(tmp_path):
    env = Sudoku(csv=written(tmp_path, f"quizzes\n{PUZZLE}\n"))
    with pytest.raises(DataError, match=r"none of its 1 puzzles .* 'validation'"):
        env.tasks("validation", 1, seed=0)
