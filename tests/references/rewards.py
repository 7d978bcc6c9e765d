"""Literal formulas of rewards by named parts, groups and batches."""

import math

from differential import mean, std


def each(step, reward):
    """`reward(attempt, group)` of every attempt."""
    return [[reward(attempt, group) for attempt in group] for group in step]


def summed(parts, weights):
    return sum(weight * parts.get(name, 0.0) for name, weight in weights.items())


def length(attempt):
    return len(attempt.tokens)


def weighted_sum(step, weights):
    return each(step, lambda a, g: summed(a.parts, weights))


def gated_sum(step, weights, gates):
    def reward(attempt, group):
        total = 0.0
        for name, weight in weights.items():
            gate = attempt.parts.get(gates[name], 0.0) if name in gates else 1.0
            total += weight * gate * attempt.parts.get(name, 0.0)
        return total

    return each(step, reward)


def staged_sum(step, weights, stages, passing):
    def reward(attempt, group):
        total, open_ = 0.0, True
        for stage in stages:
            value = attempt.parts.get(stage, 0.0)
            total += weights.get(stage, 0.0) * value * open_
            open_ = open_ and value >= passing
        return total + summed(attempt.parts, {n: w for n, w in weights.items() if n not in stages})

    return each(step, reward)


def criteria(step, weights):
    return each(
        step,
        lambda a, g: (
            sum(w * (a.parts.get(n, 0.0) >= 1) for n, w in weights.items()) / sum(weights.values())
        ),
    )


def soft_overlong(step, max_length, cache):
    return each(step, lambda a, g: a.reward + overlong(length(a), max_length, cache))


def overlong(tokens, most, cache):
    if tokens <= most - cache:
        return 0.0
    return (most - cache - tokens) / cache if tokens <= most else -1.0


def rank_rewards(step, hit, form, ranks):
    def reward(attempt, group):
        hits = [said.parts.get(hit, 0.0) for said in attempt.turns][:ranks]
        if f"{hit}_1" in attempt.parts:
            hits = [attempt.parts.get(f"{hit}_{k}", 0.0) for k in range(1, ranks + 1)]
        if form == "exp_inf":
            return sum(hits)
        return sum(
            sum(hits[j] / math.log2(j + 2) for j in range(k, len(hits))) for k in range(len(hits))
        )

    return each(step, reward)


def population_scaled(step, norm, rho, multiplier, cooperation_rate):
    gives = [[attempt.parts.get(norm, 0.0) > 0 for attempt in group] for group in step]
    rate = mean(flag for of in gives for flag in of)
    g = rate if cooperation_rate is None else cooperation_rate
    found = []
    for group, flags in zip(step, gives, strict=True):
        n, k = len(group), sum(flags)
        game = [0.0 if multiplier is None else multiplier * k / n - flag for flag in flags]
        paid = [a.reward for a in group] if multiplier is None else game
        found.append(
            [r * (1 + rho * g * (1 - g)) if f else r for r, f in zip(paid, flags, strict=True)]
        )
    return found


def short_where_right(step, share, alpha, ddof):
    accuracy = [mean(a.success for a in group) for group in step]
    order = sorted(range(len(step)), key=lambda i: (-accuracy[i], i))
    best = order[: max(1, math.ceil(share * len(step)))]
    return [
        [by_length(a, group, alpha, ddof) if i in best else float(a.success) for a in group]
        for i, group in enumerate(step)
    ]


def by_length(attempt, group, alpha, ddof):
    if not attempt.success:
        return 0.0
    right = [length(a) for a in group if a.success]
    gap, spread = length(attempt) - mean(right), std(right, ddof)
    z = gap / spread if spread > 0 else gap
    return 1 - alpha / (1 + math.exp(-z))


def calibrated(step, weights, scales, anchor, magnitude, floor, earlier=()):
    """The first step fixes the scales."""
    live = [attempt for group in (*earlier, step)[0] for attempt in group]
    anchor = next(iter(weights)) if anchor is None else anchor

    def size(name):
        values = [abs(attempt.parts.get(name, 0.0)) for attempt in live]
        return mean(values) if magnitude == "mean" else std(values, 0)

    if scales is None and size(anchor) < floor:
        scales = {}
    elif scales is None:
        scales = {name: size(anchor) / max(size(name), floor) for name in weights}
    mixed = {name: weight * scales.get(name, 1.0) for name, weight in weights.items()}
    return each(step, lambda a, g: summed(a.parts, mixed))


def win_rate(step, judge, both_orders, digits):
    assert judge[0] == "better_reward"
    found = []
    for group in step:
        rewards = [a.reward for a in group]
        wins = [
            sum(1.0 if r > other else 0.5 if r == other else 0.0 for other in rewards) - 0.5
            for r in rewards
        ]
        pairs = max(1, len(rewards) - 1)
        found.append([round(won / pairs, digits) for won in wins])
    return found


def decayed_successes(step, decay):
    found = []
    for group in step:
        paid, before = [], 0
        for attempt in group:
            paid.append(decay**before if attempt.success else 0.0)
            before += attempt.success
        found.append(paid)
    return found


def majority_vote(step, plain):
    found = []
    for group in step:
        votes = [a.answer for a in group]
        if plain:
            spoken = [a.text.strip() if a.turns else None for a in group]
            votes = [v if v is not None else s for v, s in zip(votes, spoken, strict=True)]
        cast = [v for v in votes if v is not None]
        winner = max(dict.fromkeys(cast), key=cast.count, default=None)
        found.append([float(v is not None and v == winner) for v in votes])
    return found


SHAPES = {
    f.__name__: f
    for f in (
        *(weighted_sum, gated_sum, staged_sum, criteria, soft_overlong, rank_rewards),
        *(population_scaled, short_where_right),
        *(win_rate, decayed_successes, majority_vote),
    )
} | {"CalibratedMixture": calibrated}
ALSO = {
    "weighted_sum": ({"weights": {"solved": 0.7, "order": -2.0, "hit_1": 1.0}},),
    "gated_sum": ({"weights": {"order": 1.0, "judge": 2.0}, "gates": {"judge": "executed"}},),
    "staged_sum": (
        {
            "weights": {"format": 0.2, "executed": 0.5, "judge": 1.0, "order": 1.0},
            "stages": ("format", "executed", "judge"),
        },
        {"weights": {"format": 0.2, "judge": 1.0}, "stages": ("format", "judge"), "passing": 0.4},
    ),
    "criteria": ({"weights": {"executed": 2.0, "judge": 1.0, "hit_1": 0.5}},),
    "soft_overlong": ({"max_length": 6, "cache": 4}, {"max_length": 3, "cache": 2}),
    "rank_rewards": ({"hit": "hit", "form": "log_decay"}, {"hit": "hit", "ranks": 2}),
    "population_scaled": (
        {"norm": "cooperates", "rho": 2.0, "multiplier": 1.6},
        {"norm": "cooperates", "cooperation_rate": 0.9},
    ),
    "short_where_right": ({"share": 1.0, "alpha": 0.2}, {"share": 0.5, "ddof": 1}),
    "CalibratedMixture": (
        {"weights": {"order": 0.75, "judge": 0.25}},
        {"weights": {"solved": 0.5, "order": 0.5}, "magnitude": "std", "anchor": "order"},
        {"weights": {"solved": 0.5, "order": 0.5}, "scales": {"order": 5.0}},
    ),
    "win_rate": ({"both_orders": True, "digits": 6},),
    "decayed_successes": ({"decay": 0.9},),
    "majority_vote": ({"plain": True},),
}
