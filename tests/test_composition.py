"""Composed rewards: parts, gates, stages, votes and segments where no golden number looks."""

from dataclasses import replace

import pytest
import torch
from builders import (
    group,
    learner_of,
    random_groups,
    table_of,
    turn,
)

from agentrl.algorithms.air_quality import AIR_QUALITY
from agentrl.algorithms.base import part
from agentrl.algorithms.care import CARE
from agentrl.algorithms.codistill import CODISTILL
from agentrl.algorithms.gcc import GCC
from agentrl.algorithms.grpo_lambda_length import GRPO_LAMBDA_LENGTH
from agentrl.algorithms.mixed_reward_bootstrap import MIXED_REWARD_BOOTSTRAP
from agentrl.algorithms.pref_grpo import PREF_GRPO, better_reward
from agentrl.algorithms.rank_grpo import RANK_GRPO, RANK_GRPO_ITEMS
from agentrl.algorithms.style_mix import STYLE_MIX
from agentrl.algorithms.vspo import VSPO
from agentrl.errors import ConfigError
from agentrl.rewards import (
    curve,
    decayed_successes,
    gated,
    majority_vote,
    product,
    scaled,
    staged,
    staircase,
    win_rates,
)
from agentrl.segments import by_item, by_turn, last_turn, tagged
from agentrl.slots import build_algorithm
from agentrl.types import Status, Trajectory


def attempts(*parts, **fields):
    """One group of empty attempts with these parts."""
    return group(*(Trajectory(parts=named, **fields) for named in parts))


def renamed(given, *parts):
    """The group with these parts, an attempt each."""
    pairs = zip(given.episodes, parts, strict=True)
    episodes = [replace(e, trajectories=(replace(e.main, parts=p),)) for e, p in pairs]
    return replace(given, episodes=tuple(episodes))


def rewards(groups):
    return [[episode.main.reward for episode in group.episodes] for group in groups]


def spoken(*texts, **fields):
    """A trajectory of one turn per text, each of one token."""
    turns = [turn([1], [2]) for _ in texts]
    turns = [
        replace(t, completion=replace(t.completion, text=text))
        for t, text in zip(turns, texts, strict=True)
    ]
    return Trajectory(turns=tuple(turns), **fields)


def written(*turns):
    """A table of one attempt whose tokens have these texts, turn by turn, and its group."""
    made = tuple(turn([1], range(len(tokens))) for tokens in turns)
    given = [group(Trajectory(turns=made))]
    table = table_of(given)
    texts = tuple(text for tokens in turns for text in tokens)
    # equal texts have equal ids, as with a tokenizer
    ids = torch.tensor([sorted(set(texts)).index(text) for text in texts])
    return replace(table.with_columns(ids=ids), texts=texts), given


# Parts


def test_a_gate_multiplies_and_a_missing_one_closes():
    parts = {"thinking": 0.8, "outcome": 0.5, "style": 1.0}
    gates = {"thinking": "outcome", "style": "judge"}
    assert gated(parts, gates) == {"thinking": 0.4, "outcome": 0.5, "style": 0.0}


def test_stages_count_up_to_the_first_that_is_not_passed():
    parts = {"a": 1.0, "b": 0.5, "c": 1.0, "other": 2.0}
    assert staged(parts, ("a", "b", "c"), 1.0) == {**parts, "c": 0.0}
    assert staged(parts, ("a", "b", "c"), 0.5) == parts
    assert staged({"b": 1.0}, ("a", "b"), 1.0) == {"b": 0.0}


def test_scales_and_products_of_parts():
    assert scaled({"a": 2.0, "b": 3.0}, {"a": 0.5}) == {"a": 1.0, "b": 3.0}
    groups = [attempts({"a": 0.5, "b": 0.5}, {"a": 1.0})]
    assert rewards(product(groups, factors=("a", "b"))) == [[0.25, 0.0]]


@pytest.mark.parametrize(
    ("value", "height"), [(-1, 0.0), (0, 0.0), (1, 0.5), (2, 1.0), (3, 0.5), (9, 0.0)]
)
def test_a_curve_is_straight_between_its_points(value, height):
    assert curve(value, [(0, 0.0), (2, 1.0), (4, 0.0)]) == pytest.approx(height)


def test_a_staircase_falls_after_so_many_steps():
    assert [staircase(step, 8.0, 0.5, 2) for step in range(5)] == [8.0, 8.0, 4.0, 4.0, 2.0]


# Groups


def test_a_vote_pays_the_commonest_answer_and_nobody_without_one():
    voters = [Trajectory(answer=answer) for answer in ("b", "a", None, "a", "b")]
    silent = [Trajectory(), Trajectory()]
    assert rewards(majority_vote([group(*voters), group(*silent)])) == [[1, 0, 0, 0, 1], [0, 0]]


def test_a_failed_attempt_neither_votes_nor_counts_as_a_success():
    failed = Trajectory(answer="a", status=Status.ENV_FAILED, success=True, reward=7.0)
    live = [Trajectory(answer=answer, success=True) for answer in ("b", "b")]
    assert rewards(majority_vote([group(failed, *live)])) == [[7.0, 1.0, 1.0]]
    assert rewards(decayed_successes([group(failed, *live)])) == [[7.0, 1.0, 0.5]]


def test_win_rates_of_few():
    assert win_rates([], better_reward) == []
    members = random_groups([[1, 0, 1]])[0].live
    assert win_rates(members[:1], better_reward) == [0.0]
    assert win_rates(members, better_reward) == [0.75, 0.0, 0.75]


def first_of_two(first, second):
    """A judge that prefers whatever it reads first."""
    return 1.0


def test_both_orders_take_a_judges_preference_for_the_first_away():
    groups = random_groups([[0, 0, 0]])
    biased = PREF_GRPO.shape.but(judge=part(first_of_two))
    assert rewards(biased(groups)) == [[1.0, 0.5, 0.0]]
    assert rewards(biased.but(both_orders=True)(groups)) == [[0.5, 0.5, 0.5]]


def test_the_default_judge_ranks_by_reward():
    assert rewards(PREF_GRPO.shape(random_groups([[0.1, 0.9, 0.1]]))) == [[0.25, 1.0, 0.25]]


def test_an_unknown_judge_is_named():
    with pytest.raises(ConfigError, match="nowhere"):
        build_algorithm({"name": "pref_grpo", "shape": {"judge": "nowhere:judge"}})


# The batch


def test_scales_are_set_by_the_first_groups_and_stay():
    mixture = MIXED_REWARD_BOOTSTRAP.shape.started()
    mixture([attempts({"cells": 0.8, "order": 0.2})])
    later = mixture([attempts({"cells": 0.1, "order": 0.9})])
    assert rewards(later)[0][0] == pytest.approx(0.75 * 0.1 + 0.25 * 0.9 * 4)


def test_scales_survive_a_checkpoint():
    first, second = (MIXED_REWARD_BOOTSTRAP.started() for _ in range(2))
    first.shape([attempts({"cells": 0.8, "order": 0.2})])
    second.load_state_dict(first.state_dict())
    groups = [attempts({"cells": 0.1, "order": 0.9})]
    assert rewards(second.shape(groups)) == rewards(first.shape(groups))
    assert second.shape.live.scales == {"cells": 1.0, "order": pytest.approx(4.0)}


def test_scales_wait_for_a_live_attempt():
    mixture = MIXED_REWARD_BOOTSTRAP.shape.started()
    mixture([attempts({"cells": 1.0}, status=Status.ENV_FAILED)])
    assert mixture.live.scales is None


def test_an_anchor_that_nobody_earned_leaves_all_scales_at_one():
    mixture = MIXED_REWARD_BOOTSTRAP.shape.started()
    with pytest.warns(UserWarning, match="cells"):
        mixture([attempts({"order": 0.5})])
    assert mixture.live.scales == {"cells": 1.0, "order": 1.0}


def test_given_scales_are_never_measured():
    mixture = MIXED_REWARD_BOOTSTRAP.shape.but(scales={"order": 2.0}).started()
    assert rewards(mixture([attempts({"cells": 0.4, "order": 0.1})]))[0][0] == pytest.approx(0.35)


def test_all_or_nobody_following_the_norm_changes_no_reward():
    for kept in (0.0, 1.0):
        groups = [attempts({"cooperates": kept}, {"cooperates": kept}, reward=2.0)]
        assert rewards(GCC.shape(groups)) == [[2.0, 2.0]]
    assert GCC.shape([]) == []


def test_the_population_is_the_batch_and_not_the_group():
    groups = [attempts({"cooperates": flag}, reward=1.0) for flag in (1.0, 0.0)]
    assert rewards(GCC.shape(groups)) == [[1.25], [1.0]]


def test_a_rate_outside_of_its_range_is_refused():
    with pytest.raises(ConfigError, match=r"1\.5"):
        GCC.shape.but(cooperation_rate=1.5)([])


def test_only_as_many_groups_as_the_share_are_asked_to_be_short():
    groups = random_groups([[1, 1]] * 4, [[[1], [9]]] * 4)
    shaped = rewards(GRPO_LAMBDA_LENGTH.shape.but(share=0.5)(groups))
    assert shaped[0] == shaped[1] != [1.0, 1.0] == shaped[2] == shaped[3]
    assert shaped[0][0] > shaped[0][1]


# Texts


def test_a_story_is_measured_by_its_words_and_its_end():
    shape = STYLE_MIX.shape.but(weights={"completeness": 1.0})
    stories = ["word, " * 598 + "THE END", "word, " * 598, "it\u2019s " * 400 + "THE END", ""]
    assert rewards(shape([group(*map(spoken, stories))])) == [[0.5, 0.0, 0.0, 0.0]]


def test_prices_depend_on_the_true_and_the_given_class():
    given = [Trajectory(answer=answer) for answer in ("event", "calm", None, "storm")]
    played = group(*given)
    for truth, prices in (("event", [1.0, -1.0, 0, 0]), ("calm", [-0.5, 0.5, 0, 0])):
        task = replace(played.task, data={"label": truth})
        episodes = tuple(replace(episode, task=task) for episode in played.episodes)
        named = replace(played, task=task, episodes=episodes)
        assert rewards(AIR_QUALITY.shape([named])) == [prices]


# Segments


def test_items_end_with_their_separator_and_end_tokens_have_none():
    table, given = written(["a", "b", "\n", "c", ".\n", "d", "<end>"])
    assert by_item(table, given).tolist() == [0, 0, 0, 1, 1, 2, -1]
    assert by_turn(table, given).tolist() == [0] * 7


def test_items_are_counted_from_each_attempts_start():
    table, given = written(["a", "\n", "b", "<end>"])
    twice = replace(given[0], episodes=given[0].episodes * 2)
    double = replace(table_of([twice]), texts=table.texts * 2)
    double = double.with_columns(ids=table.ids.repeat(2))
    assert by_item(double, [twice]).tolist() == [0, 0, 1, -1] * 2


def test_lines_are_credited_by_their_own_rank():
    table, (alone,) = written(["a", "\n", "b", "\n", "c", "<end>"])
    parts = ({"rank_1": 1.0}, {"rank_2": 1.0})
    pair = renamed(replace(alone, episodes=alone.episodes * 2), *parts)
    double = replace(table_of([pair]), texts=table.texts * 2)
    credit = RANK_GRPO_ITEMS.credit(double.with_columns(ids=table.ids.repeat(2)), [pair])
    signs = credit.advantage.sign().tolist()
    assert signs == [1, 1, -1, -1, 0, 0, -1, -1, 1, 1, 0, 0]
    assert len(credit.segment.unique()) == 8


def test_hits_of_a_whole_attempt_come_before_those_of_its_turns():
    lists = attempts({"hit_1": 0.0, "hit_2": 1.0})
    (shaped,) = RANK_GRPO.shape.but(ranks=3)([lists])
    ranks = {k: v for k, v in shaped.episodes[0].main.parts.items() if k.startswith("rank")}
    assert ranks == {"rank_1": 0.0, "rank_2": 1.0, "rank_3": 0.0}


def test_ranks_beyond_the_last_have_no_credit():
    groups = random_groups([[0, 0]], [[[1, 1, 1], [1, 1, 1]]])
    parts = ({f"rank_{k}": float(i) for k in (1, 2, 3)} for i in (0, 1))
    groups = [renamed(groups[0], *parts)]
    record = RANK_GRPO.but(advantage=RANK_GRPO.advantage.but(ranks=2))
    credit = record.credit(table_of(groups), groups).advantage
    assert (credit != 0).tolist() == [True, True, False] * 2


def test_an_answer_is_the_last_turn_or_what_the_tags_hold():
    table, given = written(["so", "<end>"], ["<ans", "wer>", "4", "2", "</answer>", "<end>"])
    assert last_turn(table, given).tolist() == [False] * 2 + [True] * 6
    assert tagged(table, given).tolist() == [False] * 4 + [True] * 2 + [False] * 2
    bare, given = written(["4", "</answer>"])
    assert not tagged(bare, given).any()


# Credit


def test_the_reference_decides_who_of_the_right_gets_the_bonus():
    groups = random_groups([[1, 1, 0]], [[[2], [2], [2]]])
    table = table_of(groups)
    ref = torch.tensor([-0.1, -0.1, -3.0, -3.0, -0.1, -0.1])
    credit = CARE.credit(table.with_columns(ref=ref), groups)
    assert credit.bonus.tolist() == [0.5, 0.5, 0, 0, 0, 0]
    first, second, third = credit.advantage[::2].tolist()
    assert first > second > third


def test_a_repeated_task_is_credited_less():
    groups = random_groups([[1, 0], [1, 0]], [[[1], [1]]] * 2)
    groups = [groups[0], replace(groups[1], notes={"repeat": 2.0})]
    record = VSPO.but(advantage=VSPO.advantage.but(decay=0.5))
    credit = record.credit(table_of(groups), groups).advantage
    assert credit[2:].tolist() == pytest.approx((credit[:2] / 4).tolist())


def test_distillation_keeps_a_group_of_equal_rewards_alive_and_can_select():
    groups = random_groups([[1, 1, 1, 1]], [[[1]] * 4])
    table = table_of(groups)
    table = table.with_columns(teacher=table.behaviour + torch.tensor([0.0, -1.0, 2.0, 0.5]))
    every, two = (CODISTILL.advantage.but(alpha=1.0, selected=n)(table, groups) for n in (None, 2))
    assert every["advantage"].argsort().tolist() == [1, 0, 3, 2]
    assert two["advantage"].sign().tolist() == [0, -1, 1, 0]


def test_distillation_asks_for_its_weight():
    assert "no default alpha" in CODISTILL.refusals()["advantage"]
    assert not CODISTILL.but(advantage=CODISTILL.advantage.but(alpha=0.1)).refusals()


def next_word(model, context):
    """Log-probs of the word after a context."""
    with torch.no_grad():
        return model(torch.tensor([context])).logits[0, -1].log_softmax(-1)


def test_a_small_policy_moves_to_its_teacher(tiny, tmp_path):
    """One step on one-word attempts that all earn the same lowers the exact KL to the teacher."""
    tiny.fresh(seed=1).save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    record = CODISTILL.but(advantage=CODISTILL.advantage.but(alpha=1.0))
    learner = learner_of(tiny, record, teacher=str(tmp_path), lr=1e-3)
    said = next_word(learner.model, [1, 2, 3])
    words = torch.multinomial(said.exp(), 512, True, generator=torch.Generator().manual_seed(0))
    played = [group(*(one_word(word, said) for word in words.tolist()))]
    divergences = [divergence(learner)]
    table = learner.annotate(table_of(played))
    learner.update(learner.algorithm.credit(table, played))
    divergences.append(divergence(learner))
    assert 0 < divergences[1] < divergences[0]


def one_word(word, said):
    """An attempt of one word after a fixed context, with its log-prob when it was said."""
    return Trajectory(turns=(turn([1, 2, 3], [word], [float(said[word])]),), reward=1.0)


def divergence(learner):
    """KL of the policy to the teacher on the next word, in nats."""
    mine, theirs = (next_word(model, [1, 2, 3]) for model in (learner.model, learner.teacher))
    return float((mine.exp() * (mine - theirs)).sum())
