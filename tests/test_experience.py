"""Experiences: a scripted policy that writes lessons, and does what the pool says."""

import asyncio
import contextlib
import json

import numpy as np
import pytest
from builders import group, random_groups, weights
from runs import small

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.algorithms import algorithm
from agentrl.chat import Dialogue
from agentrl.env import make
from agentrl.errors import PolicyError
from agentrl.experience import (
    Experiences,
    Operation,
    apply_plan,
    parse_lessons,
    parse_plan,
    partly_right,
)
from agentrl.protocols import Choice
from agentrl.rollout import Rollout, seated
from agentrl.session import Session
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.train import Trainer
from agentrl.types import Completion, Finish, Source, Span, Trajectory, join

LESSON = "say the word that was shown"
ADD = json.dumps([{"op": "ADD", "text": LESSON}])


class Letters:
    """A chat format whose tokens are letters."""

    end_ids = frozenset({0})
    call_format = "plain"

    def opening(self, messages, tools=()):
        return Dialogue(messages=tuple(messages), spans=self._written(messages))

    def follow(self, dialogue, completion, messages):
        said = Span(ids=completion.ids, source=Source.SAMPLED)
        spans = (*dialogue.spans, said, *self._written(messages))
        return Dialogue(messages=dialogue.messages, spans=spans)

    def length(self, spans):
        return sum(len(span.ids) for span in spans)

    def _written(self, messages):
        return (self._span("".join(f"<{m.role}>{m.content}" for m in messages)),)

    def decode(self, ids):
        return "".join(chr(letter) for letter in ids if letter)

    def _span(self, text):
        return Span(ids=np.array([ord(letter) for letter in text], np.int64), source=Source.ENV)


class Apprentice:
    """Says any of two words until the pool tells it to say the one shown; writes lessons."""

    name, version, chat = "main", 0, Letters()
    figures, window = {}, 8192

    def __init__(self, delay=0, **answers):
        self.answers = {"Summarise": "a try", "Several": json.dumps([LESSON]), **answers}
        self.delay = delay
        self.seen = []

    def seat(self):
        return contextlib.nullcontext()

    def load(self, weights=None):
        raise AssertionError("nothing to load: no step is taken")

    def rest(self):
        pass

    def close(self):
        pass

    async def complete(self, context, sampling):
        await asyncio.sleep(self.delay * (sampling.seed % 8))
        prompt = self.chat.decode(join(tuple(context)))
        self.seen.append(prompt)
        asked = prompt.removeprefix("<user>")
        kind = asked.split(" ")[0]
        shown = asked.splitlines()[0].removeprefix("say ")
        guess = shown if LESSON in asked else ("red", "green")[sampling.seed % 2]
        text = guess if kind == "say" else self.answers.get(kind, ADD)
        if isinstance(text, Exception):
            raise text
        text = own_lesson(sampling.seed) if text is None else text
        ids = np.array([ord(letter) for letter in text], np.int64)
        blank = np.zeros(len(ids), np.float32)
        return Completion(ids=ids, logprobs=blank, text=text, finish=Finish.STOP)


def own_lesson(seed):
    """An operation that tells tasks apart."""
    return json.dumps([{"op": "ADD", "text": f"{LESSON}, {seed}"}])


def batch(strategy, policy, *, tasks=4, seed=0, attempts=4):
    """One batch of Echo tasks under a strategy."""
    env = make("agentrl/Echo-v0", words=2)
    pool = EnvPool(lambda: make("agentrl/Echo-v0", words=2), 5.0)
    rollout = Rollout(pool=pool, agent=ChatAgent(Limits()), concurrency=8)
    choices = [Choice(task, attempts) for task in env.tasks("train", tasks, 0)]
    cast = seated({"main": policy}, 1.0)
    groups = asyncio.run(rollout.groups(choices, cast, seed=seed, strategy=strategy))
    pool.close()
    return groups


def success(groups):
    flags = [episode.main.success for played in groups for episode in played.episodes]
    return sum(flags) / len(flags)


def played_prompts(policy):
    return [prompt for prompt in policy.seen if prompt.startswith("<user>say")]


def pool_after(**answers):
    """What a batch leaves behind in a pool of one text, and how often the policy was asked."""
    library, policy = Experiences(), Apprentice(**answers)
    library.pool = ["old"]
    batch(library, policy)
    return library.pool, policy


def test_a_lesson_of_one_batch_is_in_the_prompts_of_the_next():
    library, policy = Experiences(), Apprentice()
    first = batch(library, policy)
    assert LESSON not in "".join(played_prompts(policy))
    assert library.pool == [LESSON], "one plan for the batch, whichever task proposed it"
    policy.seen.clear()
    second = batch(library, policy, seed=1)
    assert success(first) < 1 == success(second)
    assert all(prompt.endswith(f"[G0] {LESSON}") for prompt in played_prompts(policy))


def test_a_batch_is_merged_once_and_after_all_of_its_tasks():
    library, policy = Experiences(), Apprentice()
    groups = batch(library, policy)
    merges = [prompt for prompt in policy.seen if "were proposed" in prompt]
    assert policy.seen[-1:] == merges
    assert merges[0].count(LESSON) == sum(partly_right(played) for played in groups) > 1


def test_what_is_merged_does_not_depend_on_who_finishes_first():
    fast, slow = Apprentice(), Apprentice(delay=2e-3)
    for policy in (fast, slow):
        policy.answers["Fit"] = None
        batch(Experiences(), policy)
    assert fast.seen != slow.seen, "the same order shows nothing"
    assert fast.seen[-1] == slow.seen[-1]
    assert "were proposed" in fast.seen[-1]


def test_groups_all_right_or_all_wrong_teach_nothing():
    library, policy = Experiences(), Apprentice()
    batch(library, policy, attempts=1)
    assert library.pool == []
    assert policy.seen == played_prompts(policy)


def test_all_groups_teach_where_there_are_no_answers():
    library, policy = Experiences(lessons="all"), Apprentice()
    batch(library, policy, attempts=1)
    assert library.pool == [LESSON]


@pytest.mark.parametrize("kind", ["Several", "Fit", "Operations"])
@pytest.mark.parametrize("answer", ["no list", "[1, 2", '[{"op": "EAT", "text": "x"}]'])
def test_answers_that_are_no_json_are_asked_again_and_change_nothing(kind, answer):
    pool, policy = pool_after(**{kind: answer})
    asked = [prompt for prompt in policy.seen if prompt.startswith(f"<user>{kind}")]
    assert pool == ["old"]
    assert len(asked) % 4 == 0 < len(asked), "three retries each"


def test_a_policy_that_cannot_answer_changes_nothing():
    pool, _ = pool_after(Several=PolicyError("too long to read"))
    assert pool == ["old"]


def test_nothing_to_change_is_not_merged():
    pool, policy = pool_after(Fit='[{"op": "NONE"}]')
    assert pool == ["old"]
    assert not [prompt for prompt in policy.seen if "were proposed" in prompt]


def test_at_most_so_many_lessons_are_taken():
    _, policy = pool_after(Several=json.dumps(["first", "second", "third"]))
    fits = [prompt for prompt in policy.seen if prompt.startswith("<user>Fit")]
    assert all("second" in prompt and "third" not in prompt for prompt in fits)


def test_the_pool_is_part_of_a_checkpoint():
    record = algorithm("training_free_grpo")
    first, second = record.started(), record.started()
    first.strategy.live.pool = [LESSON, "another"]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.strategy.live.pool == [LESSON, "another"]


def test_evaluations_read_the_pool_and_leave_it():
    library, policy = Experiences(), Apprentice()
    library.pool = [LESSON]
    assert success(batch(library.attempted, policy)) == 1
    assert library.pool == [LESSON]
    assert success(batch(independent, policy)) < 1


def test_a_run_learns_without_touching_the_weights():
    run = small("unused", algorithm="training_free_grpo", warm_start=None, rollout={"tasks": 4})
    with Session(run) as session:
        session.policy = Apprentice()
        trainer = Trainer(session, Silent(), Silent())
        before, rates = weights(session.model), []
        for trainer.step in range(2):
            found = trainer.collect()
            assert not found.refused
            assert "learner/loss" not in trainer.learn(found)
            rates.append(success(found.kept))
        assert rates[0] < 0.9 < rates[1] == 1
        assert weights(session.model).equal(before)


class Silent:
    """A record and a report that keep nothing."""

    def __getattr__(self, name):
        return lambda *given, **named: None


# ---- the pool and its plan ----------------------------------------------------------------------


def test_ids_are_places_before_the_plan():
    plan = [Operation("DELETE", "wrong", "G0"), Operation("UPDATE", "b2", "G1")]
    assert apply_plan(["a", "b"], plan) == ["b2"]


def test_an_update_of_what_the_plan_deleted_is_an_addition():
    plan = [Operation("DELETE", "wrong", "G0"), Operation("UPDATE", "a2", "G0")]
    assert apply_plan(["a", "b"], plan) == ["b", "a2"]


def test_unknown_ids_and_blank_texts_are_nothing():
    plan = [Operation("DELETE", "x", "G7"), Operation("ADD", " "), Operation("NONE", "x", "G0")]
    assert apply_plan(["a"], plan) == ["a"]


def test_answers_are_found_among_words():
    assert parse_plan(f"Here:\n```json\n{ADD}\n```") == [Operation("ADD", LESSON)]
    assert parse_lessons('["a"] ') == ["a"]
    assert parse_lessons("[1]") is parse_plan('["a"]') is parse_plan("{}") is None


def test_failed_attempts_are_not_compared():
    (mixed,) = random_groups([[1, 0]])
    assert partly_right(mixed)
    assert not partly_right(group(Trajectory(reward=0.0)))
