"""Episodes of adapted environments, and what the conformance suite finds in them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agentrl.conformance import examine


def episode(make, seed):
    """Everything an episode says; the expert speaks, its draws following the seed."""
    env, rng, ended = make(), np.random.default_rng(seed), False
    told = [env.reset(seed=seed)]
    while not ended:
        told.append(env.step(env.expert(rng)))
        ended = told[-1][2] or told[-1][3]
    return told


def in_threads(make, seeds):
    """The same episodes, 16 threads at once."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda seed: episode(make, seed), seeds))


def found(make, **options):
    """What conformance finds, without the task that it found it at."""
    verdict = examine(make, tasks=2, **options)
    return {f"{rule}: {finding.split(' task ')[0]}" for rule, finding in verdict.findings}
