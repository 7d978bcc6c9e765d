"""Worker processes that die or hang: only the game they were busy with is lost."""

import contextlib
import importlib.util
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentrl.env import make
from agentrl.envs.textworld import threads
from agentrl.envs.textworld.backing import Backing
from agentrl.envs.textworld.games import makes_here
from agentrl.envs.textworld.processes import Crew, Game, Worker
from agentrl.envs.textworld.threads import ThreadGame
from agentrl.errors import EnvError

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("textworld"), reason="NOT CHECKED HERE: needs agentrl[textworld]"
)
WAY = [
    "take type J keycard from mantle",
    "unlock type J chest with type J keycard",
    "open type J chest",
    "take desktop computer from type J chest",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder of made games."""
    return str(tmp_path_factory.mktemp("games"))


@pytest.fixture(scope="module")
def crew():
    """Two workers that are this module's alone; those that tests lose are replaced."""
    own = Crew(2)
    yield own
    own.close()


@pytest.fixture
def begun(crew, cache):
    """Makes games that have begun and taken the first command."""
    request = {"level": "w2-o3-q4", "seed": 1, "cache": cache, "infos": [], "compact": True}
    games = []

    def begin(seconds=20.0):
        games.append(Game(crew, request, seconds, 60.0))
        games[-1].begin()
        games[-1].step(WAY[0])
        return games[-1]

    yield begin
    for game in games:
        game.end()


def won(game):
    """Whether the rest of the walkthrough wins."""
    return [game.step(command)["won"] for command in WAY[1:]][-1]


def stop(game):
    """Let the worker of a game hang."""
    os.kill(game._worker.process.pid, signal.SIGSTOP)


def test_games_are_spread_over_the_workers(begun):
    games = [begun() for _ in range(4)]
    assert len({game._worker.process.pid for game in games}) == 2
    assert all(map(won, games))


def test_games_of_a_worker_that_was_killed_go_on_elsewhere(begun, crew):
    games = [begun() for _ in range(4)]
    lost = games[0]._worker
    lost.process.kill()
    lost.process.wait()
    assert all(map(won, games))
    assert len([worker for worker in crew._workers if worker.alive]) == 2
    assert lost not in crew._workers


def test_a_worker_that_died_while_nobody_asked_leaves_nothing_behind():
    own = Crew(1)
    for _ in range(2):
        lost = own.worker()
        lost.process.kill()
        lost.process.wait()
    assert own.worker() is not lost
    lost.reader.join(timeout=30)
    assert not lost.reader.is_alive()
    assert lost.lines.connection.fileno() == -1
    own.close()


def test_an_interrupt_ends_a_worker_without_a_word(capfd, crew):
    crew.ask({"do": "words", "show": []}, 60.0)
    worker = crew.worker()
    worker.ask({"do": "words", "show": []}, 60.0)
    worker.process.send_signal(signal.SIGINT)
    assert worker.process.wait(timeout=30) == -signal.SIGINT
    assert "KeyboardInterrupt" not in capfd.readouterr().err


def test_only_one_thread_makes_games():
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(makes_here).result()


def test_a_worker_that_hangs_costs_one_episode(begun):
    hung, other, third = begun(seconds=0.5), begun(), begun()
    assert third._worker is hung._worker
    stop(hung)
    with pytest.raises(EnvError, match=r"'open type J chest': the game was given up, it did not"):
        hung.step(WAY[2])
    assert won(third)
    assert won(other)
    assert hung._worker is None


def test_a_worker_that_dies_over_a_command_costs_one_episode(begun):
    games = [begun() for _ in range(4)]
    worker, answers = games[0]._worker, {}
    busy = [game for game in games if game._worker is worker]
    stop(games[0])

    def ask(game):
        with contextlib.suppress(EnvError):
            answers[id(game)] = game.step(WAY[1])

    threads = [threading.Thread(target=ask, args=(game,)) for game in busy]
    for number, thread in enumerate(threads):
        thread.start()
        while len(worker._waiting) <= number:
            time.sleep(0.01)
    worker.process.kill()
    for thread in threads:
        thread.join()
    assert list(answers) == [id(busy[1])]
    assert busy[1].step(WAY[2])["said"].startswith("You open the type J chest")


def test_a_worker_ends_with_its_owner():
    worker = Worker()
    worker.lines.connection.close()
    assert worker.process.wait(timeout=30) == 0


def test_what_a_worker_refuses_does_not_end_it(begun, crew):
    game = begun()
    with pytest.raises(EnvError, match="AttributeError"):
        crew.ask({"do": "dance"}, 10.0)
    assert won(game)


def test_an_episode_can_be_given_up_and_the_next_one_begun(cache, crew, monkeypatch):
    monkeypatch.setattr(Backing, "crew", crew)
    env = make("agentrl/TextWorld-v0", cache=cache, step_seconds=0.5)
    task = {"task": {"level": "w2-o3-q4", "seed": 1}}
    first = env.reset(options=task)
    stop(env.game)
    with pytest.raises(EnvError, match="given up"):
        env.step(WAY[0])
    assert env.reset(options=task) == first
    env.close()
    env.close()


class Scripted:
    """A game without TextWorld."""

    def begin(self):
        return {}

    def step(self, command):
        return {}


def test_a_game_that_begins_too_late_is_nobodys(monkeypatch):
    go_on, game = threading.Event(), ThreadGame({}, 20.0, 0.1)
    monkeypatch.setattr(threads, "Play", lambda request: go_on.wait(10) and Scripted())
    with pytest.raises(EnvError, match=r"beginning: .* no answer within 0.1 s"):
        game.begin()
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "agentrl-textworld-game":
            thread.join()
    with pytest.raises(EnvError, match="was given up"):
        game.step("look")


def test_threads_are_given_up_too(cache, monkeypatch):
    env = make("agentrl/TextWorld-v0", cache=cache, workers="threads", step_seconds=0.2)
    env.reset(options={"task": {"level": "w2-o3-q4", "seed": 1}})
    monkeypatch.setattr(env.game._play, "step", lambda command: time.sleep(2))
    with pytest.raises(EnvError, match=r"no answer within 0.2 s"):
        env.step("look")
    with pytest.raises(EnvError, match="was given up: begin another"):
        env.step("look")
