"""Household games: steps per second of the simulator and of the reference, the same commands.

    [AGENTRL_ALFWORLD_PYTHON=...] python benchmarks/alfworld_stepping.py

The reference runs in an environment of its own (`make env-alfworld`) and is asked over a pipe; the
two alternate, game by game, with text and admissible commands after every step. Prints the medians
over the games and their ratio, for a step and for loading a game file up to its first text.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from random import Random

from agentrl.envs.alfworld.game import TASKS
from agentrl.envs.alfworld.pddl import read_game, write_game
from agentrl.envs.alfworld.rooms import make_game
from agentrl.envs.alfworld.rules import Rules
from agentrl.envs.alfworld.world import World

ROOT = Path(__file__).parents[1]
PYTHON = Path(os.environ.get("AGENTRL_ALFWORLD_PYTHON", ROOT / ".venv-alfworld" / "bin" / "python"))
STEPPER = ROOT / "tests" / "services" / "alfworld_stepper.py"
STEPS = 25


def walk(game):
    """Commands that an erratic player gives, and how long the simulator takes for them."""
    rng, world, commands = Random(0), World(game), []
    for _ in range(STEPS):
        commands.append(rng.choice(world.admissible()))
        world.step(commands[-1])
    return commands


def ours(path, commands):
    """Seconds to load a game, and seconds a step."""
    started = time.perf_counter()
    world = World(read_game(path))
    loaded = time.perf_counter()
    for command in commands:
        world.step(command)
        world.admissible()
    return loaded - started, (time.perf_counter() - loaded) / len(commands)


def theirs(process, path, commands):
    """The same of the reference."""

    def ask(**what):
        print(json.dumps(what), file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    started = time.perf_counter()
    ask(load=str(path))
    loaded = time.perf_counter()
    for command in commands:
        ask(step=command)
    return loaded - started, (time.perf_counter() - loaded) / len(commands)


def installed():
    """The rules of the package beside the reference's Python."""
    ask = "from importlib.util import find_spec; print(find_spec('alfworld').origin)"
    data = Path(subprocess.check_output([PYTHON, "-c", ask], text=True).strip()).parent / "data"
    return Rules((data / "alfred.pddl").read_text(), (data / "alfred.twl2").read_text())


def measured():
    """[our load, our step, their load, their step] of every game, seconds."""
    rules, pipe = installed(), subprocess.PIPE
    command = [PYTHON, STEPPER]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        ) as process,
    ):
        for task in TASKS:
            game = make_game(task, 0, "official")
            path, commands = write_game(game, Path(folder), rules), walk(game)
            yield [*ours(path, commands), *theirs(process, path, commands)]
        process.stdin.close()


def main():
    """Print steps and loads of both, and their ratios."""
    if not PYTHON.is_file():
        print(f"NOT MEASURED: the reference is installed by `make env-alfworld` ({PYTHON})")
        return
    columns = [statistics.median(column) for column in zip(*measured(), strict=True)]
    for what, our, their in zip(("load", "step"), columns[:2], columns[2:], strict=True):
        print(f"{what}  {1000 * our:.3f} ms, reference {1000 * their:.0f} ms: {their / our:.0f} x")


if __name__ == "__main__":
    main()
