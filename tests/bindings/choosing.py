"""The pieces of samplers: which tasks, how many attempts, what is believed of them."""

import math
from dataclasses import replace
from statistics import pstdev

import numpy as np
import torch
from bindings.common import groups_of, per_attempt
from builders import table_of

from agentrl.algorithms import knapsack_rl, rest_rl, spo_single_stream, v0_value, vade
from agentrl.budgets import confidence_gain, half_width, mixed_value, utility
from agentrl.prefixes import prefix_chances
from agentrl.samplers import priorities
from agentrl.trackers import Forgetting, forgetting
from agentrl.types import Task


def pool(size):
    """Tasks that no environment knows."""
    return [Task(env="test", data={"number": number}) for number in range(size)]


def informed(record, known, **options):
    """The record's sampler on a pool as large as `known`, its tracker's numbers given."""
    sampler = record.sampler.but(**options).started(tasks := pool(len(known)), 0).live
    sampler.tracker.load_state_dict(
        {
            **sampler.tracker.state_dict(),
            "known": {t.id: k for t, k in zip(tasks, known, strict=True)},
        }
    )
    return sampler


def budget(record, known, total, **options):
    """The attempts that a sampler with these numbers gives each task."""
    sampler = informed(record, known, **options)
    shares = {c.task.id: c.attempts for c in sampler.choose(len(known), total // len(known))}
    return [shares[task.id] for task in sampler.pool]


# knapsack_rl


def knapsack_value(*, n, p):
    return {"values": mixed_value(np.array([n]), np.array(p)).tolist()}


def knapsack_sampler(*, p, total, **options):
    shares = budget(knapsack_rl.KNAPSACK_RL, [[rate] for rate in p], total, **options)
    worth = mixed_value(np.array(shares), np.array(p)).sum()
    return {"budget": shares, "value": float(worth)}


# vade


def vade_update(*, alpha, beta, correct, total, **options):
    tracker = vade.VADE.sampler.settings["tracker"].but(**options).started().live
    (shown,) = groups_of([{"rewards": [1] * correct + [0] * (total - correct)}])
    tracker.known[shown.task.id] = [alpha, beta]
    tracker.observe([shown], None)
    alpha, beta = tracker.counts(shown.task)
    return {"alpha": alpha, "beta": beta, "mean": tracker.predict(shown.task)}


def vade_score(*, p, form):
    return {"scores": vade.information(np.array(p), form).tolist()}


def vade_expected(*, alpha, beta):
    forms = {"variance": "p(1-p)", "gain": "p(1-p)^2"}
    return {name: float(vade.expected(alpha, beta, form)) for name, form in forms.items()}


# spo_single_stream


def stream_init(*, successes, form):
    tasks = pool(len(successes))
    prior = {task.id: right for task, right in zip(tasks, successes, strict=True)}
    tracker = Forgetting(prior=prior, form=form)
    return {"alpha_beta": [tracker.known[task.id] for task in tasks]}


def stream_forget(*, drift, **options):
    live = Forgetting(**options)
    return {"rho": [forgetting(nats, live.half, live.low, live.high) for nats in drift]}


def stream_update(*, alpha, beta, reward, rho):
    tracker = Forgetting(half=None, low=rho, high=rho)
    (shown,) = groups_of([{"rewards": [reward]}])
    tracker.known[shown.task.id] = [alpha, beta]
    tracker.observe([shown], None)
    alpha, beta = tracker.known[shown.task.id]
    return {"alpha": alpha, "beta": beta, "value": tracker.predict(shown.task)}


def stream_advantage(*, rewards, values, **options):
    groups = groups_of([{"rewards": [reward]} for reward in rewards])
    noted = [replace(g, notes={"value": v}) for g, v in zip(groups, values, strict=True)]
    table = table_of(noted)
    credit = spo_single_stream.SPO_SINGLE_STREAM.advantage.but(**options)(table, noted)
    return {"advantages": [first for (first,) in per_attempt(table, credit)]}


def stream_sampler(*, values):
    floor = spo_single_stream.SPO_SINGLE_STREAM.sampler.settings["floor"]
    weights = priorities(np.array(values), floor)
    return {"weights": weights.tolist(), "probabilities": (weights / weights.sum()).tolist()}


# v0_value


def v0_utility(*, p, budgets):
    return {"utility": utility(np.array(budgets), np.array(p)).tolist()}


def v0_loss(*, pos, neg, p_true):
    given = (torch.tensor(value, dtype=torch.float64) for value in (pos, neg, p_true))
    pair, loss = v0_value.value_model_loss(*given)
    return {"pair": float(pair), "loss": float(loss)}


# rest_rl


def rest_sampler(*, lines):
    chosen = rest_rl.REST_RL.strategy.settings
    chances = prefix_chances(lines, chosen["alpha"])
    return {"probabilities": chances.tolist(), "count": math.ceil(chosen["share"] * lines)}


def rest_keep(*, groups):
    made = groups_of(groups)
    std = [pstdev(episode.main.reward for episode in one.live) for one in made]
    return {"std": std, "keep": [rest_rl.REST_RL.keep(one) for one in made]}


def rest_search(*, value, parent_visits, visits):
    return {"score": rest_rl.uct(value, parent_visits, visits)}


# xrpo


def xrpo_sampler(*, std, n, t_now, t_next):
    widths = [half_width(t_now, std, n), half_width(t_next, std, n + 1)]
    return {"half_widths": widths, "gain": confidence_gain(std, n, t_now, t_next)}


LEARN = {
    "game_rl": {"sampler": {"key": "number"}},
    "syn_grpo": {"sampler": {"arguments": {"words": 2}}},
}

BINDINGS = {
    ("knapsack_rl", "sampler"): knapsack_sampler,
    ("knapsack_rl", "value"): knapsack_value,
    ("rest_rl", "keep"): rest_keep,
    ("rest_rl", "sampler"): rest_sampler,
    ("rest_rl", "search"): rest_search,
    ("spo_single_stream", "advantage"): stream_advantage,
    ("spo_single_stream", "forget"): stream_forget,
    ("spo_single_stream", "init"): stream_init,
    ("spo_single_stream", "sampler"): stream_sampler,
    ("spo_single_stream", "update"): stream_update,
    ("v0_value", "loss"): v0_loss,
    ("v0_value", "utility"): v0_utility,
    ("vade", "expected"): vade_expected,
    ("vade", "score"): vade_score,
    ("vade", "update"): vade_update,
    ("xrpo", "sampler"): xrpo_sampler,
}
