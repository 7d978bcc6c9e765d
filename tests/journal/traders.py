"""Two small trainers as processes that can be killed: each has a checkpoint file and the journal.

The weights of the consumer are the list of the groups that it trained, so its last checkpoint says
what was trained, whatever the journal says. Nothing here handles an error: they are killed.
"""

import json
import os
import random
import time
from pathlib import Path

from trades import TOPIC, name_of, query

from agentrl.journal import Journal
from agentrl.journal.exchange import Exchange, Terms
from agentrl.journal.waiting import Patience, await_offers, await_room

PATIENCE = Patience(poll_seconds=0.01, deadline_seconds=120)
CHECKPOINT_EVERY = 3
BOUND = 8


def save(path, state):
    """All or nothing, as a checkpoint is."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(state))
    os.replace(draft, path)


def started(url, path):
    """An exchange of the next life, and the state of the last checkpoint; the first one is made."""
    state = json.loads(path.read_text()) if path.exists() else None
    journal = Journal.open(url)
    if state is None:
        exchange = Exchange(journal.begin({"name": path.name}))
        state = {"run": exchange.life["run"], "step": 0, "trained": []}
        save(path, state)
    else:
        exchange = Exchange(journal.begin({}, state["run"], state["step"]))
    path.with_suffix(".lives").open("a").write("x")
    return exchange, state


def dawdle(random):
    """Be somewhere else at every kill."""
    time.sleep(random.random() * 0.01)


def produce(url, path, steps, seed):
    """Offer two groups a step, named after step, life and place."""
    path, draws = Path(path), random.Random(seed)
    exchange, state = started(url, path)
    life = exchange.life["life"]
    for step in range(state["step"], steps):
        await_room(exchange, TOPIC, BOUND, adding=2, patience=PATIENCE)
        played = [query(f"{step}/{life}/{number}", step) for number in range(2)]
        first = exchange.writer.groups(step, played)
        dawdle(draws)
        exchange.offer(TOPIC, step, first, played, policy="small")
        dawdle(draws)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps:
            save(path, {**state, "step": step + 1})


def consume(url, path, producer, steps, seed):
    """Train until the producer's last checkpoint is of `steps` and nothing is left."""
    path, producer, draws = Path(path), Path(producer), random.Random(seed)
    exchange, state = started(url, path)

    def over():
        ended = producer.exists() and json.loads(producer.read_text())["step"] == steps
        return ended and not exchange.waiting(TOPIC)

    patience = Patience(poll_seconds=0.01, deadline_seconds=120, cancelled=over)
    while taken := await_offers(
        exchange, TOPIC, state["step"], Terms(count=3, seconds=60), patience
    ).offers:
        read = [name_of(group) for group in exchange.groups(taken)]
        dawdle(draws)
        exchange.acknowledge(state["step"], taken)
        dawdle(draws)
        state = {**state, "step": state["step"] + 1, "trained": state["trained"] + read}
        if state["step"] % CHECKPOINT_EVERY == 0:
            save(path, state)
    save(path, state)
