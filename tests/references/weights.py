"""Literal weightings that a paper brings along."""

import math
from functools import cache

from differential import everywhere, mean
from references.base import attempts, normalized, seq_mean_token_mean, token_mean
from references.turns import by_token


def inner(step, base):
    """The weights that another weighting gives, token by token."""
    name, settings = base
    return {
        "seq_mean_token_mean": seq_mean_token_mean,
        "length_weighted": token_mean,
    }[name](step, **settings)


def times(step, base, factor):
    """Another weighting's weights times `factor(token, said, attempt, group)`."""
    weights = inner(step, base)
    factors = everywhere(step, factor)
    return [
        [
            [[w * f for w, f in zip(*said, strict=True)] for said in zip(*attempt, strict=True)]
            for attempt in zip(*group, strict=True)
        ]
        for group in zip(weights, factors, strict=True)
    ]


def overlap(one, other):
    """Jaccard of two attempts' token ids."""
    one, other = ({t.id for t in a.tokens} for a in (one, other))
    return len(one & other) / max(1, len(one | other))


def distinct(step, base, delta):
    def kept(token, said, attempt, group):
        score, sign = {}, {}
        for a in group:
            score[id(a)] = 1 - mean(overlap(a, other) for other in group if other is not a)
            sign[id(a)] = mean(t.credit for t in a.tokens)
        mine = id(attempt)
        against = [i for i in sign if sign[i] * sign[mine] < 0]
        return float(all(abs(score[i] - score[mine]) >= delta - 1e-6 for i in against))

    return times(step, base, kept)


def truncated_importance(step, base, cap):
    return times(step, base, lambda t, s, a, g: min(math.exp(t.old - t.behaviour), cap))


def engine_ratio(tokens, over):
    """The policy's probability of some tokens over the engine's."""
    logs = [t.old - t.behaviour for t in tokens]
    return math.exp(mean(logs) if over == "geometric" else sum(logs))


def unit(said, attempt, level):
    return said.tokens if level == "turn" else attempt.tokens


def kept(step, base, own, low, high, ratio, renormalise):
    """Weights where the ratio `own(token, said, attempt)` is in the interval."""

    def stays(token, said, attempt):
        return low <= own(token, said, attempt) <= high

    plain = times(step, base, lambda t, s, a, g: 1.0)
    left = times(step, base, lambda t, s, a, g: float(stays(t, s, a)))
    scale = total(plain) / total(left) if renormalise and total(left) else 1.0
    factor = own if ratio else lambda t, s, a: 1.0
    return times(step, base, lambda t, s, a, g: scale * stays(t, s, a) * factor(t, s, a))


def total(weights):
    return sum(w for group in weights for attempt in group for said in attempt for w in said)


def masked_importance(step, base, low, high, ratio, renormalise):
    def own(token, said, attempt):
        return math.exp(token.old - token.behaviour)

    return kept(step, base, own, low, high, ratio, renormalise)


def truncated_sequences(step, base, level, over, cap):
    return times(step, base, lambda t, s, a, g: min(engine_ratio(unit(s, a, level), over), cap))


def masked_sequences(step, base, level, over, low, high, ratio, renormalise):
    def own(token, said, attempt):
        return engine_ratio(unit(said, attempt, level), over)

    return kept(step, base, own, low, high, ratio, renormalise)


def valid_token_mean(step):
    def spread(group):
        return max(a.reward for a in group) - min(a.reward for a in group) > 1e-12

    def tokens(groups):
        return sum(len(a.tokens) for g in groups for a in g)

    count = tokens(g for g in step if spread(g)) or tokens(step)
    return everywhere(step, lambda t, s, a, g: 1 / count)


def explanation_sum(step):
    count = sum(a.agent == "explanation" and bool(a.tokens) for g in step for a in g)
    return everywhere(step, lambda t, s, a, g: 1 / max(1, count))


def unsure_mean(step, threshold):
    unsure = [math.exp(t.behaviour) < threshold for g in step for a in g for t in a.tokens]
    return everywhere(
        step, lambda t, s, a, g: float(math.exp(t.behaviour) < threshold) / max(1, sum(unsure))
    )


# Forks


@cache
def otsu(entropies, bins):
    """The bin centre that splits a histogram best; the first of equals."""
    low, high = min(entropies), max(entropies)
    width = (high - low) / bins
    counts = [0] * bins
    for entropy in entropies:
        counts[min(bins - 1, int((entropy - low) / width))] += 1
    centres = [low + (k + 0.5) * width for k in range(bins)]
    whole = sum(n * centre for n, centre in zip(counts, centres, strict=True))
    best, found, left, below = -1.0, low, 0, 0.0
    for count, centre in zip(counts[:-1], centres[:-1], strict=True):
        left, below = left + count, below + count * centre
        right = len(entropies) - left
        between = left * right * (below / left - (whole - below) / right) ** 2
        if between > best + 1e-9:
            best, found = between, centre
    return found


def forks(attempt, version, share, bins):
    """The tokens of high entropy."""
    entropies = [t.still.entropy for t in attempt.tokens]
    if version == "quantile":
        threshold = sorted(entropies)[-math.ceil(share * len(entropies) - 1e-9)]
    elif max(entropies) - min(entropies) <= 1e-12:
        threshold = min(entropies)
    else:
        threshold = otsu(tuple(entropies), bins)
    return [t for t in attempt.tokens if t.still.entropy >= threshold]


def fork_tokens(step, version, share, bins):
    weights = {id(t): 0.0 for g in step for a in g for t in a.tokens}
    for attempt in (a for g in step for a in g if a.tokens):
        chosen = forks(attempt, version, share, bins)
        over = len(chosen) if version == "quantile" else len(attempt.tokens)
        weights |= {id(t): 1 / (attempts(step) * over) for t in chosen}
    return by_token(step, weights)


# Conflicts


def sign_of(value):
    return (value > 1e-9) - (value < -1e-9)


def run(ids, shared):
    """The length of the unbroken run of shared tokens from the first one."""
    length = 0
    for place, token in enumerate(ids):
        if not shared(place, token):
            break
        length += 1
    return length


def runs(group, signs, backward):
    """Tokens (by identity) inside the shared run from one end of each turn."""

    def ordered(said):
        return said.tokens[::-1] if backward else said.tokens

    there = {
        (number, place, token.id, sign)
        for attempt, sign in zip(group, signs, strict=True)
        for number, said in enumerate(attempt.turns)
        for place, token in enumerate(ordered(said))
    }
    inside = set()
    for attempt in (a for a, sign in zip(group, signs, strict=True) if sign):
        for number, said in enumerate(attempt.turns):
            both = lambda p, t, n=number: all((n, p, t.id, s) in there for s in (1, -1))  # noqa: E731
            inside |= {id(t) for t in ordered(said)[: run(ordered(said), both)]}
    return inside


def conflict_weights(step, boost, overlap, divide_by_conflicts, count_rule, reduce):
    weights = {}
    for group in step:
        signs = [sign_of(c) for c in normalized([a.reward for a in group], "none", 0, 0, "zero")]
        ends = [runs(group, signs, backward) for backward in (False, True)]
        for attempt, sign in zip(group, signs, strict=True):
            inside = [[id(t) in end for t in attempt.tokens] for end in ends]
            both = [sum(pair) for pair in zip(*inside, strict=True)]
            count = max(map(sum, inside)) if count_rule == "longer" else sum(map(bool, both))
            share = (attempts(step) if reduce == "mean" else len(step)) * len(attempt.tokens)
            share *= max(1, count) if divide_by_conflicts else 1
            for token, hits in zip(attempt.tokens, both, strict=True):
                power = hits if overlap == "product" else min(1, hits)
                weights[id(token)] = (boost if sign > 0 else 0.0) ** power / share
    return by_token(step, weights)


WEIGHTINGS = {
    f.__name__: f
    for f in (
        *(distinct, truncated_importance, valid_token_mean, explanation_sum, unsure_mean),
        *(fork_tokens, conflict_weights),
        *(masked_importance, truncated_sequences, masked_sequences),
    )
}
ALSO = {
    "distinct": [{"delta": 0.3}, {"delta": 0.6}],
    "truncated_importance": [{"cap": 1.1}],
    "masked_importance": [
        {"ratio": False, "renormalise": True},
        {"low": 0.9, "high": 1.1, "renormalise": True},
        {"high": 0.0, "renormalise": True},
    ],
    "truncated_sequences": [{"level": "turn"}, {"over": "geometric", "cap": 1.01}],
    "masked_sequences": [
        {"low": 0.8, "high": 1.2, "over": "geometric", "renormalise": True},
        {"level": "turn", "ratio": False, "low": 0.5},
    ],
    "unsure_mean": [{"threshold": 0.5}],
    "fork_tokens": [{"share": 0.5}],
    "conflict_weights": [
        {"overlap": "product", "boost": 3.0},
        {"divide_by_conflicts": True, "count_rule": "union"},
        {"divide_by_conflicts": True, "count_rule": "longer", "reduce": "sum"},
    ],
}
