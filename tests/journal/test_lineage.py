"""The surviving lineage is what replaying the lives one after the other leaves."""

from builders import group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.types import Group, Trajectory

LIVES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=6)
"""Where each life begins, and how many steps it plays."""
SHARED = settings(suppress_health_check=list(HealthCheck), max_examples=80)


def marked(step, life):
    """A group that says who played it."""
    made = group(Trajectory(answer=f"life {life}"))
    return Group(task=made.task, episodes=made.episodes, step=step)


def replayed(lives):
    """Which life each step is of, where every life first takes back what it will repeat."""
    kept = {}
    for life, (first, count) in enumerate(lives):
        kept = {step: of for step, of in kept.items() if step < first}
        kept |= dict.fromkeys(range(first, first + count), life)
    return kept


@SHARED
@given(lives=LIVES)
def test_reading_is_a_replay_of_the_lives(journal, lives):
    run = None
    for life, (first, count) in enumerate(lives):
        writer = journal.begin({}, run, first)
        run = writer.run
        for step in range(first, first + count):
            writer.groups(step, [marked(step, life)])
    found = {played.step: played.episodes[0].main.answer for played in journal.groups(run)}
    assert found == {step: f"life {life}" for step, life in replayed(lives).items()}
    assert journal.steps(run) == sorted(found)


def test_another_runs_lives_take_nothing_back(journal):
    one, two = journal.begin({}), journal.begin({})
    for writer in (one, two):
        writer.groups(3, [marked(3, 0)])
    journal.begin({}, one.run, 2)
    assert (journal.steps(one.run), journal.steps(two.run)) == ([], [3])
