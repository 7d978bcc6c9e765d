"""Literal formulas of credit by attempt: baselines, weights of groups, pseudo-rewards."""

import math

from differential import broadcast, everywhere, mean, std
from references.base import group_advantage, normalized, turn_row_advantage
from references.turns import gae_advantage

from agentrl.agreement import agreement as agreement_part
from agentrl.agreement import half_solved as half_solved_part
from agentrl.algorithms.base import part
from agentrl.algorithms.dgpo import difficulty as difficulty_part

BASES = {f.__name__: f for f in (group_advantage, turn_row_advantage, gae_advantage)}


def based(step, base):
    """Another part's credit, in the step's nesting."""
    name, settings = base
    return (BASES | ADVANTAGES)[name](step, **settings)


def changed(step, base, change):
    """`change(A, token, said, attempt, group)` of every token's credit of another part."""
    credit = iter_tokens(based(step, base))
    return everywhere(step, lambda t, s, a, g: change(next(credit), t, s, a, g))


def iter_tokens(nested):
    """The numbers of a nested list in order."""
    for inner in nested:
        if isinstance(inner, list):
            yield from iter_tokens(inner)
        else:
            yield inner


def rewards_of(group):
    return [attempt.reward for attempt in group]


def equal(values):
    return max(values, default=0) - min(values, default=0) <= 1e-12


def floored_baseline(step, threshold):
    found = []
    for group in step:
        baseline = max(threshold, mean(rewards_of(group)))
        found.append([attempt.reward - baseline for attempt in group])
    return broadcast(step, found)


def with_perfect_member(step, max_reward, ddof, eps, singleton):
    found = []
    for rewards in map(rewards_of, step):
        pool = [*rewards, max_reward]
        centre, spread = mean(pool), std(pool, ddof)
        if len(rewards) == 1:
            found.append([rewards[0] / (1 + eps) if singleton == "raw" else 0.0])
        elif equal(pool):
            found.append([0.0 for _ in rewards])
        else:
            found.append([(r - centre) / (spread + eps) for r in rewards])
    return broadcast(step, found)


def balanced(step, eps):
    found = []
    for rewards in map(rewards_of, step):
        total = sum(abs(r - mean(rewards)) for r in rewards)
        flat = equal(rewards)
        found.append(
            [0.0 if flat else len(rewards) * (r - mean(rewards)) / (total + eps) for r in rewards]
        )
    return broadcast(step, found)


def group_weighted(step, base, weight):
    name, settings = weight
    weights = dict(zip(map(id, step), GROUP_WEIGHTS[name](step, **settings), strict=True))
    return changed(step, base, lambda credit, t, s, a, g: credit * weights[id(g)])


def difficulty(step, temperature, main):
    first = next((name for group in step for a in group for name in a.parts), "")
    name, scores = main or first, {}
    for group in step:
        if not equal(rewards_of(group)):
            level = mean(a.parts.get(name, 0.0) if name else a.reward for a in group)
            scores[id(group)] = math.exp(-(1.0 if level == 0 else level) / temperature)
    n, total = len(scores), sum(scores.values())
    return [n * scores[id(g)] / total if id(g) in scores else 1.0 for g in step]


def said(attempt):
    """Its answer, else what it said last."""
    return attempt.text.strip() if attempt.answer is None else attempt.answer


def answer_counts(group):
    answers = [said(attempt) for attempt in group]
    return [answers.count(answer) for answer in dict.fromkeys(answers)]


def half_solved(step, peak, gamma, diversity, classes):
    found = []
    for group in step:
        d, size, kinds = mean(rewards_of(group)), len(group), answer_counts(group)
        if diversity == "distinct":
            spread = (len(kinds) - 1) / (size - 1) if size > 1 else 0.0
        else:
            spread = -sum(k / size * math.log(k / size) for k in kinds) / math.log(classes)
        found.append(peak * max(0.0, d * (1 - d)) * max(0.0, spread) ** gamma)
    return found


def agreement(step, alpha, form, entropy, mass):
    found = []
    for group in step:
        shares = cluster_shares(group, mass)
        if entropy == "mean_log":
            level = mean(-math.log(p) for p in shares)
        else:
            level = -sum(p * math.log(p) for p in shares)
        x = alpha * level / math.log(len(group)) if len(group) > 1 else 0.0
        found.append(math.exp(-x) if form == "exponential" else max(0.0, 1 - x))
    return found


def cluster_shares(group, mass):
    """The mass of every set of equal answers, as a share of the group's."""
    masses = {}
    for attempt in group:
        odds = math.exp(sum(t.behaviour for t in attempt.tokens)) if mass == "probability" else 1
        masses[said(attempt)] = masses.get(said(attempt), 0.0) + odds
    return [m / sum(masses.values()) for m in masses.values()]


def is_right(attempt, above):
    return attempt.success if above is None else attempt.reward > above


def differential_smoothing(step, gamma_pos, gamma_neg, base, correct_above, per_token):
    def smoothed(credit, token, of, attempt, group):
        log = token.behaviour if per_token else sum(t.behaviour for t in attempt.tokens)
        if is_right(attempt, correct_above):
            return credit - gamma_pos * log
        return credit + gamma_neg * log

    return changed(step, base, smoothed)


def novelty_bonus(step, base, lam, kappa):
    def rewarded(credit, token, of, attempt, group):
        scores = [mean(t.behaviour for t in a.tokens) for a in group if a.tokens]
        eta = math.exp(mean(t.behaviour for t in attempt.tokens) - mean(scores))
        if not attempt.success:
            return credit
        return credit + min(max(lam * (1 - eta), 0.0), max(0.0, kappa * credit))

    return changed(step, base, rewarded)


def repeats_decayed(step, decay, base):
    return changed(step, base, lambda x, t, s, a, g: x * decay ** g.notes.get("repeat", 0.0))


def decoupled(step, release, eps, weights, batch_norm):
    found, names = [], sorted({name for group in step for a in group for name in a.parts})
    weights = dict.fromkeys(names, 1.0) if weights is None else weights
    for group in step:
        each = [
            [w * x for x in normalized([a.parts.get(n, 0.0) for a in group], "std", 1, eps, "zero")]
            for n, w in weights.items()
        ]
        found.append([sum(column) for column in zip(*each, strict=True)])
    dead = {id(g) for g, of in zip(step, found, strict=True) if all(a == 0 for a in of)}
    if not batch_norm or (release == "trl" and len(weights) == 1):
        return broadcast(step, found)
    nested = broadcast(step, found)
    pool = list(iter_tokens(found if release == "trl" else nested))
    centre, spread = mean(pool), std(pool, 1)
    below = spread + eps if release == "trl" else math.sqrt(spread**2 + 1e-8)
    still = len(pool) < 2 or equal(pool)
    credit = iter_tokens(nested)
    return everywhere(
        step,
        lambda t, s, a, g: (next(credit) - centre) / below * (id(g) not in dead and not still),
    )


def attempts_only(step, base):
    return changed(step, base, lambda x, t, s, a, g: 0.0 if a.agent == "explanation" else x)


def surprise(step, eps):
    gaps = [[a.reward - group.notes.get("value", 0.5) for a in group] for group in step]
    pool = [gap for of in gaps for gap in of]
    return broadcast(step, regrouped(step, normalized(pool, "std", 1, eps, "zero")))


def regrouped(step, numbers):
    """Numbers of all attempts, in order, as `[group][attempt]`."""
    given = iter(numbers)
    return [[next(given) for _ in group] for group in step]


def root_advantage(step, eps):
    found = []
    for rewards in map(rewards_of, step):
        below = math.sqrt(std(rewards, 0) ** 2 + eps)
        found.append([(r - mean(rewards)) / below for r in rewards])
    return broadcast(step, found)


def outcome_sign(step):
    found = []
    for group in step:
        right = [a.success for a in group]
        one_class = all(right) or not any(right)
        found.append([0.0 if one_class else 1.0 if flag else -1.0 for flag in right])
    return broadcast(step, found)


GROUP_WEIGHTS = {f.__name__: f for f in (difficulty, half_solved, agreement)}
ADVANTAGES = {
    f.__name__: f
    for f in (
        *(floored_baseline, with_perfect_member, balanced, group_weighted, decoupled),
        *(differential_smoothing, novelty_bonus, repeats_decayed, attempts_only),
        *(surprise, root_advantage, outcome_sign),
    )
}
ALSO = {
    "floored_baseline": ({"threshold": 0.0}, {"threshold": -0.3}),
    "with_perfect_member": ({"ddof": 0, "singleton": "zero"}, {"max_reward": 0.5}),
    "decoupled": ({"weights": {"solved": 2.0}}, {"batch_norm": False}, {"eps": 0.3}),
    "differential_smoothing": (
        {"per_token": True, "gamma_pos": 0.3, "correct_above": None},
        {"gamma_neg": 0.0},
    ),
    "group_weighted": (
        {"weight": part(difficulty_part, main="executed", temperature=0.7)},
        {"weight": part(half_solved_part, diversity="entropy", classes=3)},
        {"weight": part(agreement_part, entropy="shannon", form="exponential")},
        {"weight": part(agreement_part, mass="probability", alpha=0.6)},
    ),
    "root_advantage": ({"eps": 0.3},),
    "novelty_bonus": ({"lam": 0.3, "kappa": 2.0},),
    "repeats_decayed": ({"decay": 0.7},),
}
