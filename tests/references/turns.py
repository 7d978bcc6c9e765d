"""Literal formulas of credit by token, turn and agent."""

import copy
import math

from differential import broadcast, everywhere, mean, std
from references.base import attempts, group_advantage, normalized, surrogate


def by_token(step, numbers):
    """Numbers by the identity of their token, nested like the step."""
    return everywhere(step, lambda t, s, a, g: numbers[id(t)])


def gae_advantage(step, gamma, lam, whiten):
    credit = {}
    for attempt in (a for group in step for a in group):
        value, ahead = 0.0, 0.0
        for token in reversed(attempt.tokens):
            ahead = token.reward + gamma * value - token.value + gamma * lam * ahead
            value = token.value
            credit[id(token)] = ahead
    if whiten and len(credit) > 1:
        centre, spread = mean(credit.values()), math.sqrt(std(credit.values(), 1) ** 2 + 1e-8)
        credit = {token: (a - centre) / spread for token, a in credit.items()}
    return by_token(step, credit)


def kl_in_reward(step, coef, base):
    paid = copy.deepcopy(step)
    for attempt in (a for group in paid for a in group):
        for token in attempt.tokens:
            cost = coef * (token.old - token.ref)
            token.reward -= cost
            attempt.reward -= cost
    name, settings = base
    return {f.__name__: f for f in (gae_advantage, group_advantage)}[name](paid, **settings)


def gigpo_advantage(step, omega, gamma, scale, ddof, eps, singleton):
    found = []
    for group in step:
        episode = normalized([a.reward for a in group], scale, ddof, eps, singleton)
        returns, rooms = {}, {}
        for i, attempt in enumerate(group):
            rewards = [said.reward for said in attempt.turns]
            if rewards:
                rewards[-1] += attempt.reward - sum(rewards)
            for t in range(len(rewards)):
                returns[i, t] = sum(gamma ** (k - t) * rewards[k] for k in range(t, len(rewards)))
                room = attempt.turns[t - 1].reply if t else None
                rooms.setdefault(room, []).append((i, t))
        turn = {}
        for members in rooms.values():
            values = normalized([returns[m] for m in members], scale, ddof, eps, "zero")
            turn |= dict(zip(members, values, strict=True))
        found.append(
            [
                [[episode[i] + omega * turn[i, t]] * len(said.tokens) for t, said in enumerate(of)]
                for i, of in enumerate(attempt.turns for attempt in group)
            ]
        )
    return found


def two_pools(step, ddof, eps, align):
    rewards = [[a.reward for a in group] for group in step]
    return broadcast(step, [normalized(of, "std", ddof, eps, "zero") for of in rewards])


def no_gradient(step):
    return everywhere(step, lambda t, s, a, g: 0.0)


def agent_mean(step, align, tokens):
    count = attempts(step)
    return everywhere(
        step, lambda t, s, a, g: 1 / (count * (len(a.tokens) if tokens == "mean" else 1))
    )


def trajectory_clipped(step, clip_low, clip_high):
    def loss(token, said, attempt, group):
        ratio = math.exp(sum(t.logp - t.old for t in attempt.tokens))
        return surrogate(ratio, token.credit, clip_low, clip_high) / len(attempt.tokens)

    return everywhere(step, loss)


def turn_shares(step, dense, max_total):
    def reward(attempt):
        if not dense:
            return float(attempt.success and bool(attempt.turns))
        increments = [said.reward for said in attempt.turns]
        parts = sum(i > 0 for i in increments) if attempt.success else max_total
        return sum(increments) / max(1, parts)

    return [[reward(attempt) for attempt in group] for group in step]


def agent_rewards(step, main, sub):
    def reward(attempt):
        form = attempt.parts.get("format", 1.0)
        return main[0] * form + main[1] * attempt.success if form > 0 else 0.0

    return [[reward(attempt) for attempt in group] for group in step]


def aligned(step, base, d, seed):
    return agent_rewards(step, **base[1])


ADVANTAGES = {
    f.__name__: f for f in (gae_advantage, kl_in_reward, gigpo_advantage, two_pools, no_gradient)
}
WEIGHTINGS = {"agent_mean": agent_mean}
LOSSES = {"trajectory_clipped": trajectory_clipped}
SHAPES = {f.__name__: f for f in (turn_shares, agent_rewards, aligned)}
EXCUSED = {"value_loss": "no function of log-probs: tests/test_turns.py"}
