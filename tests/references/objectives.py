"""Literal losses and penalties; `token.still` is the token before a difference moved it.

A loss of LOSSES moves with its own token only: what others would move is read from `still`.
"""

import math

from differential import everywhere, mean, std
from references.base import attempts, normalized, own_move, sequence_ratio, surrogate
from references.weights import forks


def ratio(token):
    return math.exp(token.logp - token.old)


def bounded(value, low, high):
    return min(max(value, 1 - low), 1 + high)


def k3(difference):
    return math.exp(difference) - difference - 1


def quantile(values, q):
    """Linear interpolation between the two nearest ranks."""
    values, place = sorted(values), q * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def all_tokens(step):
    return [token for group in step for attempt in group for token in attempt.tokens]


# Ratios


def behaviour_clipped(step, clip_low, clip_high):
    return everywhere(
        step,
        lambda t, s, a, g: surrogate(math.exp(t.logp - t.behaviour), t.credit, clip_low, clip_high),
    )


def branch(value, credit, low, high, pessimism):
    if pessimism == "branch":
        return surrogate(value, credit, low, high)
    return -bounded(value, low, high) * credit


def mixed(step, alpha, clip_low, clip_high, seq_low, seq_high, pessimism):
    def loss(token, said, attempt, group):
        share = alpha(token) if callable(alpha) else alpha
        of_token = branch(ratio(token), token.credit, clip_low, clip_high, pessimism)
        whole = sequence_ratio(attempt.tokens, token)
        of_sequence = branch(whole, token.credit, seq_low, seq_high, pessimism)
        return share * of_token + (1 - share) * of_sequence

    return everywhere(step, loss)


def entropy_mixed(step, pessimism):
    largest = max(token.still.entropy for token in all_tokens(step))
    return mixed(step, lambda t: t.still.entropy / largest, 0.2, 0.2, 3e-4, 4e-4, pessimism)


def elastic_clipped(step, eps0=0.2, a=0.5, b=0.5, low=0.5, high=2.0):
    widths = {}
    for group in step:
        credit = normalized([x.reward for x in group], "std", 1, 1e-6, "zero")
        typical = mean(abs(c) for c, x in zip(credit, group, strict=True) if x.tokens)
        rate = mean(x.success for x in group)
        for own, attempt in zip(credit, group, strict=True):
            micro = 1 + a * ((abs(own) / typical if typical else 1) - 1)
            factor = micro * (1 + b * (4 * rate * (1 - rate) - 1))
            widths[id(attempt)] = eps0 * min(max(factor, low), high)
    return everywhere(
        step,
        lambda t, s, x, g: surrogate(ratio(t), t.credit, widths[id(x)], widths[id(x)]),
    )


def guarded(step, width, target, clip_low, clip_high):
    buckets = {}
    for attempt in (a for group in step for a in group):
        for place, token in enumerate(attempt.tokens):
            token.bucket = place // width if width else id(token)
            buckets.setdefault(token.bucket, []).append(token.still.logp - token.old)

    def loss(token, said, attempt, group):
        others, own = buckets[token.bucket], token.logp - token.old
        if len(others) > 1:
            own -= mean(others)
            own *= target / std(others, 1) if target else 1
        return surrogate(math.exp(own), token.credit, clip_low, clip_high)

    return everywhere(step, loss)


def unclipped(step):
    return everywhere(step, lambda t, s, a, g: -own_move(t) * t.credit)


def shaped_off_policy(step, gamma, level, least, clip_low, clip_high):
    strangers = [a for group in step for a in group if a.off_policy]
    ratios = [math.exp(t.still.logp - t.old) for a in strangers for t in a.tokens]
    if gamma == "quantile":
        gamma = max(least, quantile(ratios, level)) if ratios else None

    def loss(token, said, attempt, group):
        if attempt.off_policy:
            return -token.credit * ratio(token) / (ratio(token) + gamma)
        return surrogate(ratio(token), token.credit, clip_low, clip_high)

    return everywhere(step, loss)


def item_clipped(step, clip_low, clip_high):
    return everywhere(
        step,
        lambda t, s, a, g: surrogate(sequence_ratio(s.tokens, t), t.credit, clip_low, clip_high),
    )


def dual_clipped(step, clip_low, clip_high, dual):
    def loss(token, said, attempt, group):
        objective = -surrogate(ratio(token), token.credit, clip_low, clip_high)
        return -max(objective, dual * token.credit) if token.credit < 0 else -objective

    return everywhere(step, loss)


def imitation(step, coef, agent):
    return everywhere(step, lambda t, s, a, g: -coef * t.logp if a.agent == agent else 0.0)


def context_dependence(step, coef, eta, limit):
    return everywhere(
        step,
        lambda t, s, a, g: -coef * min(k3(t.masked - t.logp), limit) + eta * -t.logp,
    )


# Objectives of whole groups


def score(attempt, kind):
    return mean(t.logp if kind == "log" else ratio(t) for t in attempt.tokens)


def discriminative(step, kind, tau, variant, lam, max_length):
    objective = 0.0
    for group in step:
        right = [a for a in group if a.tokens and a.success]
        wrong = [score(a, kind) for a in group if a.tokens and not a.success]
        if not right or not wrong:
            continue
        omega = [math.exp((1 - len(a.tokens) / max_length) / lam) if lam else 1 for a in right]
        liked = sum(o * score(a, kind) for o, a in zip(omega, right, strict=True)) / sum(omega)
        below = mean(wrong)
        if variant == "disco":
            below = tau * math.log(mean(math.exp(s / tau) for s in wrong))
        objective += liked - below
    return -objective / len(step)


def trajectory_product(step, clip_low, clip_high):
    total = 0.0
    for attempt in (a for group in step for a in group if a.tokens):
        product = math.exp(sum(t.logp - t.old for t in attempt.tokens))
        total += surrogate(product, attempt.tokens[0].credit, clip_low, clip_high)
    return total / attempts(step)


def kl_constraint(step, beta, delta):
    divergence = mean(t.old - t.logp for t in all_tokens(step))
    return beta / 2 * max(0, divergence - delta) ** 2


def regression(step, ddof, eps, floor):
    total = 0.0
    for group in step:
        told = [a for a in group if a.tokens]
        rho = [sum(t.logp - t.old for t in a.tokens) for a in told]
        centre = mean(rho)
        spread = math.sqrt(sum((r - centre) ** 2 for r in rho) / max(1, len(rho) - ddof))
        wanted = normalized([a.reward for a in group], "std", 0, 1e-6, "zero")
        wanted = [c for c, a in zip(wanted, group, strict=True) if a.tokens]
        for own, r in zip(wanted, rho, strict=True):
            total += (own - (r - centre) / (max(spread, floor) + eps)) ** 2
    return total / attempts(step)


def limits(chosen, version):
    """The entropy band of an attempt's forks, without gradient."""
    entropies = [t.still.entropy for t in chosen]
    middle = quantile(entropies, 0.5)
    if version == "quantile":
        return quantile(entropies, 0.1), middle
    spread = 1.4826 * quantile([abs(e - middle) for e in entropies], 0.5)
    return max(0, middle - max(spread, 1e-6)), middle


def outside(token, low, high):
    """How far a token is out of the band; its edges are inside and move nothing."""
    if token.still.entropy < low:
        return low - token.entropy
    return token.entropy - high if token.still.entropy > high else 0.0


def entropy_band(step, version, band, kl):
    total = 0.0
    for attempt in (a for group in step for a in group if a.tokens):
        chosen = forks(attempt, version, 0.2, 100)
        low, high = limits(chosen, version)
        hinge = sum(outside(t, low, high) for t in chosen)
        over = len(chosen) if version == "quantile" else len(attempt.tokens)
        total += band * hinge / over + kl * mean(k3(t.ref - t.logp) for t in chosen)
    return total / attempts(step)


LOSSES = {
    f.__name__: f
    for f in (
        *(behaviour_clipped, mixed, entropy_mixed, elastic_clipped, guarded, unclipped),
        *(shaped_off_policy, item_clipped, dual_clipped, imitation, context_dependence),
    )
}
TOTALS = {f.__name__: f for f in (discriminative, kl_constraint, regression, entropy_band)}
TOTALS["trajectory_clipped"] = trajectory_product
ALSO = {
    "mixed": [{"pessimism": "branch", "alpha": 0.3}, {"seq_low": 0.1, "seq_high": 0.1}],
    "entropy_mixed": [{"pessimism": "branch"}],
    "guarded": [{"width": 2}, {"width": 3, "target": 0.3}, {"width": 0}],
    "shaped_off_policy": [{"level": 0.3}, {"gamma": 0.5}],
    "dual_clipped": [{"dual": 1.05}],
    "context_dependence": [{"limit": 0.01}],
    "discriminative": [
        {"kind": "ratio", "tau": 1.0},
        {"kind": "ratio", "variant": "disco_b"},
        {"lam": 0.5, "max_length": 8.0, "tau": 0.3},
    ],
    "kl_constraint": [{"beta": 10.0, "delta": 0.03}],
    "regression": [{"ddof": 1, "floor": 0.5}],
    "entropy_band": [{"band": 0.7, "kl": 0.4}, {"band": 1.0, "kl": 0.0}],
    "clipped": [{"clip_low": 0.05, "clip_high": 0.15}],
    "sequence_clipped": [{"clip_low": 0.05, "clip_high": 0.1}, {"level": "turn"}],
    "kl": [{"estimator": "k1"}, {"estimator": "k2"}],
}
