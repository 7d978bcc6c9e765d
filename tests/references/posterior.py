"""Literal formulas of credit that reads log-probs, entropies or values of tokens."""

import math

from differential import broadcast, mean
from references.base import normalized
from references.credit import based, changed, iter_tokens


def total(attempt, first, second):
    """Sum over the attempt's tokens of one log-prob less another."""
    return sum(getattr(t, first) - getattr(t, second) for t in attempt.tokens)


def verified_target(step, alpha, cap, z_floor, reset_z, earlier=()):
    found = []
    for group in step:
        seen = [g for of in earlier for g in of if g.data == group.data and not reset_z]
        seen += [g for g in step[: step.index(group) + 1] if g.data == group.data and not reset_z]
        shares = [target_share(a) for g in seen or [group] for a in g]
        z = min(1.0, mean(shares)) or z_floor
        rewards = [pseudo_reward(a, z, alpha, cap) for a in group]
        others = [mean(rewards[:i] + rewards[i + 1 :]) for i in range(len(rewards))]
        alone = len(group) == 1
        found.append([0.0 if alone else r - b for r, b in zip(rewards, others, strict=True)])
    return broadcast(step, found)


def target_share(attempt):
    return math.exp(total(attempt, "ref", "behaviour")) if attempt.success else 0.0


def pseudo_reward(attempt, z, alpha, cap):
    if not attempt.success:
        return -1.0
    log_t = total(attempt, "old", "ref") + math.log(z)
    return min(math.exp((alpha - 1) * log_t) - 1, cap)


def distilled_advantage(step, alpha, kd_reduce, selected, ddof, eps, singleton):
    credit, paid = [], []
    for group in step:
        gains = [total(a, "teacher", "behaviour") for a in group]
        if kd_reduce == "mean":
            gains = [g / max(1, len(a.tokens)) for g, a in zip(gains, group, strict=True)]
        rewards = [a.reward + alpha * g for a, g in zip(group, gains, strict=True)]
        order = sorted(range(len(rewards)), key=lambda i: rewards[i])
        low = 0 if selected is None else selected // 2
        if selected is not None and selected < len(order):
            order = order[:low] + order[len(order) - (selected - low) :]
        values = normalized([rewards[i] for i in order], "std", ddof, eps, singleton)
        given = dict(zip(order, values, strict=True))
        credit.append([given.get(i, 0.0) for i in range(len(rewards))])
        paid.append(rewards)
    return {"advantage": broadcast(step, credit), "distilled": broadcast(step, paid)}


def consistency_advantage(step, answer, accuracy, bonus, cap, margin, ddof, eps, singleton):
    credit, earned = [], []
    for group in step:
        c = [min(math.exp(mean(t.ref for t in answered(a, answer))), cap) for a in group]
        acc = [a.parts.get(accuracy, 0.0) if accuracy else float(a.success) for a in group]
        accurate = [x > 0.1 and x >= mean(acc) - 1e-12 for x in acc]
        level = mean(x for x, flag in zip(c, accurate, strict=True) if flag)
        extra = [
            bonus * x if flag and consistent >= level - margin else 0.0
            for x, flag, consistent in zip(acc, accurate, c, strict=True)
        ]
        paid = [a.reward + more for a, more in zip(group, extra, strict=True)]
        credit.append(normalized(paid, "std", ddof, eps, singleton))
        earned.append(extra)
    return {"advantage": broadcast(step, credit), "bonus": broadcast(step, earned)}


def answered(attempt, answer):
    """The tokens of the answer: the last turn's, or those between the last pair of tags."""
    name, settings = answer
    if name == "last_turn":
        return attempt.turns[-1].tokens if attempt.turns else []
    texts = [token.text for token in attempt.tokens]
    if settings["closing"] not in texts:
        return []
    close = len(texts) - 1 - texts[::-1].index(settings["closing"])
    if settings["opening"] not in texts[:close]:
        return []
    begin = close - 1 - texts[:close][::-1].index(settings["opening"])
    return attempt.tokens[begin + 1 : close]


def tempered_credit(step, base, target, limit, warm, cool, correct_above, earlier=()):
    """Warm or cool decides how `tempered` is made; no entropy is known before the first step."""
    right = [a.reward > correct_above for group in step for a in group]
    last = earlier[-1] if earlier else ()
    entropy = mean(-t.old for group in last for a in group for t in a.tokens)
    share, a0 = mean(right), min(abs(target - entropy), limit)
    alpha = (a0 / share) / (1 + a0 / share) if share else 0.0

    def mixed(credit, token, of, attempt, group):
        ratio = math.exp(token.tempered) / math.exp(token.old)
        return (1 - alpha) * credit + alpha * (attempt.reward > correct_above) * ratio

    return changed(step, base, mixed)


def entropy_bonus(step, base, lam, alpha, tag):
    def explored(credit, token, of, attempt, group):
        entropy = mean(t.entropy for said in attempt.turns for t in thought(said, tag))
        cap = abs(credit) / alpha
        return credit + lam * min(max(entropy, -cap), cap)

    return changed(step, base, explored)


def thought(said, tag):
    """A turn's tokens before its first `tag`, none if it has none."""
    texts = [token.text for token in said.tokens]
    return said.tokens[: texts.index(tag)] if tag in texts else []


def entropy_filtered(step, base, gamma, threshold, initial_entropy, earlier=()):
    first = earlier[0] if earlier else step
    entropies = [t.entropy for group in first for a in group for t in a.tokens]
    initial = mean(entropies) if initial_entropy == "measured" else initial_entropy

    def filtered(credit, token, of, attempt, group):
        entropy = mean(t.entropy for t in attempt.tokens)
        kept = initial > threshold or entropy <= threshold
        return (credit - gamma * entropy) if kept else 0.0

    return changed(step, base, filtered)


def with_score(step, base, score):
    found = []
    for group in step:
        said = [{t.id for t in a.tokens} for a in group]
        overlaps = [
            mean(len(x & y) / max(1, len(x | y)) for j, y in enumerate(said) if j != i)
            for i, x in enumerate(said)
        ]
        parts = [a.parts.get(score, 0.0) for a in group]
        found.append(parts if score else [1 - overlap for overlap in overlaps])
    return {"advantage": based(step, base), "score": broadcast(step, found)}


def with_width(step, base, eps0, a, b, low, high):
    """Attempts without a token have no credit, so they are not in mean|A|."""
    credit, widths = based(step, base), []
    for group, of in zip(step, credit, strict=True):
        sizes = [mean(abs(x) for x in iter_tokens(turns)) for turns in of]
        spoke = [size for size, one in zip(sizes, group, strict=True) if one.tokens]
        p, typical = mean(one.success for one in group), mean(spoke)
        macro = 1 + b * (4 * p * (1 - p) - 1)
        micro = [1 + a * (size / typical - 1) if typical > 0 else 1.0 for size in sizes]
        widths.append([eps0 * min(max(m * macro, low), high) for m in micro])
    return {"advantage": credit, "width": broadcast(step, widths)}


ADVANTAGES = {
    f.__name__: f
    for f in (*(distilled_advantage, consistency_advantage, entropy_bonus, with_score, with_width),)
} | {
    "VerifiedTarget": verified_target,
    "TemperedCredit": tempered_credit,
    "EntropyFiltered": entropy_filtered,
}
ALSO = {
    "VerifiedTarget": ({"alpha": 0.9, "cap": 0.5}, {"reset_z": False, "z_floor": 0.3}),
    "distilled_advantage": ({"kd_reduce": "mean", "alpha": 0.7}, {"selected": 3}),
    "consistency_advantage": ({"accuracy": "judge", "margin": 0.2, "ddof": 0},),
    "TemperedCredit": ({"target": 0.03}, {"correct_above": 0.7, "limit": 0.4}),
    "entropy_bonus": ({"lam": 0.2, "alpha": 0.5}, {"tag": "\n"}),
    "EntropyFiltered": ({"threshold": 0.4, "gamma": 0.5}, {"initial_entropy": 0.8}),
    "with_score": ({"score": "order"},),
    "with_width": ({"a": 1.0, "b": 0.9}, {"a": 0.0, "b": 0.0}),
}
