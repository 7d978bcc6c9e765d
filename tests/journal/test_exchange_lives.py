"""Random kills of both sides, against a model that takes back by hand what a kill undoes."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trades import TOPIC, Clock, played, resumed, trader

from agentrl.errors import DataError
from agentrl.journal.exchange import Terms

NUMBERS = count()
SHARED = settings(suppress_health_check=list(HealthCheck), max_examples=15)
WHO = st.integers(0, 1)
ACTS = st.one_of(
    st.tuples(st.just("play"), st.integers(1, 2)),
    st.tuples(st.just("play"), st.integers(1, 2)),
    st.tuples(st.just("save"), st.just(None)),
    st.tuples(st.just("kill"), st.just(None)),
    st.tuples(st.just("later"), st.sampled_from([4, 11])),
    st.tuples(st.just("take"), WHO),
    st.tuples(st.just("take"), WHO),
    st.tuples(st.just("train"), WHO),
    st.tuples(st.just("train"), WHO),
    st.tuples(st.just("store"), WHO),
    st.tuples(st.just("shoot"), WHO),
)
LEASE = Terms(count=2, seconds=10)


class Consumer:
    """A trainer whose weights are the list of what it trained, with its last checkpoint."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.step, self.weights, self.hand = 0, [], []
        self.saved = (0, [])


class Market:
    """A producer and two consumers, as the journal has them and as a naive model does."""

    def __init__(self, journal):
        self.clock, self.channel = Clock(), str(next(NUMBERS))
        self.producer, *traders = (
            trader(journal, channel=self.channel, clock=self.clock) for _ in range(3)
        )
        self.consumers = [Consumer(exchange) for exchange in traders]
        self.step, self.saved = 0, 0
        self.offered = {}
        """Step of each surviving offer, by its id; all ids count up together."""
        self.leases = {}
        """By offer: the consumer, and until when; a killed consumer's are gone."""

    def play(self, size):
        played(self.producer, self.step, ["x"] * size)
        with self.producer.journal.reading() as connection:
            last = connection.exec_driver_sql("SELECT max(id) FROM offers").scalar_one()
        self.offered |= dict.fromkeys(range(last - size + 1, last + 1), self.step)
        self.step += 1

    def save(self, _):
        self.saved = self.step

    def kill(self, _):
        self.producer = resumed(self.producer, self.saved)
        self.step = self.saved
        self.offered = {id: step for id, step in self.offered.items() if step < self.saved}

    def later(self, seconds):
        self.clock.now += seconds

    def take(self, who):
        consumer = self.consumers[who]
        taken = consumer.exchange.take(TOPIC, consumer.step, LEASE).offers
        assert [offer.id for offer in taken] == self.free()[: LEASE.count]
        for offer in taken:
            self.leases[offer.id] = (who, self.clock.now + LEASE.seconds)
        consumer.hand += [o for o in taken if o.id not in {h.id for h in consumer.hand}]

    def train(self, who):
        consumer = self.consumers[who]
        lost = [o for o in consumer.hand if self.leases.get(o.id, (None,))[0] != who]
        hand, consumer.hand = consumer.hand, []
        try:
            consumer.exchange.acknowledge(consumer.step, hand)
        except DataError:
            assert lost
            return
        assert not lost
        consumer.weights += [offer.id for offer in hand]
        consumer.step += 1

    def store(self, who):
        consumer = self.consumers[who]
        consumer.saved = (consumer.step, list(consumer.weights))

    def shoot(self, who):
        consumer = self.consumers[who]
        consumer.exchange = resumed(consumer.exchange, consumer.saved[0])
        consumer.step, weights = consumer.saved
        consumer.weights, consumer.hand = list(weights), []
        self.leases = {id: held for id, held in self.leases.items() if held[0] != who}

    def trained(self):
        return sorted(id for consumer in self.consumers for id in consumer.weights)

    def free(self):
        done = set(self.trained())
        held = {id for id, (_, until) in self.leases.items() if until > self.clock.now}
        return sorted(id for id in self.offered if id not in done and id not in held)

    def check(self):
        """What the journal says is what the weights and checkpoints are."""
        done, ledger = self.trained(), self.producer.ledger(TOPIC)
        assert len(done) == len(set(done))
        assert self.producer.waiting(TOPIC) == len(self.offered.keys() - set(done))
        assert self.producer.free(TOPIC) == len(self.free())
        assert (ledger.offered, ledger.twice) == (len(self.offered), ())
        assert ledger.trained == len(self.offered.keys() & set(done))
        assert ledger.taken_back == len(set(done) - self.offered.keys())


def traded(journal, acts):
    """Play the acts, then train what is left: all of it once."""
    market = Market(journal)
    for name, argument in acts:
        getattr(market, name)(argument)
        if name in ("train", "kill", "shoot"):
            market.check()
    market.later(11)
    while market.free():
        market.consumers[0].hand = []
        market.take(0)
        market.train(0)
    market.check()
    assert market.offered.keys() <= set(market.trained())
    assert market.producer.ledger(TOPIC, allowed_seconds=0.0).exact


@SHARED
@given(acts=st.lists(ACTS, min_size=5, max_size=20))
def test_weights_and_journal_agree_whoever_is_killed(journal, acts):
    traded(journal, acts)


@pytest.mark.service
@settings(SHARED, max_examples=200, derandomize=False)
@given(acts=st.lists(ACTS, min_size=10, max_size=60))
def test_they_agree_for_long(journal, acts):
    traded(journal, acts)
