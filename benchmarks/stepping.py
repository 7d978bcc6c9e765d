"""What stepping costs: our environments against the raw library, asked for the same information.

Raw is as many processes as workers, each stepping its share of the games in turn, without anybody
to answer to. Ours is the environments in as many threads as games, as in training. Both play the
same commands in games that have begun; runs alternate, and the ratio of the medians is printed, of
the clock and of the processors' time (all processes together), which a busy machine disturbs less.

    python benchmarks/stepping.py [textworld] [--games 64] [--rounds 5] [--steps 20]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agentrl.env import make

RAW_TEXTWORLD = """
import json, sys, textworld
games = json.loads(sys.stdin.readline())
names = ("score", "max_score", "won", "lost", "objective", "feedback", "admissible_commands")
asked = textworld.EnvInfos(**dict.fromkeys(names, True))
envs = [textworld.start(game["path"], asked) for game in games]
for env in envs:
    env.seed(0)
print("ready", flush=True)
while sys.stdin.readline():
    for env in envs:
        env.reset()
    print("begun", flush=True)
    sys.stdin.readline()
    for turn in range(max(len(game["commands"]) for game in games)):
        for env, game in zip(envs, games):
            if turn < len(game["commands"]):
                state, _, _ = env.step(game["commands"][turn])
    print("done", flush=True)
"""


def burnt(pid):
    """Processor seconds of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Raw:
    """The library alone, in processes that step their share of the games."""

    def __init__(self, script, games, size):
        self.processes = []
        for number in range(size):
            process = subprocess.Popen(
                [sys.executable, "-c", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self.processes.append(process)
            self.write(process, json.dumps(games[number::size]))
        self.wait("ready")

    def pids(self):
        """The processes that step."""
        return [process.pid for process in self.processes]

    def write(self, process, line):
        """Tell a process."""
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def wait(self, word):
        """Until all processes have said a word."""
        for process in self.processes:
            line = process.stdout.readline()
            if line.strip() != word:
                raise SystemExit(f"the raw process said {line!r}, not {word!r}")

    def begin(self):
        """Begin all games."""
        for process in self.processes:
            self.write(process, "begin")
        self.wait("begun")

    def play(self):
        """Play all commands."""
        for process in self.processes:
            self.write(process, "go")
        self.wait("done")

    def close(self):
        """End the processes."""
        for process in self.processes:
            process.stdin.close()
            process.wait()


class Ours:
    """The environments, each in a thread of its own."""

    def __init__(self, envs, tasks, commands, workers):
        self.envs, self.tasks, self.commands, self.workers = envs, tasks, commands, workers
        self.pool = ThreadPoolExecutor(len(envs))

    def pids(self):
        """This process and its workers."""
        return [os.getpid(), *self.workers()]

    def begin(self):
        """Begin all games."""
        list(self.pool.map(begun, self.envs, self.tasks))

    def play(self):
        """Play all commands."""
        list(self.pool.map(stepped, self.envs, self.commands))

    def close(self):
        """End the games."""
        for env in self.envs:
            env.close()
        self.pool.shutdown()


def begun(env, task):
    """Start an episode of a task."""
    env.reset(options={"task": task})


def stepped(env, commands):
    """Play commands."""
    for command in commands:
        env.step(command)


def noisy(env, task, steps):
    """Random commands that do something; a game that they happen to win goes on with `look`."""
    rng, found = np.random.default_rng(task.data["seed"]), []
    env.reset(options={"task": task})
    while len(found) < steps:
        command = env.expert(rng)
        if env.step(command)[2]:
            env.reset(options={"task": task})
            return found + ["look"] * (steps - len(found))
        found.append(command)
    return found


def textworld(games, steps):
    """Ours and raw TextWorld with admissible commands and score; `steps` commands a game."""
    from agentrl.envs.textworld.games import place

    def one():
        return make("agentrl/TextWorld-v0", expert_noise=1.0, max_turns=10**6)

    envs = [one() for _ in range(games)]
    tasks = envs[0].tasks("train", games, 0)
    commands = [noisy(envs[0], task, steps) for task in tasks]
    paths = [place(t.data["level"], t.data["seed"], envs[0].backing.cache).path for t in tasks]
    played = [{"path": str(p), "commands": c} for p, c in zip(paths, commands, strict=True)]
    crew = envs[0].backing.crew
    ours = Ours(envs, tasks, commands, crew.pids)
    return ours, Raw(RAW_TEXTWORLD, played, crew.size)


SECTIONS = {"textworld": textworld}


def timed(player):
    """Seconds by the clock and of the processors, of one run."""
    player.begin()
    before, started = sum(map(burnt, player.pids())), time.perf_counter()
    player.play()
    return time.perf_counter() - started, sum(map(burnt, player.pids())) - before


def compare(name, games, steps, rounds):
    """Alternate, and print the medians and their ratio."""
    players = dict(zip(("ours", "raw"), SECTIONS[name](games, steps), strict=True))
    runs = {who: [] for who in players}
    for _ in range(rounds):
        for who, player in players.items():
            runs[who].append(timed(player))
    medians = {}
    for who, times in runs.items():
        players[who].close()
        clock, work = medians[who] = [statistics.median(kind) for kind in zip(*times, strict=True)]
        rates = games * steps / clock, games * steps / work
        print(f"{name:<12}{who:<6}{rates[0]:8.0f} steps/s{rates[1]:8.0f} steps a processor second")
    clock, work = (ours / raw for ours, raw in zip(*medians.values(), strict=True))
    print(f"{name:<12}ratio {clock:8.3f} of the clock {work:8.3f} of the processors")


def main():
    """Run the sections named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], default=[])
    parser.add_argument("--games", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, {given.games} games")
    for name in given.sections or SECTIONS:
        compare(name, given.games, given.steps, given.rounds)


if __name__ == "__main__":
    main()
