"""Players of BFCL for its tests: each is `speak(env, rng) -> text`."""

import json

import numpy as np
from builders import completion

from agentrl.types import Episode, Group, ToolCall, Trajectory, Turn

MODEL = "gpt-4o-2024-11-20-FC"
"""A name that the official command line evaluates; no such model is asked anything."""
FILE = "agentrl_was_here"
"""What no player can make, though some try."""
HOSTILE = (
    ToolCall("os.system", {"command": f"touch {FILE}"}),
    ToolCall("open", {"file": FILE, "mode": "w"}),
    ToolCall("__import__('os').system", {"command": f"touch {FILE}"}),
    ToolCall(f"open('{FILE}', 'w') or ls", {}),
    ToolCall("cat", {f"file_name=str(open('{FILE}', 'w')), mode": 1}),
    ToolCall("__init__", {}),
    ToolCall("_load_scenario", {"scenario": {}}),
    ToolCall("cat.__globals__", {}),
)
BROKEN = ('<tool_call>{"name": "ls"', "<tool_call>[]</tool_call>", f"open('{FILE}', 'w')", "", "[]")


def oracle(env, rng):
    return env.oracle()


def null(env, rng):
    return ""


def expert(env, rng):
    return env.expert(rng)


def hostile(env, rng):
    """A call that is none of the environment's business, or a text that is no call."""
    if rng.random() < 0.3:
        return BROKEN[int(rng.integers(len(BROKEN)))]
    return env.write([HOSTILE[int(rng.integers(len(HOSTILE)))]])


def spoilt(env, rng):
    """The oracle's calls with one argument changed, left out or made up, or one call too many."""
    calls = [(call.name, dict(call.arguments)) for call in env.form.parse(env.oracle()).calls]
    if not calls:
        return env.oracle()
    given = calls[int(rng.integers(len(calls)))][1]
    names = [*given, "made_up"]
    key = names[int(rng.integers(len(names)))]
    values = (1, 1.5, "x", True, None, [], [1], ["x"], {}, {"x": 1}, [{"x": 1}])
    given[key] = values[int(rng.integers(len(values)))]
    if rng.random() < 0.2:
        del given[key]
    calls = calls + calls[:1] if rng.random() < 0.2 else calls
    return env.write([ToolCall(*call) for call in calls])


def mixed(env, rng):
    """Right most of the time, and everything else now and then."""
    players = (oracle, oracle, oracle, oracle, oracle, oracle, spoilt, expert, hostile, null)
    return players[int(rng.integers(len(players)))](env, rng)


def played(env, task, speak):
    """One episode of a task as evaluations see it."""
    rng = np.random.default_rng(int(task.id[:8], 16))
    env.reset(seed=0, options={"task": task})
    turns, ended = [], False
    while not ended:
        said = speak(env, rng)
        reply, reward, terminated, truncated, info = env.step(said)
        turns.append(Turn(spans=(), completion=completion([1], text=said), reply=reply))
        ended = terminated or truncated
    main = Trajectory(
        turns=tuple(turns), reward=reward, success=info["success"], answer=info["answer"]
    )
    return Group(task=task, episodes=(Episode(task=task, trajectories=(main,)),))


def everything(env):
    """All tasks of both splits."""
    return [task for split in ("train", "test") for task in env.tasks(split, 10**9, 0)]


def some(env, count, seed=0):
    """`count` tasks of each of the environment's categories."""
    found = {}
    for task in env.tasks("train", 10**9, seed):
        found.setdefault(task.data["id"].rpartition("_")[0], []).append(task)
    return [task for tasks in found.values() for task in tasks[:count]]


def headers(folder):
    """The first line of every score file by category."""
    files = folder.rglob("BFCL_v4_*_score.json")
    return {
        file.name[len("BFCL_v4_") : -len("_score.json")]: json.loads(
            file.read_text().partition("\n")[0]
        )
        for file in files
    }
