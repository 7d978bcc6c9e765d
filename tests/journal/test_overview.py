"""`agentrl journal`: a run in numbers, its lives, and the export by hand."""

import json
from dataclasses import replace

import pytest
from builders import mixed_groups
from runs import cli, one_line, rows
from trades import TOPIC, played, resumed, trader

from agentrl.journal import Journal
from agentrl.journal import overview as overviews
from agentrl.journal.exchange import Terms
from agentrl.journal.reading import Credit


@pytest.fixture
def run(journal):
    """The id of a run of two lives and three steps, the first one's last step replayed."""
    first = journal.begin({"seed": 1})
    for step in (0, 1):
        first.groups(step, of_step(step))
    second = journal.begin({"seed": 1}, first.run, 1)
    second.groups(1, of_step(1))
    second.credits(1, [Credit(0, 0, 0, 0, -2.0, 0.5, 2), Credit(0, 0, 0, 1, 0.5, 0.5, 4)])
    second.credits(1, [Credit(1, 0, 1, 0, 1.0, 1.0, 2)])
    return first.run


def of_step(step):
    return [replace(group, step=step) for group in mixed_groups()]


def test_what_survives_is_counted_once(journal, run):
    found = journal.overview(run)
    assert [life["from_step"] for life in found["lives"]] == [0, 1]
    assert (found["steps"], found["groups"]) == ([0, 1], 6)
    assert found["episodes"] == {"completed": 14, "env_failed": 2}
    groups = mixed_groups()
    turns = [t for g in groups for e in g.episodes for a in e.trajectories for t in a.turns]
    assert found["turns"] == 2 * len(turns)
    assert found["tokens"] == 2 * sum(len(turn.completion.ids) for turn in turns)


def test_agents_are_told_apart(journal, run):
    agents = journal.overview(run)["agents"]
    assert list(agents) == ["helper", "main"]
    assert agents["main"]["trajectories"] == 16
    assert agents["main"]["reward"] == pytest.approx((1 + 0 + 0.5 + 1 + 0 + 2 + 0) / 7)
    assert agents["main"]["advantage"] == pytest.approx((2 * 2 + 0.5 * 4) / 6)
    assert (agents["main"]["credited_turns"], agents["helper"]["credited_turns"]) == (2, 1)
    assert journal.overview(journal.begin({}).run)["agents"] == {}


def test_the_verb_shows_a_run(journal, url, run):
    code, printed, message = cli("journal", url)
    assert (code, message) == (0, "")
    assert f"run {run}: 2 steps, 0 to 1, 6 groups" in printed
    assert "life 1 from step 1" in printed
    assert "14 completed, 2 env_failed" in printed
    assert json.loads(cli("journal", url, "--json", "--run", run[:6])[1]) == [journal.overview(run)]


def test_the_verb_exports(journal, url, run, tmp_path):
    code, printed, _ = cli("journal", url, "--export", tmp_path / "all.jsonl")
    assert (code, printed) == (0, f"16 episodes in {tmp_path / 'all.jsonl'}\n")
    assert {row["step"] for row in rows(tmp_path / "all.jsonl")} == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "there is no 'nowhere': give a run's folder, a journal or its URL"),
        (["{tmp}"], "holds no journal: give a run's folder, or a URL"),
        (["sqlite:///{tmp}/x.sqlite"], "there is no journal"),
        (["{tmp}/two.sqlite", "--run", "z"], "0 runs of '{tmp}/two.sqlite' begin with 'z'"),
        (["{tmp}/two.sqlite", "--export", "{tmp}/a"], "holds 2 runs: name one with --run"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, says):
    with Journal.open(f"sqlite:///{tmp_path}/two.sqlite") as journal:
        journal.begin({}), journal.begin({})
    code, _, message = cli("journal", *(word.format(tmp=tmp_path) for word in arguments))
    assert code == 2
    assert says.format(tmp=tmp_path) in one_line(message)


# ---- exchanges ----------------------------------------------------------------------------------


@pytest.fixture
def traders(journal):
    """Two trainers of a channel, where c is trained, b refused and d taken back; and a third one.

    The producer was killed and repeats step 1, in which it had offered d.
    """
    producer, consumer = (trader(journal, channel="lab") for _ in range(2))
    played(producer, 0, "abc")
    played(producer, 1, "d")
    _, second, third, fourth = consumer.take(TOPIC, 0, Terms(count=4)).offers
    consumer.acknowledge(0, [third, fourth], [second])
    consumer.publish("small", -1, 0, "tiny")
    consumer.publish("small", 0, 1, "runs/sub/[1]")
    alone = trader(journal)
    alone.publish("big", -1, 0, "http://127.0.0.1:9")
    return resumed(producer, 1), consumer, alone


def run_of(exchange):
    return exchange.life["run"]


COUNTS = {"offered": 3, "trained": 1, "refused": 1, "waiting": 1, "leased": 1, "taken_back": 1}


def test_both_sides_of_an_exchange_see_all_of_it(journal, traders):
    producer, consumer, alone = traders
    (found,) = journal.overview(run_of(consumer))["exchanges"]
    ledger = {"channel": "lab", "topic": TOPIC, **COUNTS, "twice": [], "never": [], "exact": True}
    assert (found["channel"], found["topics"]) == ("lab", [ledger])
    (policy,) = found["policies"]
    assert (policy["run"], policy["version"]) == (run_of(consumer), 1)
    assert journal.overview(run_of(producer))["exchanges"] == [found]
    (other,) = journal.overview(run_of(alone))["exchanges"]
    assert (other["channel"], other["topics"], len(other["policies"])) == ("", [], 1)


def test_a_run_that_exchanges_nothing_has_no_exchange(journal, run, traders):
    assert journal.overview(run)["exchanges"] == []


def test_one_who_only_takes_is_of_the_exchange(journal, traders):
    other = trader(journal, channel="lab")
    assert journal.overview(run_of(other))["exchanges"] == []
    played(traders[0], 1, "e")
    other.take(TOPIC, 0, Terms())
    assert [found["channel"] for found in journal.overview(run_of(other))["exchanges"]] == ["lab"]


def test_the_verb_shows_every_exchange_once(journal, url, traders):
    _, printed, _ = cli("journal", url)
    *_, first, big, second, topic, small = printed.splitlines()
    assert (first, second) == ("exchange", "exchange 'lab'")
    counts = "3 offered, 1 trained, 1 refused, 1 waiting, 1 leased, 0 twice, 0 never, 1 taken back"
    assert topic == f"  {TOPIC}: {counts}; exact"
    made = f"version 1 of run {run_of(traders[1])}, step 0"
    assert small == f"  policy small: {made}, at runs/sub/[1]"
    assert big.endswith("step -1, at http://127.0.0.1:9")
    told = json.loads(cli("journal", url, "--json")[1])
    assert told == [journal.overview(run_of(exchange)) for exchange in traders]


def test_what_is_not_exact_is_told(journal, url, traders, monkeypatch):
    monkeypatch.setattr(overviews, "ALLOWED_SECONDS", 0.0)
    consumer = traders[1]
    (found,) = journal.overview(run_of(consumer))["exchanges"]
    assert (found["topics"][0]["exact"], len(found["topics"][0]["never"])) == (False, 1)
    printed = cli("journal", url, "--run", run_of(consumer))[1]
    assert "0 waiting, 1 leased, 0 twice, 1 never, 1 taken back; not exact" in printed
