"""`kill -9` of either real trainer at random points: every record is trained once, none is lost."""

import json
import random
import time
from collections import Counter

import pytest
from partners import BOTH, go_on, lives, processes

from agentrl.checkpoint import checkpoints
from agentrl.journal import Journal
from agentrl.journal.exchange import Exchange
from agentrl.journal.folder import opened, run_of

KILLS, STEPS = 20, 40
SETTINGS = {
    "train": {"steps": STEPS, "checkpoint_every": 3},
    "warm_start": {"steps": 20, "episodes": 16, "batch": 8},
    "exchange": {"deadline_seconds": 300.0},  # whoever waits, waits for several kills
}


@pytest.fixture(scope="module")
def context():
    with processes() as context:
        yield context


def begin(context, out, only, sections):
    """Start a trainer and see it begin."""
    before = lives(out / only)
    process = context.Process(target=go_on, args=(out, only, sections))
    process.start()
    while lives(out / only) == before and process.is_alive():
        time.sleep(0.01)
    return process


def killed_at_random(context, out, sections, draws):
    """Kill one or the other twenty times and go on; then both end well."""
    running = {only: begin(context, out, only, sections) for only in BOTH}
    killed = Counter()
    while killed.total() < KILLS:
        time.sleep(draws.random() * 2.5)
        only = draws.choice(BOTH)
        if running[only].is_alive():
            running[only].kill()
            killed[only] += 1
        running[only].join()
        running[only] = begin(context, out, only, sections)
    for process in running.values():
        process.join(300)
        assert process.exitcode == 0
    return killed


def sampled_by_sub(groups):
    """Each group as what `sub` sampled in it, exactly: ids and log-probs."""
    return [
        b"".join(
            turn.completion.ids.tobytes() + turn.completion.logprobs.tobytes()
            for episode in group.episodes
            for trajectory in episode.trajectories
            for turn in trajectory.turns
            if turn.completion.policy == "sub"
        )
        for group in groups
    ]


def surviving(folder):
    """What a trainer's surviving lineage has recorded, by its last checkpoint's run."""
    with opened(folder) as (journal, run):
        return Counter(sampled_by_sub(journal.groups(run)))


@pytest.mark.service
def test_twenty_kills_lose_nothing_and_repeat_nothing(context, url, tmp_path):
    out, sections = tmp_path / "run", {**SETTINGS, "journal": {"url": url}}
    killed = killed_at_random(context, out, sections, random.Random(7))
    assert all(killed[only] > 3 for only in BOTH)
    main, sub = (surviving(out / only) for only in BOTH)
    with Journal.open(url) as journal:
        ledger = Exchange(journal.begin({}), str(out)).ledger("sub", allowed_seconds=0.0)
    assert (ledger.exact, ledger.twice, ledger.never) == (True, (), ())
    assert (ledger.offered, ledger.trained) == (2 * STEPS, 2 * STEPS)
    assert not main - sub, "lost"
    assert (sub - main).total() == ledger.taken_back, "trained what nobody offered, or twice"
    assert set(sub.values()) == {1}
    ended = json.loads((checkpoints(out / "sub")[-1] / "state.json").read_text())
    assert ended["journal"]["run"] == run_of(out / "sub")
