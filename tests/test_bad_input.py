"""Bad input through the command line: one line that says what and how to mend it, nothing lost."""

import json

import pytest
from runs import cli, one_line, rows, shell, small, trained

from agentrl.env import Reply, TextEnv, register

SUDOKU = {
    # name: (the CSV's text, the message holds all of these)
    "no such column": ("quizes,solutions\n1,2\n", ["line 1", "'quizzes,solutions'"]),
    "a header only": ("quizzes,solutions\n", ["line 2", "no puzzle", "add lines"]),
    "an empty file": ("", ["line 1", "'quizzes'"]),
    "a torn line": ("quizzes,solutions\n12.4\n", ["line 2", "columns"]),
    "a letter": ("quizzes\n" + "x" * 16 + "\n", ["line 2", "x"]),
    "a length": ("quizzes\n12341\n", ["line 2", "12341"]),
    "no solution": ("quizzes\n123....4........\n", ["line 2", "no solution"]),
    "two solutions": ("quizzes\n" + "." * 16 + "\n", ["line 2", "two"]),
    "another solution": (
        "quizzes,solutions\n.234341221434321,2234341221434321\n",
        ["line 2", "'2234341221434321'", "'1234341221434321'"],
    ),
    "bytes": ("quizzes\n\udcff\n", ["UTF-8"]),
}
COMMANDS = {
    # the command line: the message holds all of these
    "train echo leaner.lr=1": ["'leaner.lr=1'", "did you mean 'learner'?"],
    "train echo learner.lrr=1": ["'learner.lrr=1'", "did you mean 'lr'?"],
    "train ecko": ["'ecko'", "did you mean 'echo'?"],
    "train runs/none": ["'runs/none'", "a run's folder"],
    "train echo algorithm=grop": ["'grop'", "did you mean 'grpo'?"],
    "train echo env=agentrl/Ecko-v0": ["did you mean 'agentrl/Echo-v0'?"],
    "train echo model=./none": ["no model at './none'", "tiny"],
    "train echo model=none": ["no model at 'none'", "a folder"],
    "train echo rollout.attempts=1": ["rollout.attempts is 1", "2 or more"],
    "train echo rollout.temperature=0": ["rollout.temperature is 0", "above 0"],
    "train echo --resume": ["no complete checkpoint", "without --resume"],
    "check echo learner=3": ["learner is 3", "a mapping"],
    "eval echo": ["no trained model", "--model FOLDER"],
    "eval echo --model ./none": ["no model at './none'"],
    "eval echo --player me": ["'me'", "policy, oracle, expert"],
    "eval echo --player oracle --split tset": ["'tset'", "did you mean 'test'?"],
    "eval echo --player oracle --records none/r.jsonl": ["'none/r.jsonl'", "a folder that exists"],
    "play agentrl/Ecko-v0": ["did you mean 'agentrl/Echo-v0'?"],
    "play agentrl/Echo-v0 wrods=3": ["did you mean 'words'?"],
    "play agentrl/Echo-v0 words": ["'words'", "key=value"],
    "play agentrl/Echo-v0 words=[": ["'words=['", "not YAML"],
    "play agentrl/Echo-v0 --player me": ["'me'", "human, oracle, expert"],
    "show algorithms grop": ["did you mean 'grpo'?"],
    "show algorithm": ["did you mean 'algorithms'?"],
}


def refused(*arguments):
    """The line with which the command ends, exit code 2."""
    code, printed, message = cli(*arguments)
    assert code == 2, printed + message
    line = one_line(message)
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_command_is_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(*command.split(" "))
    assert all(word in message for word in COMMANDS[command]), message
    assert not list(tmp_path.iterdir()), "something was written before the error"


@pytest.mark.parametrize("case", SUDOKU)
def test_a_bad_puzzle_is_named_with_its_line(case, tmp_path):
    text, wanted = SUDOKU[case]
    path = tmp_path / "puzzles.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    out = tmp_path / "out"
    message = refused(
        "train", "sudoku", f"env={{id: agentrl/Sudoku-v0, csv: {path}}}", f"out={out}"
    )
    assert all(word in message for word in [str(path), *wanted]), message
    assert not out.exists()


def test_a_missing_file_of_puzzles_is_named(tmp_path):
    csv = tmp_path / "none.csv"
    message = refused("play", "agentrl/Sudoku-v0", f"csv={csv}")
    assert f"csv={str(csv)!r} cannot be read" in message


def test_a_folder_that_is_no_model_is_named(tmp_path):
    message = refused("train", "echo", f"model={tmp_path}", f"out={tmp_path / 'out'}")
    assert f"{str(tmp_path)!r} has no config.json" in message
    (tmp_path / "config.json").write_text("{")
    message = refused("train", "echo", f"model={tmp_path}", f"out={tmp_path / 'out'}")
    assert f"cannot load the model {str(tmp_path)!r}" in message
    assert not (tmp_path / "out").exists()


def test_a_missing_module_is_named():
    assert "cannot import 'nowhere'" in refused("train", "echo", "env=nowhere:Env-v0")
    assert "cannot import the algorithm" in refused("check", "echo", "algorithm=nowhere:NEW")


def test_an_environment_without_a_player_says_so():
    kind = {
        "new_task": lambda self, rng: {"number": int(rng.integers(99))},
        "begin": lambda self, data: "go",
        "act": lambda self, text: Reply(done=True),
    }
    register("Alone-v0", type("Alone", (TextEnv,), kind))
    message = refused("play", "Alone-v0", "--player", "oracle")
    assert "has no oracle: define oracle(), or choose another --player" in message


def test_a_bad_command_loses_no_earlier_run(tmp_path):
    out = tmp_path / "run"
    trained(small(out, train={"steps": 0}, warm_start=None))
    before = sorted(path for path in out.rglob("*"))
    refused("train", out, "learner.lr=-1")
    refused("train", out, "model=./none")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    refused("train", out, f"model={tmp_path / 'broken'}", "warm_start=null")
    assert sorted(path for path in out.rglob("*")) == before


def test_earlier_records_outlive_a_bad_command(tmp_path):
    records = tmp_path / "records.jsonl"
    records.write_text('{"earlier": 1}\n')
    refused("eval", "echo", "--player", "oracle", "--records", records, "env=agentrl/Ecko-v0")
    assert rows(records) == [{"earlier": 1}]


def test_the_installed_command_does_the_same(tmp_path):
    (tmp_path / "a.yaml").write_text("env: agentrl/Echo-v0\n\nleaner: {}\n")
    process = shell("train", "a.yaml", cwd=tmp_path)
    printed, message = process.communicate(timeout=60)
    assert (process.returncode, printed) == (2, "")
    wanted = "error: a.yaml:3: unknown key 'leaner': did you mean 'learner'?"
    assert one_line(message) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_json_is_all_that_a_program_reads(tmp_path):
    process = shell("show", "envs", "--json", cwd=tmp_path)
    printed, message = process.communicate(timeout=60)
    assert (process.returncode, message) == (0, "")
    assert len(json.loads(printed)) >= 3
