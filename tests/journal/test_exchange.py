"""The exchange: who gets what, for how long, and what is left when somebody is killed."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from arbitrary import same
from builders import group, turn
from trades import TOPIC, Clock, name_of, played, query, resumed, trader

from agentrl.errors import ConfigError, DataError
from agentrl.journal import Journal
from agentrl.journal.exchange import Terms
from agentrl.journal.ledger import topics
from agentrl.journal.waiting import Patience, await_offers, await_room
from agentrl.types import Trajectory

ALL = Terms(count=99)
SHORT = Patience(poll_seconds=0.001, deadline_seconds=0.01)


@pytest.fixture
def pair(journal):
    """A producer that offered three groups in step 0, and a consumer."""
    producer, consumer = trader(journal), trader(journal)
    assert played(producer, 0, "abc") == 3
    return producer, consumer


def names(exchange, taken):
    """Which groups somebody got."""
    return "".join(map(name_of, exchange.groups(taken.offers)))


def counts(exchange):
    """Of the ledger: offered, trained, refused, waiting, leased, twice, never, taken back."""
    return exchange.ledger(TOPIC, 3600.0)[2:]


def test_offers_are_taken_once_oldest_first(pair):
    _, consumer = pair
    first, second = (consumer.take(TOPIC, 0, Terms(count=2)) for _ in range(2))
    assert (names(consumer, first), names(consumer, second)) == ("ab", "c")
    assert consumer.take(TOPIC, 0, ALL).offers == []
    assert (consumer.waiting(TOPIC), consumer.free(TOPIC)) == (3, 0)
    consumer.acknowledge(0, [*first.offers, *second.offers])
    assert counts(consumer) == (3, 3, 0, 0, 0, (), (), 0)


def test_fewer_than_the_least_are_left(pair):
    _, consumer = pair
    assert consumer.take(TOPIC, 0, Terms(count=9, least=4)).offers == []
    assert len(consumer.take(TOPIC, 0, Terms(count=9, least=3)).offers) == 3


def test_a_killed_consumers_work_is_free_again_at_once(pair):
    _, consumer = pair
    for step in (0, 1):
        consumer.acknowledge(step, consumer.take(TOPIC, step, Terms()).offers)
    held = consumer.take(TOPIC, 2, Terms())
    again = resumed(consumer, 1)
    assert names(again, held) == "c"
    assert names(again, again.take(TOPIC, 1, ALL)) == "bc"


def test_a_killed_producers_offers_are_nobodys(pair):
    producer, consumer = pair
    for step, name in ((1, "d"), (2, "e")):
        played(producer, step, name)
    consumer.acknowledge(0, consumer.take(TOPIC, 0, Terms(count=4)).offers)
    again = resumed(producer, 1)
    assert (consumer.waiting(TOPIC), consumer.take(TOPIC, 1, ALL).offers) == (0, [])
    assert counts(consumer) == (3, 3, 0, 0, 0, (), (), 1)
    played(again, 1, "f")
    assert names(consumer, consumer.take(TOPIC, 1, ALL)) == "f"


def test_the_ledger_forgets_what_a_kill_undid(pair):
    consumer = pair[1]
    for step, one in enumerate(consumer.take(TOPIC, 0, ALL).offers):
        consumer.acknowledge(step, [one], refused=[])
    assert resumed(consumer, 1).ledger(TOPIC)[2:6] == (3, 1, 0, 2)
    for one in pair:
        resumed(one, 0)
    assert counts(consumer) == (0, 0, 0, 0, 0, (), (), 0)


def test_topics_are_listed(pair):
    played(trader(pair[0].journal, channel="b"), 0, "a")
    with pair[0].journal.reading() as connection:
        assert topics(connection) == [("", TOPIC), ("b", TOPIC)]


def test_an_offers_version_is_that_of_its_oldest_token(journal):
    said = turn([1], [2, 3])
    mixed = replace(said.completion, version=9, versions=np.array([7, 9]))
    cast = [Trajectory(), Trajectory(agent=TOPIC, turns=(said, replace(said, completion=mixed)))]
    late = [cast[0], replace(cast[1], turns=cast[1].turns[1:])]
    exchange, told = trader(journal), [group(cast), group(late)]
    exchange.offer(TOPIC, 0, exchange.writer.groups(0, told), told, policy="main")
    assert [offer.version for offer in exchange.take(TOPIC, 0, ALL).offers] == [0, 7]


def test_a_lease_runs_out_and_its_loser_cannot_acknowledge(journal):
    clock = Clock()
    producer, slow, fast = (trader(journal, clock=clock) for _ in range(3))
    played(producer, 0, "ab")
    held = slow.take(TOPIC, 0, Terms(count=2, seconds=10))
    clock.now += 9.9
    assert fast.take(TOPIC, 0, Terms()).offers == []
    clock.now += 0.2
    taken = fast.take(TOPIC, 0, Terms())
    with pytest.raises(DataError, match=r"the offers \[\d+\] are not this trainer's any more"):
        slow.acknowledge(0, held.offers)
    fast.acknowledge(0, taken.offers)
    slow.acknowledge(0, held.offers[1:])  # it ran out, but nobody took it
    assert counts(fast) == (2, 2, 0, 0, 0, (), (), 0)


def test_a_lease_is_prolonged_and_given_back(journal):
    clock = Clock()
    producer, one, other = (trader(journal, clock=clock) for _ in range(3))
    played(producer, 0, "ab")
    held = one.take(TOPIC, 0, Terms(count=2, seconds=10))
    one.prolong(held.offers, 100)
    clock.now += 50
    assert other.take(TOPIC, 0, ALL).offers == []
    one.prolong(held.offers[:1], 0)
    assert names(other, other.take(TOPIC, 0, ALL)) == "a"
    with pytest.raises(DataError, match="not this trainer's"):
        one.prolong(held.offers, 100)


def test_a_lease_is_of_the_databases_clock(pair, monkeypatch):
    _, consumer = pair
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert len(consumer.take(TOPIC, 0, ALL).offers) == 3
    assert consumer.free(TOPIC) == 0


def test_an_acknowledgement_is_all_or_nothing_and_once(pair):
    _, consumer = pair
    mine = consumer.take(TOPIC, 0, Terms(count=2)).offers
    foreign = trader(consumer.journal).take(TOPIC, 0, Terms()).offers
    for those in ([*mine, *foreign], [mine[0], mine[0]]):
        with pytest.raises(DataError):
            consumer.acknowledge(0, those)
    assert consumer.ledger(TOPIC).trained == 0
    consumer.acknowledge(0, mine)
    with pytest.raises(DataError):
        consumer.acknowledge(1, mine)
    assert counts(consumer)[:4] == (3, 2, 0, 1)


def test_who_was_succeeded_is_told_to_end(pair):
    producer, consumer = pair
    held = consumer.take(TOPIC, 0, Terms()).offers
    for one in pair:
        resumed(one, 1)
    says = r"life 0 of run \w+ was resumed as life 1: end this process"
    for act in (
        lambda: consumer.acknowledge(0, held),
        lambda: consumer.take(TOPIC, 0, ALL),
        lambda: producer.offer(TOPIC, 5, 0, []),
        lambda: producer.publish("small", 0, 1, "here"),
    ):
        with pytest.raises(DataError, match=says):
            act()


def test_a_killed_lifes_version_is_as_old_as_the_step_that_made_it(journal):
    producer, consumer = trader(journal), trader(journal)
    for version in (0, 1, 2):
        consumer.publish("small", version - 1, version, "folder")
        played(producer, version, str(version), version=version)
    again = resumed(consumer, 0)
    again.publish("small", -1, 3, "folder")  # the weights of version 0
    taken = again.take(TOPIC, 0, Terms(count=3, max_lag=2))
    assert (taken.refused, again.lags(taken.offers)) == (0, [0, 1, 2])


def test_offers_too_old_are_refused_and_counted(journal):
    producer, consumer = trader(journal), trader(journal)
    for step, version in enumerate((0, 3, 5, 9)):
        played(producer, step, str(version), version=version)
    consumer.publish("small", 0, 5, "folder")
    taken = consumer.take(TOPIC, 1, Terms(count=2, max_lag=2))
    assert (names(consumer, taken), taken.refused) == ("35", 1)
    assert consumer.take(TOPIC, 1, Terms(count=2, max_lag=2)) == ([], 1)  # sampled by one that died
    consumer.acknowledge(1, taken.offers[:1], refused=taken.offers[1:])
    assert counts(consumer) == (4, 1, 3, 0, 0, (), (), 0)
    assert resumed(consumer, 1).free(TOPIC) == 4


def test_a_policys_newest_version_is_of_the_surviving_lineage(journal):
    trainer = trader(journal)
    assert trainer.newest("small") is None
    for step in (-1, 0, 1):
        trainer.publish("small", step, step + 1, f"step {step}")
    assert trainer.newest("small")[3:6] == (1, 2, "step 1")
    again = resumed(trainer, 1)
    assert again.newest("small").version == 1
    again.publish("small", 1, 2, "again")
    assert trader(journal).newest("small").location == "again"
    assert trader(journal, channel="other").newest("small") is None


def test_a_version_is_published_once_in_a_life(journal):
    trainer = trader(journal)
    trainer.publish("small", 0, 1, "here")
    with pytest.raises(DataError, match="cannot publish a policy in"):
        trainer.publish("small", 1, 1, "there")


def test_channels_do_not_see_each_other(journal):
    producer, consumer = trader(journal, channel="one"), trader(journal, channel="two")
    played(producer, 0, "a")
    assert consumer.waiting(TOPIC) == consumer.free(TOPIC) == consumer.ledger(TOPIC).offered == 0
    assert producer.ledger(TOPIC).offered == 1


def test_groups_are_read_as_recorded(journal):
    producer, consumer = trader(journal), trader(journal)
    told = [query("a"), query("b", version=7)]
    producer.offer(TOPIC, 0, producer.writer.groups(0, told), told, policy="small")
    taken = consumer.take(TOPIC, 0, ALL)
    assert [offer.version for offer in taken.offers] == [0, 7]
    for made, read in zip(reversed(told), consumer.groups(taken.offers[::-1]), strict=True):
        for before, after in zip(made.episodes, read.episodes, strict=True):
            assert same(after.trajectories, before.trajectories)


def test_a_group_without_the_agent_is_not_offered(journal):
    producer = trader(journal)
    assert played(producer, 0, "ab", calls=0) == 0
    assert producer.ledger(TOPIC).offered == 0


def test_one_policy_can_be_trained_on_what_another_sampled(journal):
    producer, told = trader(journal), [query("a")]
    first = producer.writer.groups(0, told)
    assert producer.offer("large", 0, first, told, policy="small") == 1
    assert producer.offer("small", 0, first, told) == 1
    assert [offer.policy for offer in trader(journal).take("large", 0, ALL).offers] == ["small"]


def test_what_is_not_written_cannot_be_offered_nor_twice(pair):
    producer, _ = pair
    for step, first in ((0, 0), (1, 0)):
        with pytest.raises(DataError, match="cannot offer groups in the journal"):
            producer.offer(TOPIC, step, first, [query("a", step)], policy="small")
    assert producer.waiting(TOPIC) == 3


def test_the_ledger_finds_what_was_forgotten(pair):
    _, consumer = pair
    assert consumer.ledger(TOPIC).exact
    found = consumer.ledger(TOPIC, allowed_seconds=0.0)
    assert (len(found.never), found.waiting, found.exact) == (3, 0, False)


def test_a_deadline_says_who_is_missing(journal):
    producer, consumer = trader(journal), trader(journal)
    with pytest.raises(DataError, match=r"wanted are 1: no producer of 'searcher' has ever been"):
        await_offers(consumer, TOPIC, 0, ALL, SHORT)
    played(producer, 0, "a")
    with pytest.raises(DataError, match=r"1 offers.*the bound is 1: no trainer of 'searcher' has"):
        await_room(producer, TOPIC, 1, patience=SHORT)
    await_offers(consumer, TOPIC, 0, ALL, SHORT)
    with pytest.raises(DataError, match=rf"run {consumer.life['run']}, life 0\) was last heard"):
        await_room(producer, TOPIC, 1, patience=SHORT)
    with pytest.raises(DataError, match=rf"0 .* are free and 1 leased.*{producer.life['run']}"):
        await_offers(consumer, TOPIC, 0, ALL, SHORT)


def test_waiting_is_cancelled(pair):
    looks = iter([False, True, True])
    patience = Patience(poll_seconds=0.001, cancelled=lambda: next(looks))
    producer, consumer = pair
    assert not await_room(producer, TOPIC, 3, patience=patience)
    assert await_offers(consumer, TOPIC, 0, Terms(count=9, least=4), patience) == ([], 0)


def test_what_never_can_be_is_refused(pair):
    with pytest.raises(ConfigError, match="a step offers 4 groups, the bound is 3"):
        await_room(pair[0], TOPIC, 3, adding=4)
    with pytest.raises(ConfigError, match="least is 2: give 1 to count=1"):
        Terms(least=2)
    with pytest.raises(ConfigError, match="poll_seconds is 0"):
        Patience(poll_seconds=0)


def test_a_fast_producer_stays_within_the_bound(url):
    seen, eager = [], Patience(poll_seconds=0.002, deadline_seconds=120)

    def produce():
        with Journal.open(url) as journal:
            producer = trader(journal)
            for step in range(8):
                await_room(producer, TOPIC, 4, adding=2, patience=eager)
                played(producer, step, "ab")
                seen.append(producer.waiting(TOPIC))

    fast = threading.Thread(target=produce)
    with Journal.open(url) as journal:
        consumer = trader(journal)
        fast.start()
        await_offers(consumer, TOPIC, 0, Terms(count=4, least=4, seconds=0.001), eager)
        for step in range(16):
            time.sleep(0.01)
            got = await_offers(consumer, TOPIC, step, Terms(), eager)
            consumer.acknowledge(step, got.offers)
        fast.join()
        assert (max(seen), counts(consumer)[:2]) == (4, (16, 16))


def test_two_consumers_at_once_never_train_the_same(pair, url):
    producer, _ = pair
    for step in range(1, 6):
        played(producer, step, "defg")
    got = {0: [], 1: []}

    def consume(number):
        with Journal.open(url) as journal:
            mine, step = trader(journal), 0
            while taken := mine.take(TOPIC, step, Terms(count=2)).offers:
                mine.acknowledge(step, taken)
                got[number] += [offer.id for offer in taken]
                step += 1

    both = [threading.Thread(target=consume, args=(number,)) for number in got]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(got[0] + got[1]) == sorted({*got[0], *got[1]})
    assert counts(producer) == (23, 23, 0, 0, 0, (), (), 0)
