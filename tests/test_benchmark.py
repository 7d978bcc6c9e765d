"""`agentrl eval BENCHMARK` and `agentrl baselines`: whole pools, scores, files, comparisons."""

import json

import pytest
from runs import cli, one_line, rows, small, trained

from agentrl.cli.benchmark import benchmark, report
from agentrl.cli.measure import Question, Serving
from agentrl.env import Reply, TextEnv, register
from agentrl.envs.echo import Echo
from agentrl.errors import ConfigError, DataError, ToolError

QUESTION = Question(split="all", tasks=0, attempts=1, temperature=0.0, seed=0)
ALONE = Serving(endpoint=[], key_variable="KEY")
WORDS = [f"w{i}" for i in range(24)]


class Words(TextEnv):
    """A finite benchmark: say the word."""

    max_turns = 1

    def __init__(self, *, broken="", render_mode=None):
        super().__init__(render_mode=render_mode)
        self.broken = broken

    def tasks(self, split, count, seed):
        pool = [self.task({"word": word}) for word in WORDS]
        return [task for task in pool if task.split == split][:count]

    def task(self, data):
        from agentrl.types import Task

        return Task(env=self.id, data=data)

    def begin(self, data):
        return "say " + data["word"]

    def act(self, text):
        if self.broken in ("all", self.data["word"]):
            raise ToolError("the word server is gone")
        return Reply(done=True, success=text == self.data["word"], answer=text)

    def oracle(self):
        return self.data["word"]

    def scores(self, groups):
        said = [group.live[0].main.answer for group in groups if group.live]
        return {"words": {"said": len(said), "empty": said.count("")}}

    def export(self, groups, folder, player):
        path = folder / f"{player}.txt"
        path.write_text("\n".join(sorted(group.task.data["word"] for group in groups)))
        return [path]


class Ways(Echo):
    """Echo with two ways to play."""

    @classmethod
    def baselines(cls):
        return {"short": {"words": 1}, "as configured": {}}


register("tests/Words-v0", Words)
register("tests/Ways-v0", Ways)


def asked(capsys, out, model="oracle", question=QUESTION, **env):
    """The answer and what stood beside it."""
    env = {"id": "tests/Words-v0", **env}
    benchmark(env, [], question, model=model, serving=ALONE, out=str(out), json=True)
    return json.loads(capsys.readouterr().out)


def test_every_task_of_both_splits_is_played(capsys, tmp_path):
    answer = asked(capsys, tmp_path)
    assert (answer["n"], answer["success"], answer["split"]) == (len(WORDS), 1, "all")
    assert answer["words"] == {"said": 24, "empty": 0}
    assert (tmp_path / "oracle.txt").read_text().split() == sorted(WORDS)
    assert answer["files"] == [str(tmp_path / "oracle.txt")]
    assert len(rows(tmp_path / "episodes-oracle.jsonl")) == 24
    assert json.loads((tmp_path / "scores-oracle.json").read_text()) == answer


def test_some_tasks_are_drawn_by_the_seed(capsys, tmp_path):
    some = Question(split="all", tasks=5, attempts=1, temperature=0.0, seed=3)
    assert asked(capsys, tmp_path, question=some)["n"] == 5
    first = (tmp_path / "oracle.txt").read_text()
    asked(capsys, tmp_path, question=some)
    assert (tmp_path / "oracle.txt").read_text() == first


def test_a_player_that_says_nothing_scores_nothing(capsys, tmp_path):
    answer = asked(capsys, tmp_path, "null")
    assert (answer["success"], answer["words"]["empty"]) == (0, 24)


def test_a_broken_task_is_skipped_and_told(capsys, tmp_path):
    answer = asked(capsys, tmp_path, broken="w7")
    assert (answer["n"], answer["skipped"], answer["words"]["said"]) == (23, 1, 23)
    told = [row["error"] for row in rows(tmp_path / "episodes-oracle.jsonl") if row["error"]]
    assert told == ["the word server is gone"]


def test_a_benchmark_that_broke_as_a_whole_is_an_error(capsys, tmp_path):
    with pytest.raises(DataError, match="all 24 attempts failed: the word server is gone"):
        asked(capsys, tmp_path, broken="all")


def test_a_model_must_be_named(capsys, tmp_path):
    with pytest.raises(ConfigError, match="--model is missing: give oracle"):
        asked(capsys, tmp_path, model="")


def test_a_folder_that_cannot_be_made_is_named(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write to --out"):
        asked(capsys, tmp_path / "file" / "deeper")


def test_a_trained_model_plays_a_benchmark(capsys, tmp_path):
    trained(small(tmp_path, train={"steps": 0}))
    answer = asked(capsys, tmp_path, str(tmp_path / "checkpoints" / "step-000000"))
    assert answer["n"] == 24
    assert answer["model"].endswith("step-000000")


def test_people_read_scores_line_by_line(capsys, tmp_path):
    lines = list(report(asked(capsys, tmp_path)))
    assert lines[0].startswith("tests/Words-v0 all: success 1.000")
    assert lines[1] == "words  said 24, empty 0"


def test_a_benchmark_needs_its_file():
    code, _, message = cli("eval", "qald", "--model", "oracle")
    assert code == 2
    assert "--file" in message


# ---- baselines


def test_the_table_compares_before_after_and_the_oracle(tmp_path):
    schedule = {"steps": 3, "checkpoint_every": 1}  # the first checkpoint is thinned out by then
    trained(small(tmp_path, env={"id": "tests/Ways-v0", "words": 2}, train=schedule))
    code, printed, message = cli("baselines", tmp_path, "--tasks", 3, "--json")
    assert (code, message) == (0, "")
    table = [(row["player"], row["way"]) for row in json.loads(printed)]
    before = [("untrained", "short"), ("untrained", "as configured")]
    after = [("trained", "short"), ("trained", "as configured")]
    assert table == [*before, *after, ("oracle", "oracle")]
    _, printed, _ = cli("baselines", tmp_path, "--tasks", 3)
    header, *lines = printed.splitlines()
    assert header.split() == ["player", "way", "success", "interval", "turns", "solved"]
    assert lines[-1].startswith("oracle     oracle         1.000")


def test_baselines_need_a_trained_model(tmp_path):
    code, _, message = cli("baselines", "echo", f"out={tmp_path}")
    assert code == 2
    assert "has no trained model" in one_line(message)
