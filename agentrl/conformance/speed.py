"""What stepping costs: no rule, for machines differ, but what a run's size is planned by."""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.conformance.trials import Make, Speak, able, begun, parrot, stepped
from agentrl.conformance.watch import side_by_side
from agentrl.env import TextEnv
from agentrl.types import Task

NUM_INSTANCES = (1, 16, 64, 256)
MEASURED = 32
"""Instances whose memory is looked at."""
NUM_TASKS = 8


def speed(make: Make, seconds: float = 5.0) -> dict[str, Any]:
    """Latency of a step, memory of an instance, steps per second of many, within a budget of time.

    - `p50_ms`, `p99_ms`: of `step` alone, on one instance; None where no step was made in time.
    - `kilobytes`: what this process needs per instance that has begun an episode; what instances
      share is not counted, nor what other processes hold for them.
    - `steps_per_second`: by number of instances, each in a thread of its own as in a rollout, with
      resets and players. Numbers of which not all instances could be made in time are left out.

    The expert plays, else the oracle, else the null player.
    """
    env = make()
    env.reset(seed=0)
    name, speak = player(env)
    tasks = env.tasks("train", NUM_TASKS, 0)
    taken = list(steps(env, speak, tasks, 0, seconds / 5))
    kilobytes, envs = memory(make, tasks, seconds / 5)
    share = seconds / 5
    rates: dict[str, float] = {}
    for count in NUM_INSTANCES:
        deadline = time.perf_counter() + share
        while len(envs) < count and time.perf_counter() < deadline:
            envs.append(make())
        if len(envs) >= count:
            rates[str(count)] = round(rate(envs[:count], speak, tasks, share / 2), 1)
    for one in (env, *envs):
        one.close()
    p50, p99 = (np.percentile(taken, (50, 99)) * 1000).round(4).tolist() if taken else (None, None)
    told = {"p50_ms": p50, "p99_ms": p99, "kilobytes": kilobytes}
    return {"player": name, "steps": len(taken), **told, "steps_per_second": rates}


def player(env: TextEnv) -> tuple[str, Speak]:
    """Who plays: the expert's episodes are the likest to a policy's."""
    own = able(env)
    names = [name for name in ("the expert", "the oracle") if name in own]
    return (names[0], own[names[0]]) if names else ("saying ''", parrot(""))


def steps(
    env: TextEnv, speak: Speak, tasks: Sequence[Task], number: int, seconds: float
) -> Iterator[float]:
    """Seconds that each step takes in episodes of the tasks, until the time is over."""
    rng, step = np.random.default_rng(number), None
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        if step is None or step.over:
            step, number = begun(env, 0, tasks[number % len(tasks)]), number + 1
        else:
            said = speak(env, rng, step.text)
            started = time.perf_counter()
            step = stepped(env, said)
            yield time.perf_counter() - started


def memory(make: Make, tasks: Sequence[Task], seconds: float) -> tuple[float | None, list[TextEnv]]:
    """Kilobytes per instance, where they can be told; and the instances.

    The greater of what the process grows by, which misses what fits into memory that it holds
    already, and what Python allocates, which misses what other languages do.
    """
    before = resident()
    envs = begun_envs(make, tasks, MEASURED, seconds / 2)
    after = resident()
    tracemalloc.start()
    traced = begun_envs(make, tasks, MEASURED // 4, seconds / 2)
    allocated = tracemalloc.get_traced_memory()[0] / max(1, len(traced))
    tracemalloc.stop()
    if before is None or after is None or not envs:
        return None, [*envs, *traced]
    return round(max((after - before) / len(envs), allocated) / 1024, 1), [*envs, *traced]


def begun_envs(make: Make, tasks: Sequence[Task], most: int, seconds: float) -> list[TextEnv]:
    """Instances that have begun an episode, as many as can be had in time."""
    deadline, envs = time.perf_counter() + seconds, list[TextEnv]()
    while len(envs) < most and time.perf_counter() < deadline:
        envs.append(make())
        begun(envs[-1], 0, tasks[len(envs) % len(tasks)])
    return envs


def resident() -> int | None:
    """Bytes that this process holds in memory; None where the system does not tell."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * resource.getpagesize() if told.exists() else None


def rate(envs: Sequence[TextEnv], speak: Speak, tasks: Sequence[Task], seconds: float) -> float:
    """Steps a second of instances that play side by side."""
    started = time.perf_counter()

    def count(number: int) -> int:
        return sum(1 for _ in steps(envs[number], speak, tasks, number, seconds))

    total = sum(side_by_side(count, range(len(envs))))
    return total / (time.perf_counter() - started)
