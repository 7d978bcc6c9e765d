"""Literal formulas of credit by segments, values at places, and pairs of attempts."""

import math

from differential import everywhere, mean, std
from references.base import normalized
from references.credit import equal, rewards_of
from references.posterior import total


def rank_advantage(step, segments, ranks, ddof, eps, singleton):
    found = {}
    for group in step:
        columns = []
        for k in range(1, ranks + 1):
            column = [a.parts.get(f"rank_{k}", 0.0) for a in group]
            columns.append(normalized(column, "std", ddof, eps, singleton))
        for i, attempt in enumerate(group):
            items = SEGMENTS[segments[0]](attempt, **segments[1])
            for token, rank in zip(attempt.tokens, items, strict=True):
                found[id(token)] = columns[rank][i] if 0 <= rank < ranks else 0.0
    return everywhere(step, lambda t, s, a, g: found[id(t)])


def by_turn(attempt):
    return [number for number, said in enumerate(attempt.turns) for _ in said.tokens]


def by_item(attempt, separators):
    items, item = [], 0
    for said in attempt.turns:
        for number, token in enumerate(said.tokens, 1):
            end_token = said.stopped and number == len(said.tokens)
            items.append(-1 if end_token else item)
            item += any(separator in token.text for separator in separators)
    return items


SEGMENTS = {"by_turn": by_turn, "by_item": by_item}


def segment_values(attempt):
    """Each token takes the change from the valued place before it to the next, or to the score."""
    places = sorted(attempt.values)
    ends = [*places, len(attempt.tokens) - 1]
    values = [*(attempt.values[p] for p in places), attempt.reward]
    steps = []
    for t in range(len(attempt.tokens)):
        k = next(i for i, end in enumerate(ends) if end >= t)
        steps.append(values[k] - values[k - 1] if k > 0 else 0.0)
    return steps


def segment_steps(step, threshold, whiten):
    steps, unsure = {}, []
    for attempt in (a for group in step for a in group):
        for token, change in zip(attempt.tokens, segment_values(attempt), strict=True):
            p = math.exp(token.behaviour)
            steps[id(token)] = 0.0 if p > threshold else change
            unsure += [change] if p < threshold else []
    pool = unsure or list(steps.values())
    centre, spread = mean(pool), std(pool, 0) + 1e-8
    return everywhere(
        step,
        lambda t, s, a, g: (steps[id(t)] - centre) / spread if whiten else steps[id(t)],
    )


def edge_advantage(step):
    found = {}
    for attempt in (a for group in step for a in group):
        for t, token in enumerate(attempt.tokens):
            starts = [place for place in sorted(attempt.values) if place <= t]
            found[id(token)] = attempt.values[starts[-1]] if starts else 0.0
    return everywhere(step, lambda t, s, a, g: found[id(t)])


def anchored(step, kappa, decay, earlier=()):
    """The anchor begins as the mean of the first step's groups' means."""
    means = [mean(mean(rewards_of(group)) for group in of) for of in (*earlier, step)]
    anchor, found = means[0], {}
    for now in means[:-1]:
        anchor = decay * anchor + (1 - decay) * now
    for group in step:
        for attempt in group:
            for token, change in zip(attempt.tokens, segment_values(attempt), strict=True):
                found[id(token)] = change + kappa * (mean(rewards_of(group)) - anchor)
    return everywhere(step, lambda t, s, a, g: found[id(t)])


def robust_pairs(step, beta, eta, kind, key, earlier=()):
    """Every pair's weight is q_g N / N_g after the weights have moved; a mean over the pairs."""
    q, met = {}, []
    for now in (*earlier, step):
        pairs = [(g, *best_and_worst(g)) for g in now if not equal(rewards_of(g))]
        margins = [total(won, "old", "ref") - total(lost, "old", "ref") for _, won, lost in pairs]
        names = [str(g.data.get(key, "test")) for g, _, _ in pairs]
        found = [pair_loss(h, beta, kind) for h in margins]
        met += names
        if names:
            move(q, met, names, [loss for loss, _ in found], eta)
    scale, credit = sum(len(g) for g, _, _ in pairs) / max(1, len(pairs)), {}
    for (_, won, lost), (_, slope), name in zip(pairs, found, names, strict=True):
        credit[id(won)] = -scale * q[name] * len(met) / met.count(name) * slope
        credit[id(lost)] = -credit[id(won)]
    return everywhere(step, lambda t, s, a, g: credit.get(id(a), 0.0))


def move(q, met, names, losses, eta):
    """One step of mirror ascent; who is new begins at the others' geometric mean."""
    start = math.exp(mean(math.log(weight) for weight in q.values()))
    for name in names:
        q.setdefault(name, start)
    for name in q:
        mine = sum(loss for of, loss in zip(names, losses, strict=True) if of == name)
        q[name] *= math.exp(eta * len(met) / met.count(name) * mine)
    whole = sum(q.values())
    for name in q:
        q[name] /= whole


def best_and_worst(group):
    rewards = rewards_of(group)
    return group[rewards.index(max(rewards))], group[rewards.index(min(rewards))]


def pair_loss(h, beta, kind):
    """The loss and its derivative by the margin h."""
    if kind == "ipo":
        return (h - 1 / (2 * beta)) ** 2, 2 * (h - 1 / (2 * beta))
    return math.log1p(math.exp(-beta * h)), -beta / (1 + math.exp(beta * h))


ADVANTAGES = {f.__name__: f for f in (rank_advantage, segment_steps, edge_advantage)} | {
    "Anchored": anchored,
    "RobustPairs": robust_pairs,
}
ALSO = {
    "rank_advantage": ({"ranks": 1}, {"ddof": 0, "singleton": "raw"}),
    "segment_steps": ({"whiten": False}, {"threshold": 0.5}),
    "Anchored": ({"kappa": 0.8, "decay": 0.7},),
    "RobustPairs": ({"kind": "ipo"}, {"key": "kind", "eta": 0.4}),
}
