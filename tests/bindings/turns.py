"""Credit by token and turn: PPO, the practitioner's guide, GiGPO, M-GRPO, Training-Free GRPO."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from bindings.common import column, groups_of, loss, loss_table, per_attempt
from builders import conversation, group, random_groups, table_of, view_of

from agentrl.algorithms.m_grpo import M_GRPO, M_GRPO_RELEASE, M_GRPO_WEIGHT
from agentrl.algorithms.ppo import PPO
from agentrl.algorithms.practitioner_guide import PRACTITIONER_GUIDE
from agentrl.experience import Operation, apply_plan, partly_right
from agentrl.teams import align, pool_statistics, sub_agents


def gae(part_of, *, rewards, values, mask, whiten=False, **options):
    """Credit of the action tokens, 0 at the others; whitened only where a case asks for it."""
    acts = torch.tensor(mask) > 0
    table = table_of(random_groups([[0]], [[turns_of(mask)]])).with_columns(
        reward=torch.tensor(rewards, dtype=torch.float32)[acts],
        value=torch.tensor(values, dtype=torch.float32)[acts],
    )
    found = part_of(whiten=whiten, **options)(table, [])
    credit = torch.zeros(len(mask))
    credit[acts] = found["advantage"]
    return {"advantages": credit.tolist()}


def turns_of(mask):
    """Lengths of the runs of action tokens."""
    edges = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(mask)) if a != b), len(mask)]
    return [end - start for start, end in pairwise(edges) if mask[start]]


def turn_rewards(*, increments, won, turn_ends, length, **options):
    """Where the shape puts an episode's rewards, read from the table's column `reward`."""
    lengths = [end - before for before, end in pairwise([-1, *turn_ends])]
    played = conversation(np.random.default_rng(0), lengths, success=won)
    pairs = zip(played.turns, increments, strict=True)
    turns = tuple(replace(turn, reward=float(increment)) for turn, increment in pairs)
    groups = [group(replace(played, turns=turns, reward=float(sum(increments))))]
    table = table_of(PRACTITIONER_GUIDE.shape.but(**options)(groups))
    rewards = table.reward.tolist() or [0.0] * length
    assert float(table.rewards[0]) == sum(rewards)
    return {"token_rewards": rewards}


def talk(*, agent="main", **fields):
    """A trajectory of one token."""
    return conversation(np.random.default_rng(0), [1], agent=agent, **fields)


def team(main, subs):
    """An attempt: the fields of its main trajectory, and of each invocation."""
    return [talk(**main), *(talk(agent="sub", **fields) for fields in subs)]


def by_agent(values, counts):
    """Numbers of trajectories in the table's order as main agents' and `[attempt][invocation]`."""
    left = iter(values)
    pairs = [(next(left), [next(left) for _ in range(count)]) for count in counts]
    return [main for main, _ in pairs], [subs for _, subs in pairs]


def team_shape(*, groups):
    """Rewards of both agents, `[group][attempt]` and `[group][attempt][invocation]`."""
    found = []
    for case in groups:
        made = [
            team({"success": main["correct"] == 1, "parts": main}, [{"parts": s} for s in subs])
            for main, subs in zip(case["main"], case["sub"], strict=True)
        ]
        (shaped,) = M_GRPO.shape.inner["base"]([group(*made)])
        rewards = [[t.reward for t in e.trajectories] for e in shaped.episodes]
        found.append(([r[0] for r in rewards], [r[1:] for r in rewards]))
    mains, subs = zip(*found, strict=True)
    return {"main_rewards": list(mains), "sub_rewards": list(subs)}


def alignment(*, counts, d, picks):
    """Which invocations each attempt ends up with."""
    return {"indices": [align(n, d, chosen) for n, chosen in zip(counts, picks, strict=True)]}


def team_advantage(*, groups, ddof, eps):
    """Both pools' credit, and the statistics of the sub-agents' pool; ddof tells the record."""
    slot = (M_GRPO, M_GRPO_RELEASE)[ddof].advantage
    assert (slot.settings["ddof"], slot.settings["eps"]) == (ddof, eps)
    mains, invocations, means, stds = [], [], [], []
    for case in groups:
        subs = case["sub_rewards"] or [[] for _ in case["main_rewards"]]
        pairs = zip(case["main_rewards"], subs, strict=True)
        made = [team({"reward": float(m)}, [{"reward": r} for r in of]) for m, of in pairs]
        table = table_of([group(*made)])
        credit = slot(table, [])
        ours, theirs = by_agent(credit.tolist(), [len(of) for of in subs])
        share = torch.ones_like(table.trajectory_rewards)
        pool = sub_agents(table).long()
        mean, std = pool_statistics(table.trajectory_rewards, pool, 2, share, ddof)
        mains.append(ours)
        invocations.append(theirs)
        means.append(float(mean[1]))
        stds.append(float(std[1]))
    found = {"main_advantages": mains, "sub_advantages": invocations}
    return {**found, "sub_mean": means, "sub_std": stds}


def team_weighting(*, counts, d):
    """The weight of each invocation; the number aligned to cancels, for all attempts share it."""
    table = table_of([group(*(team({}, [{}] * count) for count in counts))])
    _, subs = by_agent(M_GRPO_WEIGHT.weighting(table).tolist(), counts)
    return {"weights": subs}


def team_loss(*, groups, **options):
    """The objective, and the ratio of each trajectory: the loss at A = -1, unclipped."""
    table = loss_table(groups)
    against = table.with_columns(advantage=-torch.ones(len(table)))
    wide = prepared(against, column(groups, "logprobs"), clip_low=1.0, clip_high=1e9)
    total = table_sum(table, wide)
    terms = prepared(table, column(groups, "logprobs"), **options)
    value = float((M_GRPO.weighting(table) * terms).sum())
    return {"ratios": per_attempt(table, total), "objective": -value}


def prepared(table, logprobs, **options):
    """The loss's terms after its preparation."""
    loss_part = M_GRPO.loss.but(**options)
    ready = table.with_columns(**loss_part.prepare(view_of(table, logprobs)))
    return loss_part(view_of(ready, logprobs))


def table_sum(table, values):
    """The sum over each trajectory, on each of its rows, in steps of 1e-6."""
    return view_of(table, values).sum(values, over="trajectory").round(decimals=6)


def teaches(*, groups):
    """Which groups are compared."""
    return {"keep": [partly_right(played) for played in groups_of(groups)]}


def edited(*, pool, plan):
    """The pool after a plan."""
    return {"pool": apply_plan(pool, [Operation(**change) for change in plan])}


GUIDE_GAE = PRACTITIONER_GUIDE.advantage.inner["base"]

LEARN = {}
EXEMPT = {
    "training_free_grpo": "tests/test_experience.py::test_a_run_learns_without_touching_the_weights"
}

BINDINGS = {
    ("m_grpo", "advantage"): team_advantage,
    ("m_grpo", "loss"): team_loss,
    ("m_grpo", "shape"): team_shape,
    ("m_grpo", "strategy"): alignment,
    ("m_grpo", "weighting"): team_weighting,
    ("ppo", "advantage"): partial(gae, PPO.advantage.but),
    ("ppo", "loss"): partial(loss, PPO),
    ("practitioner_guide", "advantage"): partial(gae, GUIDE_GAE.but),
    ("practitioner_guide", "turn_rewards"): turn_rewards,
    ("training_free_grpo", "keep"): teaches,
    ("training_free_grpo", "pool"): edited,
}
