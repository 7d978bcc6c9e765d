"""Literal formulas of the base records, token by token in Python floats."""

import math

from differential import broadcast, everywhere, mean, std


def normalized(rewards, scale, ddof, eps, singleton):
    """One group's advantages."""
    if len(rewards) == 1:
        margin = eps if scale == "std" else 0.0
        return [rewards[0] / (1 + margin) if singleton == "raw" else 0.0]
    if max(rewards, default=0) - min(rewards, default=0) <= 1e-12:
        return [0.0 for _ in rewards]
    centre = mean(rewards)
    if scale == "none":
        return [r - centre for r in rewards]
    if scale == "loo":
        total, others = sum(rewards), len(rewards) - 1
        return [r - (total - r) / others for r in rewards]
    if scale == "mad":
        return [(r - centre) / (mean(abs(x - centre) for x in rewards) + eps) for r in rewards]
    return [(r - centre) / (std(rewards, ddof) + eps) for r in rewards]


def group_advantage(step, scale, ddof, eps, singleton):
    found = [normalized([a.reward for a in g], scale, ddof, eps, singleton) for g in step]
    return broadcast(step, found)


def turn_row_advantage(step, ddof, eps, singleton):
    found = []
    for group in step:
        rows = [(i, a.reward) for i, a in enumerate(group) for _ in a.turns]
        values = normalized([reward for _, reward in rows], "std", ddof, eps, singleton)
        by_attempt = {i: value for (i, _), value in zip(rows, values, strict=True)}
        found.append([by_attempt.get(i, 0.0) for i in range(len(group))])
    return broadcast(step, found)


def attempts(step):
    return sum(len(group) for group in step)


def seq_mean_token_mean(step):
    return everywhere(step, lambda t, s, a, g: 1 / (attempts(step) * len(a.tokens)))


def token_mean(step):
    count = sum(len(a.tokens) for g in step for a in g)
    return everywhere(step, lambda t, s, a, g: 1 / count)


def seq_mean_token_sum(step):
    return everywhere(step, lambda t, s, a, g: 1 / attempts(step))


def constant_length(step, constant):
    return everywhere(step, lambda t, s, a, g: 1 / (attempts(step) * constant))


def trajectory_turn_token(step):
    return everywhere(step, lambda t, s, a, g: 1 / (attempts(step) * len(a.turns) * len(s.tokens)))


def last_turn_only(step, base):
    def weight(token, said, attempt, group):
        last = said is attempt.turns[-1]
        return last / (attempts(step) * len(attempt.turns) * len(said.tokens))

    return everywhere(step, weight)


def surrogate(ratio, credit, low, high):
    return -min(ratio * credit, min(max(ratio, 1 - low), 1 + high) * credit)


def clipped(step, clip_low, clip_high, **more):
    return everywhere(
        step,
        lambda t, s, a, g: surrogate(math.exp(t.logp - t.old), t.credit, clip_low, clip_high),
    )


def own_move(token):
    """1, with the derivative of the token's own log-prob."""
    return math.exp(token.logp - token.still.logp)


def sequence_ratio(tokens, token):
    """The geometric mean of a unit's ratios; each token carries its own gradient."""
    return math.exp(mean(t.still.logp - t.old for t in tokens)) * own_move(token)


def sequence_clipped(step, clip_low, clip_high, level):
    def loss(token, said, attempt, group):
        ratio = sequence_ratio(said.tokens if level == "turn" else attempt.tokens, token)
        return surrogate(ratio, token.credit, clip_low, clip_high)

    return everywhere(step, loss)


def reinforce(step):
    return everywhere(step, lambda t, s, a, g: -t.credit * t.logp)


def kl(step, coef, estimator):
    def value(token, said, attempt, group):
        d = token.ref - token.logp
        return coef * {"k1": -d, "k2": d * d / 2, "k3": math.exp(d) - d - 1}[estimator]

    return everywhere(step, value)


ADVANTAGES = {f.__name__: f for f in (group_advantage, turn_row_advantage)}
WEIGHTINGS = {
    f.__name__: f
    for f in (
        *(seq_mean_token_mean, token_mean, seq_mean_token_sum, constant_length),
        trajectory_turn_token,
        last_turn_only,
    )
}
LOSSES = {f.__name__: f for f in (clipped, sequence_clipped, reinforce, kl)}
TOTALS = {}
SHAPES = {}
