"""A real OpenEnv server in a process of its own: it serves ours, and ours plays it."""

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("openenv") is None:
    pytest.skip("NOT CHECKED HERE: `make env-adapters` installs it", allow_module_level=True)

from learning import speaker, three_steps
from servers import Server, free_port

from agentrl.conformance import Recipe, check_environment
from agentrl.env import make
from agentrl.errors import EnvError
from agentrl.types import Parse

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("default")]
SUDOKU = {"size": 4, "blanks": 4, "max_turns": 6}


@contextmanager
def serving(*words, log):
    """An environment of ours behind OpenEnv."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "agentrl.export.openenv", *words]
    server = Server([*command, "--port", str(port)], port, log)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def sudoku(tmp_path_factory):
    words = [f"{name}={value}" for name, value in SUDOKU.items()]
    with serving("agentrl/Sudoku-v0", *words, log=tmp_path_factory.mktemp("s") / "log") as server:
        yield server


def played(env, say, **reset):
    """Observations, rewards and ends of an episode."""
    steps = [env.reset(**reset)[0]]
    while not (len(steps) > 1 and any(steps[-1][2:4])):
        steps.append(env.step(say(len(steps)))[:4])
    return steps


def test_their_client_plays_ours_like_a_direct_play(sudoku):
    from openenv.core import GenericEnvClient

    direct = make("agentrl/Sudoku-v0", **SUDOKU)
    first, _ = direct.reset(seed=3)
    with GenericEnvClient(base_url=sudoku.url).sync() as client:
        result = client.reset(seed=3)
        assert result.observation["text"] == first
        while not result.done:
            said = direct.oracle()
            text, reward, terminated, truncated, info = direct.step(said)
            result = client.step({"text": said})
            assert (result.observation["text"], result.reward) == (text, reward)
            assert result.done == (terminated or truncated)
            assert result.observation["parts"] == info["parts"]
    assert result.observation["success"]


def test_the_server_says_what_it_serves(sudoku):
    with urllib.request.urlopen(f"{sudoku.url}/metadata", timeout=10) as answer:
        assert json.load(answer)["name"] == "agentrl/Sudoku-v0"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["agentrl/Sodoku-v0"], "did you mean 'agentrl/Sudoku-v0'?\n"),
        (["agentrl/Sudoku-v0", "sizes=4"], "did you mean 'size'?\n"),
        (["agentrl/Sudoku-v0", "size=["], "the value is not YAML\n"),
    ],
)
def test_a_wrong_command_is_one_line(words, told):
    command = [sys.executable, "-P", "-m", "agentrl.export.openenv", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(told)
    assert "Traceback" not in done.stderr


def test_our_adapter_plays_their_server_like_a_direct_play(sudoku):
    served, direct = make("agentrl/OpenEnv-v0", url=sudoku.url), make("agentrl/Sudoku-v0", **SUDOKU)
    for say in (lambda turn: f"r1c{turn}=1", lambda turn: "hm"):
        seen = played(served, say, options={"task": {"game": "openenv", "seed": 5}})
        assert seen == played(direct, say, seed=5)
    served.close()


def test_the_adapter_conforms(sudoku):
    assert check_environment(Recipe("agentrl/OpenEnv-v0", {"url": sudoku.url}), tasks=3) == []


def test_a_server_that_dies_costs_the_episode(tmp_path):
    with serving("agentrl/Echo-v0", log=tmp_path / "log") as server:
        env = make("agentrl/OpenEnv-v0", url=server.url, seconds=5)
        env.reset(seed=0)
        server.kill()
        with pytest.raises(EnvError, match=r"OpenEnv server .*, step"):
            env.step("red")
        with pytest.raises(EnvError, match="does not answer"):
            env.reset(seed=0)
        server.start()
        assert env.reset(seed=0)[0].startswith("say ")
        env.close()


# ---- a server that knows nothing of us ------------------------------------------------------


@contextmanager
def words(log, *options):
    """The server of `openenv_words`."""
    port = free_port()
    script = str(Path(__file__).with_name("openenv_words.py"))
    server = Server([sys.executable, script, str(port), *options], port, log)
    try:
        server.start()
        yield {"url": server.url}
    finally:
        server.kill()


def test_three_steps_of_training_on_their_own(tmp_path):
    model = speaker(tmp_path / "model", {"id": "agentrl/Echo-v0", "words": 2})
    with words(tmp_path / "log") as told:
        assert check_environment(Recipe("agentrl/OpenEnv-v0", told), tasks=3) == []
        env = {"id": "agentrl/OpenEnv-v0", "max_turns": 1, **told}
        steps = three_steps(tmp_path / "run", env, model={"name": model})
    assert max(row["train/success"] for row in steps) > 0


def test_actions_of_several_fields_are_json(tmp_path):
    with words(tmp_path / "log", "twice") as told:
        assert check_environment(Recipe("agentrl/OpenEnv-v0", told), tasks=2) == []
        env = make("agentrl/OpenEnv-v0", reset={"words": ["pink"]}, **told)
        assert json.loads(env.reset(seed=0)[0]) == {"word": "pink", "left": 2}
        for said in ("pink", "[" * 100_000, "[1]", '{"word": "pink"}', '{"word": 1, "times": 2}'):
            text, reward, *_, info = env.step(said)
            assert text.startswith("Error: "), text
            assert (reward, info["parse"]) == (0.0, Parse.MALFORMED)
        _, reward, ended, _, info = env.step('{"word": "pink", "times": 2}')
        assert (reward, ended, info["success"]) == (1.0, True, True)
        env.close()
