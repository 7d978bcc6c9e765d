"""Strategies play real episodes: the ledger stays exact, the same seed draws the same group."""

import asyncio
from contextlib import contextmanager

import numpy as np
import pytest
from builders import table_of

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.algorithms.expo import explains
from agentrl.algorithms.sage_light import next_level
from agentrl.backends import scripted
from agentrl.backends.hf import HFPolicy
from agentrl.direction import Direction, divided, from_token
from agentrl.env import make
from agentrl.errors import EnvError
from agentrl.protocols import Choice
from agentrl.rollout import Rollout, seated
from agentrl.stage import EnvPool
from agentrl.strategies import HorizonCurriculum, demonstrated, grouped, independent, rungs
from agentrl.types import Completion, Finish, Group, Source, Status, join

OPTIONS = {
    "active_vln": {},
    "expo": {"every_task": True},
    "guide": {},
    "igrpo": {},
    "rgr_grpo": {},
    "sage": {"hint_tokens": 3},
    "sage_light": {"hint_tokens": 3},
    "scaf": {"warmup_steps": 0},
    "serial_group": {"closing": ""},
    "spo_segment": {"continuations": 2},
    "spo_segment_tree": {"length": 2, "branching": (2, 2)},
    "vgpo": {"continuations": 2},
}


class Reader:
    """Says what `rule` makes of the conversation so far; every token has the log-prob -1."""

    def __init__(self, chat, rule):
        self.chat = chat
        self.rule = rule

    async def complete(self, context, max_tokens):
        ids = self.chat.encode(self.rule(self.chat.decode(join(tuple(context)))))
        logprobs = -np.ones(len(ids), np.float32)
        return Completion(
            ids=ids, logprobs=logprobs, text=self.chat.decode(ids), finish=Finish.STOP
        )


def reading(tiny, rule):
    """A cast that reads."""

    @contextmanager
    def cast(stage, seed):
        yield {"main": Reader(tiny.chat, rule)}

    return cast


def sampling(tiny):
    return seated({"main": HFPolicy(tiny.fresh(), tiny.chat)}, 1.0)


def play(strategy, cast, *, turns=2, attempts=3, tasks=1, seed=0, turn_tokens=6, step=9):
    """The groups of a strategy on Echo."""
    env = make("agentrl/Echo-v0", turns=turns)
    limits = Limits(turn_tokens=turn_tokens)
    pool = EnvPool(lambda: make(env.id, turns=turns), 5.0)
    rollout = Rollout(pool=pool, agent=ChatAgent(limits), concurrency=8)
    choices = [Choice(task, attempts) for task in env.tasks("train", tasks, 0)]
    found = []

    async def collect():
        found.extend(await rollout.groups(choices, cast, seed=seed, strategy=strategy, step=step))

    asyncio.run(collect())
    pool.close()
    return found


def strategy_of(name, **options):
    return algorithm(name).strategy.but(**OPTIONS[name], **options).started()


def helped(text):
    """The first word shown where it is shown twice, and nothing true otherwise."""
    words = text.replace("<", " ").replace(">", " ").split()
    word = words[words.index("say") + 1]
    return word if words.count(word) > 1 else "nothing"


def drawn(groups):
    return [
        [turn.completion.ids.tolist() for turn in trajectory.turns]
        for group in groups
        for episode in group.episodes
        for trajectory in episode.trajectories
    ]


# ---- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_seed_draws_the_same_group(tiny, name):
    once, again, other = (
        play(strategy_of(name), sampling(tiny), tasks=2, seed=seed) for seed in (1, 1, 2)
    )
    assert drawn(once) == drawn(again) != drawn(other)
    assert [[e.attempt for e in g.episodes] for g in once] == [
        list(range(len(g.episodes))) for g in once
    ]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_group_becomes_finite_credit(tiny, name):
    record = algorithm(name).started()
    groups = play(strategy_of(name), sampling(tiny), tasks=3)
    groups = record.shape(groups) if record.shape else groups
    table = table_of(groups, record)
    assert len(table) > 0
    assert table.advantage.isfinite().all()
    assert record.weighting(table).isfinite().all()


@pytest.mark.parametrize("name", OPTIONS)
def test_sampled_tokens_never_change(tiny, name):
    for group in play(strategy_of(name), sampling(tiny), tasks=2):
        for turn in (t for e in group.episodes for x in e.trajectories for t in x.turns):
            assert len(turn.completion.ids) == len(turn.completion.logprobs)
            assert (turn.completion.logprobs <= 0).all()
            mine = [s.ids for s in turn.spans if s.source is Source.SAMPLED]
            seen = [s.ids for s in turn.context if s.source is Source.SAMPLED]
            assert [ids.tolist() for ids in mine] == [ids.tolist() for ids in seen]


@pytest.mark.parametrize(
    ("name", "size"),
    [("igrpo", 3), ("guide", 3), ("scaf", 3), ("sage", 3), ("rgr_grpo", 4), ("serial_group", 3)],
)
def test_group_sizes(tiny, name, size):
    (group,) = play(strategy_of(name), sampling(tiny))
    assert len(group.episodes) == size


# ---- hints --------------------------------------------------------------------------------------


def test_scaf_replaces_one_failure_by_the_hinted_success(tiny):
    (group,) = play(strategy_of("scaf", replace_index=1), reading(tiny, helped), turns=1)
    assert [e.main.success for e in group.episodes] == [False, True, False]
    assert [e.hint for e in group.episodes] == [0, 1, 0]
    assert not any(e.off_policy for e in group.episodes)
    assert group.episodes[1].main.turns[0].train_spans is None
    assert group.cost.episodes == 4


def test_scaf_leaves_the_first_steps_alone(tiny):
    plain = algorithm("scaf").strategy
    (group,) = play(plain, reading(tiny, helped), turns=1, step=49)
    assert group.cost.episodes == 3


def test_hints_add_up_within_a_tier():
    hints = {"solution": ["c"], "planning": ["a", "b"]}
    assert rungs(hints, ("knowledge", "planning", "solution")) == ["a", "a\nb", "c"]


def test_guide_trains_without_the_hint(tiny):
    (group,) = play(strategy_of("guide"), reading(tiny, helped), turns=1)
    (plain,) = play(independent, reading(tiny, helped), turns=1)
    assert all(e.main.success and e.off_policy and e.hint == 1 for e in group.episodes)
    trained = join(group.episodes[0].main.turns[0].context)
    assert trained.tolist() == join(plain.episodes[0].main.turns[0].spans).tolist()
    assert len(join(group.episodes[0].main.turns[0].spans)) > len(trained)


def test_guide_can_keep_the_plain_attempts(tiny):
    (group,) = play(strategy_of("guide", mixin=True), reading(tiny, helped), turns=1)
    assert [e.off_policy for e in group.episodes] == [False] * 3 + [True] * 3


def test_an_environment_without_hints_is_an_error(tiny, monkeypatch):
    monkeypatch.setattr(type(make("agentrl/Echo-v0")), "oracle", without_oracle)
    with pytest.raises(EnvError, match="no oracle"):
        play(strategy_of("scaf"), sampling(tiny))


def without_oracle(env):
    raise NotImplementedError("no oracle")


def test_sage_shows_what_the_policy_wrote(tiny):
    def rule(text):
        return text.split("A solution:")[1].split()[0] if "A solution" in text else helped(text)

    (group,) = play(strategy_of("sage"), reading(tiny, rule), turns=1)
    assert [e.hint for e in group.episodes] == [1, 1, 1]
    assert all(e.main.success and not e.off_policy for e in group.episodes)


def test_sage_light_goes_up_one_level_a_visit_and_remembers(tiny):
    live = strategy_of("sage_light")
    levels = [play(live, sampling(tiny))[0].notes["level"] for _ in range(5)]
    assert levels == [0, 1, 2, 3, 3]
    resumed = strategy_of("sage_light")
    resumed.load_state_dict(live.state_dict())
    assert play(resumed, sampling(tiny))[0].notes["level"] == 3
    assert next_level(2, 0.5) == 2


def test_igrpo_shows_the_best_draft(tiny):
    (group,) = play(
        strategy_of("igrpo", template="draft {draft}"), reading(tiny, lambda text: "lime")
    )
    assert group.cost.episodes == 7
    for episode in group.episodes:
        assert "draft lime" in tiny.tokenizer.decode(join(episode.main.turns[0].spans))
        assert episode.main.turns[0].train_spans is None


def test_rgr_grpo_adds_a_refined_member(tiny):
    def rule(text):
        return helped(text) if "It does not meet: solved" in text else "nothing"

    strategy = strategy_of("rgr_grpo", template="{attempt} It does not meet: {missed}. say lime")
    (group,) = play(strategy, reading(tiny, rule), turns=1)
    assert [e.off_policy for e in group.episodes] == [False, False, False, True]
    assert "not meet" not in tiny.tokenizer.decode(join(group.episodes[3].main.turns[0].context))


def test_expo_puts_the_explanation_beside_an_attempt(tiny):
    record = algorithm("expo")
    groups = play(record.strategy, reading(tiny, helped), turns=1)
    first = groups[0].episodes[0]
    assert [t.agent for t in first.trajectories] == ["main", "explanation"]
    assert first.trajectories[1].turns[0].train_spans is not None
    table = table_of(groups, record)
    assert int(explains(table).sum()) == first.trajectories[1].num_tokens
    assert not table.advantage[explains(table)].any()


def test_a_demonstration_is_marked(tiny):
    (group,) = play(part(demonstrated), sampling(tiny))
    shown = group.episodes[-1]
    assert (len(group.episodes), shown.main.success, shown.off_policy) == (4, True, True)
    assert {turn.completion.policy for turn in shown.main.turns} == {"script"}
    assert demonstrated.without_behaviour


# ---- prefixes -----------------------------------------------------------------------------------


def going_on(tiny, place):
    """An attempt of three turns, and another that goes on behind a token of it."""
    seen = []

    async def strategy(task, attempts, play):
        first = await play(task, 0)
        seen.extend([first, await play(task, 1, from_token(first.main.turns, place))])
        return grouped(task, [first])

    play(strategy, sampling(tiny), turns=3, turn_tokens=5)
    return seen


@pytest.mark.parametrize("place", [-1, 0, 3, 4, 6, 9])
def test_a_prefix_is_repeated_token_by_token(tiny, place):
    first, other = going_on(tiny, place)
    way = from_token(first.main.turns, place)
    count = len(way.replay)
    for before, after in zip(first.main.turns[:count], other.main.turns, strict=False):
        assert join(before.spans).tolist() == join(after.spans).tolist()
        assert before.completion is after.completion
    begun = other.main.turns[count]
    assert (
        join(begun.spans)[len(join(first.main.turns[count].spans)) :].tolist()
        == join(way.head).tolist()
    )
    assert place + 1 == len(join(way.head)) + sum(len(t.completion.ids) for t in way.replay)


def test_a_divided_turn_is_one_sample(tiny):
    first, _ = going_on(tiny, -1)
    turn = max(first.main.turns, key=lambda t: len(t.completion.ids))
    early, late = divided(turn, 1)
    assert np.concatenate([early.completion.ids, late.completion.ids]).tolist() == (
        turn.completion.ids.tolist()
    )
    assert join(late.spans).tolist() == [*join(early.spans), *early.completion.ids]


def test_a_tree_trains_every_sampled_token_once(tiny):
    strategy = algorithm("spo_segment_tree").strategy.but(length=5, branching=(2, 2))
    groups = play(strategy, sampling(tiny), turns=3, turn_tokens=4)
    assert len(groups[0].episodes) > 3
    table = table_of(groups)
    assert len(table) == groups[0].cost.tokens
    assert any(not turn.trained for e in groups[0].episodes for turn in e.main.turns)


def test_values_stand_before_unsure_tokens(tiny):
    (group,) = play(strategy_of("spo_segment", interval=2), sampling(tiny))
    for episode in group.episodes:
        places = list(episode.values)
        assert places[0] == -1
        assert places == sorted(places)
        assert places[-1] < episode.main.num_tokens - 1
    assert len({episode.values[-1] for episode in group.episodes}) == 1


def test_turn_values_stand_behind_turns(tiny):
    (group,) = play(strategy_of("vgpo"), sampling(tiny), turns=3)
    for episode in group.episodes:
        lengths = [len(turn.completion.ids) for turn in episode.main.turns]
        assert list(episode.values) == [-1, *(int(n) - 1 for n in np.cumsum(lengths[:-1]))]


@pytest.mark.parametrize(("train_prefix", "turns"), [("member", 2), ("once", 1), ("none", 1)])
def test_exits_share_the_thought(tiny, train_prefix, turns):
    strategy = strategy_of("serial_group", train_prefix=train_prefix, text=" red")
    (group,) = play(strategy, sampling(tiny), turns=1, attempts=4, turn_tokens=12)
    *exits, full = group.episodes
    thought = np.concatenate([turn.completion.ids for turn in full.main.turns])
    heads = [join(e.main.turns[-1].completion.head) for e in exits]
    assert [len(e.main.turns) for e in exits] == [turns] * 3
    assert [len(head) for head in heads] == sorted(len(head) for head in heads)
    assert all(head[:-1].tolist() == thought[: len(head) - 1].tolist() for head in heads)
    assert full.main.turns[0].trained is (train_prefix != "none")


# ---- horizons -----------------------------------------------------------------------------------


def test_the_horizon_rises_and_is_remembered(tiny):
    live = part(HorizonCurriculum, stages=(1, 2), bound=0.5, decay=0.0).started()
    lengths = [played_turns(live, tiny) for _ in range(2)]
    assert lengths == [{1}, {1}], "nobody solves three turns in one"
    live.live.observe(1.0)
    resumed = part(HorizonCurriculum, stages=(1, 2), bound=0.5, decay=0.0).started()
    resumed.load_state_dict(live.state_dict())
    assert played_turns(resumed, tiny) == {2}
    resumed.live.observe(1.0)
    assert played_turns(resumed, tiny) == {3}


def test_the_horizon_follows_earlier_steps(tiny):
    live = part(HorizonCurriculum, stages=(1,), bound=0.5, decay=0.5).started()
    for step, stage in ((0, 0), (0, 0), (1, 1)):
        play(live, scripted.oracle(tiny.chat), turns=1, tasks=2, step=step)
        assert live.live.stage == stage
    resumed = part(HorizonCurriculum).started()
    resumed.load_state_dict(live.state_dict())
    assert resumed.state_dict() == live.state_dict()


def played_turns(strategy, tiny):
    (group,) = play(strategy, scripted.oracle(tiny.chat), turns=3)
    return {len(episode.main.turns) for episode in group.episodes}


def test_attempts_without_progress_are_stopped(tiny):
    strategy = algorithm("active_vln").strategy.but(window=2)
    (group,) = play(strategy, reading(tiny, lambda text: "nothing"), turns=5)
    assert {len(e.main.turns) for e in group.episodes} == {2}
    assert {e.main.status for e in group.episodes} == {Status.TURN_LIMIT}


def test_what_a_budget_ends_earns_nothing(tiny):
    strategy = algorithm("active_vln").strategy.but(factor=0.5)
    (group,) = play(strategy, scripted.oracle(tiny.chat), turns=4)
    assert {(len(e.main.turns), e.main.reward) for e in group.episodes} == {(2, 0.0)}


def test_a_direction_of_nothing_changes_nothing(tiny):
    async def directed(task, attempts, play):
        return Group(task=task, episodes=(await play(task, 0, Direction()),))

    (plain,) = play(independent, sampling(tiny), attempts=1)
    (same,) = play(directed, sampling(tiny), attempts=1)
    assert drawn([plain]) == drawn([same])
