"""Literal formulas of credit that reads log-probs, entropies or values of tokens."""

import json
import math

from differential import broadcast, everywhere, mean, std
from references.base import normalized
from references.credit import based, changed, iter_tokens, rewards_of


def total(attempt, first, second):
    """Sum over the attempt's tokens of one log-prob less another."""
    return sum(getattr(t, first) - getattr(t, second) for t in attempt.tokens)


def VerifiedTarget(step, alpha, cap, z_floor, reset_z):
    sums, found = {}, []
    for group in step:
        shares = [math.exp(total(a, "ref", "behaviour")) if a.success else 0.0 for a in group]
        task = "" if reset_z else json.dumps(group.data, sort_keys=True)
        before = (0.0, 0) if reset_z else sums.get(task, (0.0, 0))
        sums[task] = before[0] + sum(shares), before[1] + len(group)
        z = min(1.0, sums[task][0] / sums[task][1])
        rewards = [pseudo_reward(a, z or z_floor, alpha, cap) for a in group]
        alone = [
            (sum(rewards) - r) / (len(rewards) - 1) if len(rewards) > 1 else r for r in rewards
        ]
        found.append([r - others for r, others in zip(rewards, alone, strict=True)])
    return broadcast(step, found)


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


def TemperedCredit(step, base, target, limit, warm, cool, correct_above):
    """The first step, before which no entropy is known: H = 0."""
    right = [a.reward > correct_above for group in step for a in group]
    share, a0 = mean(right), min(abs(target - 0.0), limit)
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


def EntropyFiltered(step, base, gamma, threshold, initial_entropy):
    entropies = [t.entropy for group in step for a in group for t in a.tokens]
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


def rank_advantage(step, segments, ranks, ddof, eps, singleton):
    found = {}
    for group in step:
        columns = []
        for k in range(1, ranks + 1):
            column = [a.parts.get(f"rank_{k}", 0.0) for a in group]
            columns.append(normalized(column, "std", ddof, eps, singleton))
        for i, attempt in enumerate(group):
            for token, rank in zip(attempt.tokens, SEGMENTS[segments[0]](attempt, **segments[1])):
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


def Anchored(step, kappa, decay):
    """The first step: the anchor is the mean of its groups' means."""
    anchor, found = mean(mean(rewards_of(group)) for group in step if group), {}
    for group in step:
        for attempt in group:
            for token, change in zip(attempt.tokens, segment_values(attempt), strict=True):
                found[id(token)] = change + kappa * (mean(rewards_of(group)) - anchor)
    return everywhere(step, lambda t, s, a, g: found[id(t)])


def RobustPairs(step, beta, eta, kind, key):
    """Every pair's weight is q_g N / N_g after the weights have moved; a mean over the pairs."""
    pairs = [(g, *best_and_worst(g)) for g in step if max(rewards_of(g)) > min(rewards_of(g))]
    margins = [total(w, "old", "ref") - total(l, "old", "ref") for _, w, l in pairs]
    losses, slopes = zip(*(pair_loss(h, beta, kind) for h in margins)) if pairs else ((), ())
    names = [str(g.data.get(key, "test")) for g, _, _ in pairs]
    share = {n: len(names) / names.count(n) for n in names}
    q = {n: math.exp(eta * share[n] * loss_of(n, names, losses)) for n in names}
    q = {n: weight / sum(q.values()) for n, weight in q.items()}
    scale, credit = sum(len(g) for g, _, _ in pairs) / max(1, len(pairs)), {}
    for (_, won, lost), slope, name in zip(pairs, slopes, names, strict=True):
        credit[id(won)] = -scale * q[name] * share[name] * slope
        credit[id(lost)] = -credit[id(won)]
    return everywhere(step, lambda t, s, a, g: credit.get(id(a), 0.0))


def loss_of(name, names, losses):
    return sum(loss for of, loss in zip(names, losses, strict=True) if of == name)


def best_and_worst(group):
    rewards = rewards_of(group)
    return group[rewards.index(max(rewards))], group[rewards.index(min(rewards))]


def pair_loss(h, beta, kind):
    """The loss and its derivative by the margin h."""
    if kind == "ipo":
        return (h - 1 / (2 * beta)) ** 2, 2 * (h - 1 / (2 * beta))
    return math.log1p(math.exp(-beta * h)), -beta / (1 + math.exp(beta * h))


ADVANTAGES = {
    f.__name__: f
    for f in (
        *(VerifiedTarget, distilled_advantage, consistency_advantage, TemperedCredit),
        *(entropy_bonus, EntropyFiltered, with_score, with_width, rank_advantage),
        *(segment_steps, edge_advantage, Anchored, RobustPairs),
    )
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
    "rank_advantage": ({"ranks": 1}, {"ddof": 0, "singleton": "raw"}),
    "segment_steps": ({"whiten": False}, {"threshold": 0.5}),
    "Anchored": ({"kappa": 0.8},),
    "RobustPairs": ({"kind": "ipo"}, {"key": "kind", "eta": 0.4}),
}
