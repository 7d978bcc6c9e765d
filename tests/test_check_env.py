"""`agentrl check-env` and the pytest plugin: conformance for people, programs and users' tests."""

import json
import subprocess
import sys
import time

import pytest
from runs import cli, one_line
from test_conformance import Reverse

from agentrl.cli.check_env import every, lines, reported
from agentrl.conformance import RULES
from agentrl.env import register
from agentrl.envs import ENVIRONMENTS

KEYS = ["id", "variant", "findings", "library", "skipped", "speed", "unavailable"]
SPEED = ["player", "steps", "p50_ms", "p99_ms", "kilobytes", "steps_per_second"]
QUICK = ("--tasks", 1, "--speed", 0)


class Wrapped(Reverse):
    """An adapter of a library whose games succeed on silence; it mends that."""

    mends = True

    def __init__(self, *, mend: bool = True, render_mode: str | None = None):
        super().__init__()
        self.mend = mend
        self.render_mode = render_mode

    def act(self, text):
        return super().act(text if self.mend or text else self.oracle())


class Broken(Wrapped):
    """The same, mending nothing."""

    mends = False

    def __init__(self, *, mend: bool = False, render_mode: str | None = None):
        super().__init__(mend=mend, render_mode=render_mode)


class Slow(Reverse):
    """It says what it does on standard output, and a reset takes longer than its share of time."""

    def __init__(self, *, render_mode: str | None = None):
        super().__init__()
        self.render_mode = render_mode

    def begin(self, data):
        sys.stdout.write("beginning")
        time.sleep(0.01)
        return super().begin(data)


register("tests/Slow-v0", Slow)
register("tests/Wrapped-v0", Wrapped)
register("tests/Broken-v0", Broken)


def test_a_report_is_one_line_where_all_is_well():
    code, printed, message = cli("check-env", "agentrl/Sudoku-v0", "size=4", *QUICK)
    assert (code, message) == (0, "")
    assert one_line(printed) == f"agentrl/Sudoku-v0 size=4: conforms, {len(RULES)} rules"


def test_every_variant_is_reported_as_json_with_its_speed():
    code, printed, _ = cli("check-env", "agentrl/Echo-v0", "--json", "--tasks", 1, "--speed", 0.2)
    reports = json.loads(printed)
    assert code == 0
    assert [report["variant"] for report in reports] == ["", "turns"]
    assert [list(report) for report in reports] == [KEYS, KEYS]
    assert list(reports[0]["speed"]) == SPEED
    text = "\n".join(lines(reports[0]))
    assert "; steps/s at 1: " in text


def test_what_an_environment_prints_is_no_part_of_the_json():
    code, printed, message = cli(
        "check-env", "tests/Slow-v0", "--json", "--tasks", 1, "--speed", 0.01
    )
    (report,) = json.loads(printed, parse_constant=pytest.fail)
    assert (code, report["findings"], report["speed"]["p50_ms"]) == (0, [], None)
    assert "beginning" in message


def test_findings_name_their_rule_and_exit_with_1():
    code, printed, message = cli("check-env", "tests/Broken-v0", *QUICK)
    assert (code, message) == (1, "")
    assert printed.startswith("tests/Broken-v0: 2 findings, ")
    assert "\n  clueless: saying '' solves task " in printed


def test_what_an_adapter_mends_is_the_librarys_own():
    code, printed, _ = cli("check-env", "tests/Wrapped-v0", *QUICK)
    assert code == 0
    assert printed.startswith("tests/Wrapped-v0: conforms, ")
    assert "\n  the library's own: clueless: saying '' solves task " in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name one environment, or give --all"),
        (("agentrl/Echo-v0", "--all"), "name one environment, or give --all"),
        (("agentrl/Ecko-v0",), "did you mean 'agentrl/Echo-v0'?"),
        (("agentrl/Echo-v0", "wrds=2"), "did you mean 'words'?"),
        (("CartPole-v1",), "is no TextEnv: check agentrl/Gymnasium-v0 wraps=CartPole-v1"),
        (("agentrl/Sudoku-v0", "size=5"), "should be 4, 6 or 9"),
        (("agentrl/Qald-v0",), "agentrl/Qald-v0 cannot be checked here: it needs file"),
    ],
)
def test_bad_input_exits_with_2(arguments, told):
    code, printed, message = cli("check-env", *arguments, *QUICK)
    assert code == 2
    assert not printed or "not checked" in printed
    assert told in one_line(message)


def test_all_is_every_variant_of_every_environment():
    assert sorted({id for id, *_ in every()}) == sorted(ENVIRONMENTS)
    report = reported("agentrl/Lcquad-v0", "", {}, 1, 0)
    assert "\n".join(lines(report)) == (
        "agentrl/Lcquad-v0: not checked: it needs file: give key=value"
    )


USERS = """
from agentrl import Reply, TextEnv
from agentrl.testing import conformance_test

class Reverse(TextEnv):
    def new_task(self, rng): return {"word": "".join(rng.choice(list("abcd"), size=6))}
    def begin(self, data): return f"Reverse {data['word']}."
    def act(self, text): return Reply(done=True, success=text == self.oracle())
    def oracle(self): return self.data["word"][::-1]

class Generous(Reverse):
    def act(self, text):
        return Reply(done=True, success=text == self.oracle(), parts={"said": 2.0 * (text == "")})

def test_mine(conforms): conforms(Reverse, tasks=1)
def test_broken(conforms): conforms(Generous, tasks=1)
def test_shipped(conforms): conforms("agentrl/Echo-v0", tasks=1, turns=2)
test_rule = conformance_test(Reverse, tasks=1)
"""


def test_the_plugin_checks_users_environments(tmp_path):
    (tmp_path / "test_users.py").write_text(USERS)
    arguments = ["-p", "no:cacheprovider", "-p", "agentrl.testing", "-W", "error", "-q"]
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "best: saying '' earns more than the oracle's 1 at task " in done.stdout
    assert f"1 failed, {2 + len(RULES) - 2} passed, 2 skipped" in done.stdout


def test_the_plugin_is_light():
    code = "import sys, agentrl.testing; print(*{'torch', 'gymnasium'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
