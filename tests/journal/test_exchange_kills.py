"""`kill -9` of either trainer at random points: every record is trained once, none is lost."""

import json
import random
import time

import pytest
from partners import processes
from traders import consume, produce
from trades import TOPIC, name_of

from agentrl.journal import Journal
from agentrl.journal.exchange import Exchange

STEPS = 60


@pytest.fixture(scope="module")
def context():
    with processes() as context:
        yield context


def lives(path):
    """How often a trader has begun."""
    told = path.with_suffix(".lives")
    return len(told.read_text()) if told.exists() else 0


def begin(context, target, path, *arguments):
    """Start a trader and see it begin; the process."""
    before = lives(path)
    started = context.Process(target=target, args=arguments)
    started.start()
    while lives(path) == before and started.is_alive():
        time.sleep(0.005)
    return started


def killed_at_random(context, starts, kills, draws):
    """Kill one or the other so many times, go on, and wait for both to end well."""
    running = {path: begin(context, target, path, *rest) for path, (target, *rest) in starts}
    done = 0
    while done < kills:
        time.sleep(draws.random() * 0.25)
        path, (target, *rest) = draws.choice(starts)
        if running[path].is_alive():
            running[path].kill()
            done += 1
        running[path].join()
        running[path] = begin(context, target, path, *rest)
    for process in running.values():
        process.join(240)
        assert process.exitcode == 0


def trained_once(url, producer, consumer):
    """Compare the consumer's last checkpoint with what survives of the producer's run."""
    trained = json.loads(consumer.read_text())["trained"]
    with Journal.open(url, create=False) as journal:
        survive = [
            name_of(group) for group in journal.groups(json.loads(producer.read_text())["run"])
        ]
        ledger = Exchange(journal.begin({})).ledger(TOPIC, allowed_seconds=0.0)
    assert len(trained) == len(set(trained))
    assert set(survive) <= set(trained)
    assert (len(survive), ledger.offered, ledger.trained) == (2 * STEPS,) * 3
    assert (ledger.exact, ledger.twice, ledger.never, ledger.refused) == (True, (), (), 0)
    assert ledger.taken_back == len(trained) - len(survive)
    return ledger


@pytest.mark.service
@pytest.mark.parametrize("seed", range(3))
def test_twenty_kills_lose_nothing_and_repeat_nothing(context, url, tmp_path, seed):
    Journal.open(url).close()
    producer, consumer = tmp_path / "producer", tmp_path / "consumer"
    starts = [
        (producer, (produce, url, str(producer), STEPS, seed)),
        (consumer, (consume, url, str(consumer), str(producer), STEPS, seed)),
    ]
    killed_at_random(context, starts, 20, random.Random(seed))
    assert lives(producer) + lives(consumer) >= 22
    trained_once(url, producer, consumer)
