"""Credit by token, turn and agent: PPO's critic, GiGPO's step groups, M-GRPO's teams."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    conversation,
    error,
    gradients,
    group,
    learner_of,
    mixed_groups,
    random_groups,
    table_of,
    view_of,
)

from agentrl.advantages import group_advantage
from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.algorithms.gigpo import gigpo_advantage
from agentrl.returns import gae_advantage, kl_in_reward, value_loss
from agentrl.teams import agent_mean, agent_rewards, aligned, draw_picks, two_pools
from agentrl.types import Status
from agentrl.weightings import seq_mean_token_sum

# ---- the critic ---------------------------------------------------------------------------------


def valued(groups, seed=0):
    """A table with rewards and values on every token."""
    table, rng = table_of(groups), torch.Generator().manual_seed(seed)
    return table.with_columns(
        reward=torch.randn(len(table), generator=rng), value=torch.randn(len(table), generator=rng)
    )


def by_loop(table, gamma, lam):
    """GAE as it is written, one token after the other."""
    credit = torch.zeros(len(table))
    for number in range(table.count("trajectory")):
        ahead, value = 0.0, 0.0
        for row in reversed((table.trajectory == number).nonzero()[:, 0].tolist()):
            delta = table.reward[row] + gamma * value - table.value[row]
            ahead, value = delta + gamma * lam * ahead, table.value[row]
            credit[row] = ahead
    return credit


def test_credit_flows_back_within_each_trajectory():
    table = valued(mixed_groups())
    found = gae_advantage(table, [], gamma=0.9, lam=0.8, whiten=False)
    torch.testing.assert_close(found["advantage"], by_loop(table, 0.9, 0.8))
    torch.testing.assert_close(found["returns"], found["advantage"] + table.value)


def test_whitening_is_over_the_whole_batch():
    credit = gae_advantage(valued(mixed_groups()), [])["advantage"]
    assert float(credit.mean()) == pytest.approx(0, abs=1e-6)
    assert float(credit.std()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("lengths", [[], [1]])
def test_too_few_tokens_are_not_whitened(lengths):
    table = valued(random_groups([[1.0]], [[lengths]]))
    found = gae_advantage(table, [])
    torch.testing.assert_close(found["advantage"], table.reward - table.value)


def test_value_errors_are_clipped_to_the_worse_one():
    columns = {"value": torch.zeros(3), "returns": torch.tensor([1.0, 1.0, -1.0])}
    table = table_of(random_groups([[0]], [[[3]]])).with_columns(**columns)
    view = view_of(table, torch.zeros(3))
    view.values = torch.tensor([0.1, 0.5, -2.0])
    assert value_loss(view, coef=2.0).tolist() == pytest.approx([0.81, 0.25, 1.0])
    assert value_loss(view, coef=2.0, clip=0.2).tolist() == pytest.approx([0.81, 0.64, 1.0])


def test_the_critic_learns_what_attempts_return(tiny):
    learner = learner_of(tiny, "ppo")
    table = table_of(random_groups([[1.0, 1.0], [1.0, 1.0]]))
    errors = []
    for _ in range(20):
        credited = learner.algorithm.credit(learner.annotate(table), [])
        errors.append(learner.update(credited)["learner/value_error"])
    assert errors[0] > 0.5, "the head begins at 0, returns at 0.95 to the power of what is left"
    assert errors[-1] < 0.2 * errors[0]


def test_the_critic_is_part_of_a_checkpoint(tiny):
    first, second = learner_of(tiny, "ppo"), learner_of(tiny, "ppo")
    table = valued(mixed_groups())
    first.update(first.algorithm.credit(first.annotate(table), []))
    second.load_state_dict(first.state_dict())
    second.model.load_state_dict(first.model.state_dict())
    values = first.annotate(table).value
    assert float(values.abs().max()) > 0
    assert torch.equal(second.annotate(table).value, values)


@pytest.mark.parametrize("name", ["ppo", "m_grpo"])
def test_splits_leave_the_gradient_alone(tiny, name):
    found, groups = [], mixed_groups()
    for budget in (10_000, 12):
        learner = learner_of(tiny, name, token_budget=budget)
        if learner.value_head is not None:
            torch.nn.init.constant_(learner.value_head.weight, 0.1)
        table = learner.annotate(table_of(groups))
        found.append(gradients(learner, learner.algorithm.credit(table, groups)))
    assert error(*found) < 1e-4


# ---- the divergence in the reward ---------------------------------------------------------------


def test_the_divergence_is_taken_from_tokens_and_attempts():
    groups = random_groups([[1.0, 0.0]], [[[1, 1], [2]]])
    gap = torch.tensor([0.5, -0.25, 1.0, 1.0])
    table = table_of(groups).with_columns(old=gap, ref=torch.zeros(4), value=torch.zeros(4))
    plain = part(gae_advantage, lam=0.0, whiten=False)
    by_token = kl_in_reward(table, groups, coef=0.1, base=plain)["advantage"]
    torch.testing.assert_close(by_token, table.reward - 0.1 * gap)
    centred = part(group_advantage, scale="none")
    by_attempt = kl_in_reward(table, groups, coef=0.1, base=centred)
    assert by_attempt.tolist() == pytest.approx([0.5875, 0.5875, -0.5875, -0.5875])


# ---- step groups --------------------------------------------------------------------------------


def walk(rewards, replies, **fields):
    """An attempt of one token a turn, with a reward and a reply for each."""
    played = conversation(np.random.default_rng(0), [1] * len(rewards), reward=sum(rewards))
    triples = zip(played.turns, rewards, replies, strict=True)
    turns = tuple(replace(turn, reward=r, reply=text) for turn, r, text in triples)
    return replace(played, turns=turns, **fields)


ROOMS = group(
    walk([0.0, 0.0, 1.0], ["hall", "cellar", "end"]),
    walk([0.0, 0.0, 0.0], ["hall", "attic", "end"]),
    walk([0.0, 0.0, 0.5], ["garden", "hall", "end"]),
)


def test_turns_are_compared_where_they_saw_the_same():
    options = {"scale": "none", "gamma": 0.5}
    credit = gigpo_advantage(table_of([ROOMS]), [ROOMS], omega=1.0, **options)
    episode = gigpo_advantage(table_of([ROOMS]), [ROOMS], omega=0.0, **options)
    step = (credit - episode).tolist()
    start, hall = 0.375 / 3, 1.0 / 3  # returns 0.25, 0, 0.125 at the start; 0.5, 0, 0.5 in the hall
    assert step[0::3] == pytest.approx([0.25 - start, -start, 0.125 - start])
    assert [step[1], step[4], step[8]] == pytest.approx([0.5 - hall, -hall, 0.5 - hall])
    assert [step[2], step[5], step[7]] == [0, 0, 0], "cellar, attic and garden were seen once"


def test_without_step_groups_it_is_grpo():
    table = table_of([ROOMS])
    credit = gigpo_advantage(table, [ROOMS], omega=0.0)
    assert torch.equal(credit, group_advantage(table, [ROOMS]))


def test_states_of_other_tasks_and_failures_are_others():
    broken = walk([5.0], ["end"], status=Status.ENV_FAILED)
    other = group(walk([3.0], ["end"]), walk([1.0], ["end"]), number=1)
    both = [group(*(e.main for e in ROOMS.episodes), broken), other]
    together = gigpo_advantage(table_of(both), both)
    alone = [gigpo_advantage(table_of([each]), [each]) for each in (ROOMS, other)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_what_shaping_added_lies_on_the_last_turn():
    shaped = group(walk([0.0, 0.0], ["hall", ""], reward=1.0), walk([0.0, 0.0], ["attic", ""]))
    credit = gigpo_advantage(table_of([shaped]), [shaped], scale="none", gamma=0.5)
    assert credit.tolist() == pytest.approx([0.75, 0.5, -0.75, -0.5])


def test_no_turn_at_all_is_no_credit():
    nothing = random_groups([[1.0, 0.0]], [[[], []]])
    assert len(gigpo_advantage(table_of(nothing), nothing)) == 0


# ---- teams --------------------------------------------------------------------------------------


def invocation(reward, **fields):
    rng = np.random.default_rng(int(100 * reward))
    return conversation(rng, [2, 1], agent="sub", reward=reward, **fields)


def teams(*rewards):
    """A group of attempts: rewards of the main agent first, of its invocations after it."""
    rng = np.random.default_rng(0)
    made = [
        [conversation(rng, [2], reward=main), *map(invocation, subs)] for main, *subs in rewards
    ]
    return group(*made)


def unchanged(groups):
    """A shape that leaves rewards alone."""
    return list(groups)


def test_alignment_copies_and_cuts_what_was_called():
    broken = invocation(0.3, status=Status.ENV_FAILED)
    played = teams([1.0, 0.1], [0.0, 0.2, 0.3, 0.4], [1.0])
    extra = replace(played.episodes[0], trajectories=(*played.episodes[0].trajectories, broken))
    played = replace(played, episodes=(extra, *played.episodes[1:]))
    (made,) = aligned([played], d=2, base=part(unchanged))
    counts = [len(episode.trajectories) - 1 for episode in made.episodes]
    assert counts == [2, 2, 0]
    assert {t.reward for t in made.episodes[0].trajectories[1:]} == {0.1}


def test_alignment_draws_follow_from_seed_step_and_task():
    drawn = {}
    for seed, step in [(0, 0), (0, 0), (1, 0), (0, 1)]:
        played = replace(teams([1.0, *(0.1 * i for i in range(10))]), step=step)
        (made,) = aligned([played], d=5, seed=seed, base=part(unchanged))
        rewards = tuple(t.reward for t in made.episodes[0].trajectories[1:])
        assert drawn.setdefault((seed, step), rewards) == rewards
    assert len(set(drawn.values())) == 3


def test_picks_are_copies_or_a_subset_in_order():
    rng = np.random.default_rng(0)
    assert draw_picks(0, 4, rng) == draw_picks(4, 4, rng) == []
    assert set(draw_picks(2, 200, rng)) == {0, 1}
    subset = draw_picks(9, 5, rng)
    assert subset == sorted(set(subset))
    assert len(subset) == 5


def test_weights_say_what_copies_do():
    played = [teams([1.0, 0.2], [0.0, 0.6, 0.9], [0.5])]
    copied = table_of(aligned(played, d=2, base=part(unchanged)))
    plain = table_of(played)
    credit = two_pools(plain, [], align="weight")
    twice = two_pools(copied, [])
    torch.testing.assert_close(twice[:5], credit[:5])
    weight, of_copies = agent_mean(plain, align="weight"), agent_mean(copied)
    assert float(weight[2:5].sum()) == pytest.approx(2 * float(of_copies[2:5].sum()))
    assert float(weight[7:].sum()) == pytest.approx(float(of_copies[10:].sum()))


def test_without_sub_agents_only_the_ratio_is_another():
    groups = random_groups([[1, 0, 1], [0.5, 0.25]])
    table = table_of(groups)
    expected = group_advantage(table, groups, ddof=0, eps=0.0)
    torch.testing.assert_close(two_pools(table, groups), expected)
    torch.testing.assert_close(agent_mean(table), seq_mean_token_sum(table))


def test_an_invalid_format_earns_nothing_and_a_missing_one_is_valid():
    played = teams([0.0, 0.0, 0.0])
    main, first, second = played.episodes[0].trajectories
    cast = (
        replace(main, success=True),
        replace(first, parts={"format": 0.0, "expert": 1.0}),
        replace(second, parts={"expert": 1.0}),
    )
    played = replace(played, episodes=(replace(played.episodes[0], trajectories=cast),))
    (paid,) = agent_rewards([played])
    rewards = [t.reward for t in paid.episodes[0].trajectories]
    assert rewards == pytest.approx([1.0, 0.0, 1.0])


@pytest.mark.parametrize("spread", [0.02, 0.5])
def test_the_trajectorys_ratio_has_the_exact_gradient(spread):
    rng = torch.Generator().manual_seed(0)
    table = table_of(mixed_groups())
    credit = torch.randn(table.count("trajectory"), generator=rng)[table.trajectory]
    live = (table.old + spread * torch.randn(len(table), generator=rng)).requires_grad_()
    table = table.with_columns(advantage=credit)
    loss = algorithm("m_grpo").loss
    ready = table.with_columns(**loss.prepare(view_of(table, live.detach())))
    loss(view_of(ready, live)).sum().backward()
    other = live.detach().clone().requires_grad_()
    ratio = view_of(table, other).sum(other - table.old, over="trajectory").exp()
    worse = -torch.minimum(ratio * credit, ratio.clamp(0.8, 1.2) * credit)
    (worse / table.sizes("trajectory")[table.trajectory]).sum().backward()
    torch.testing.assert_close(live.grad, other.grad)
