"""Composed rewards: mixtures, gates, scales, ranks of groups, pairwise judges, ranked lists."""

import warnings
from dataclasses import replace
from functools import partial

import torch
from bindings.common import (
    UNCLIPPED,
    advantage,
    attempts,
    column,
    groups_of,
    loss_table,
    per_attempt,
    per_token,
    per_turn,
)
from builders import table_of, view_of

from agentrl.algorithms.base import part
from agentrl.algorithms.care import CARE
from agentrl.algorithms.codistill import CODISTILL, CODISTILL_LARGE
from agentrl.algorithms.gcc import GCC
from agentrl.algorithms.grpo_lambda_length import GRPO_LAMBDA_LENGTH, switched
from agentrl.algorithms.mixed_reward_bootstrap import MIXED_REWARD_BOOTSTRAP
from agentrl.algorithms.multi_objective_safety import MULTI_OBJECTIVE_SAFETY
from agentrl.algorithms.multi_reward_debias import MULTI_REWARD_DEBIAS
from agentrl.algorithms.p_grpo import P_GRPO
from agentrl.algorithms.pref_grpo import PREF_GRPO
from agentrl.algorithms.rank_grpo import RANK_GRPO
from agentrl.algorithms.style_mix import STYLE_MIX, completeness
from agentrl.algorithms.vspo import VSPO
from agentrl.envs.echo import WORDS
from agentrl.envs.sudoku import order_score
from agentrl.keeps import sample_value


def with_parts(groups, cases):
    """The groups with the parts that their cases list per attempt; an attempt's number stays."""
    return [
        replace(
            group,
            episodes=tuple(
                replace(e, trajectories=(replace(e.main, parts=named(case, e.attempt)),))
                for e in group.episodes
            ),
        )
        for group, case in zip(groups, cases, strict=True)
    ]


def named(case, attempt):
    """One attempt's parts."""
    return {name: float(values[attempt]) for name, values in case["parts"].items()}


def rewards(groups):
    """Rewards `[group][attempt]`."""
    return [[episode.main.reward for episode in group.episodes] for group in groups]


def shape(record, *, groups, **options):
    """Rewards that the record's shape makes of named parts."""
    rows = [next(iter(case["parts"].values())) for case in groups]
    given = with_parts(groups_of([{"rewards": [0] * len(row)} for row in rows]), groups)
    return {"rewards": rewards(record.shape.but(**options).started()(given))}


def story_scores(*, words, ended):
    return {"scores": [completeness(w, bool(e)) for w, e in zip(words, ended, strict=True)]}


def calibrate(*, parts, **options):
    """The scales that the shape fixes on the first group it sees."""
    mixture = MIXED_REWARD_BOOTSTRAP.shape.but(weights=dict.fromkeys(parts, 1.0), **options)
    started, size = mixture.started(), attempts(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started(with_parts(groups_of([{"rewards": [0] * size}]), [{"parts": parts}]))
    return {"scales": started.live.scales}


def order(*, emitted, canonical):
    return {"score": order_score(emitted, canonical)}


def public_goods(*, cooperates, multiplier, **options):
    """Payoffs of one game, then scaled by the population."""
    groups = with_parts(
        groups_of([{"rewards": [0] * len(cooperates)}]), [{"parts": {"cooperates": cooperates}}]
    )
    play = GCC.shape.but(multiplier=multiplier)
    (base,), (final,) = (rewards(play.but(**o)(groups)) for o in ({"rho": 0.0}, options))
    return {"base": base, "rewards": final}


def lambda_shape(*, groups, **options):
    given = groups_of(groups)
    part = GRPO_LAMBDA_LENGTH.shape.but(**options)
    return {"rewards": rewards(part(given)), "switched": switched(given, part.settings["share"])}


def judged(first, second):
    """A judge that reads its verdict from the first's parts."""
    return first.main.parts[f"against_{second.attempt}"]


def win_shape(*, groups):
    tables = [case["wins"] for case in groups]
    sizes = [{"rewards": [0] * len(wins)} for wins in tables]
    parts = [
        {"parts": {f"against_{j}": column for j, column in enumerate(zip(*wins, strict=True))}}
        for wins in tables
    ]
    shape = PREF_GRPO.shape.but(judge=part(judged))
    return {"rewards": rewards(shape(with_parts(groups_of(sizes), parts)))}


def rank_shape(*, hits, **options):
    """Segment rewards of one attempt whose turns report hits."""
    (given,) = groups_of([{"rewards": [0], "turns": [len(hits)]}])
    (episode,) = given.episodes
    turns = [replace(t, parts={"hit": h}) for t, h in zip(episode.main.turns, hits, strict=True)]
    main = replace(episode.main, turns=tuple(turns))
    group = replace(given, episodes=(replace(episode, trajectories=(main,)),))
    (shaped,) = RANK_GRPO.shape.but(**options)([group])
    parts = shaped.episodes[0].main.parts
    return {"segment_rewards": [parts[f"rank_{k}"] for k in range(1, len(hits) + 1)]}


def rank_advantage(*, groups, **options):
    columns = [list(zip(*case["segment_rewards"], strict=True)) for case in groups]
    parts = [{"parts": {f"rank_{k}": c for k, c in enumerate(of, 1)}} for of in columns]
    turns = [{"turns": [len(row) for row in case["segment_rewards"]]} for case in groups]
    given = with_parts(groups_of(turns), parts)
    table = RANK_GRPO.but(advantage=RANK_GRPO.advantage.but(**options)).credit(
        table_of(given), given
    )
    return {"segment_advantages": per_turn(table, table.advantage)}


def rank_loss(*, log_ratio, segments, segment_advantages):
    """One attempt, a turn per segment; the ratio is the unclipped loss at A = -1."""
    lengths = [segments.count(number) for number in range(len(segment_advantages))]
    given = groups_of([{"rewards": [0], "turn_lengths": [lengths]}])
    table = RANK_GRPO.credit(table_of(given), given)
    table = table.with_columns(old=torch.zeros(len(table)))
    live = torch.tensor(log_ratio)
    credit = torch.tensor(segment_advantages)[torch.tensor(segments)]
    terms = RANK_GRPO.loss(view_of(table.with_columns(advantage=credit), live))
    bare = table.with_columns(advantage=-torch.ones(len(table)))
    ratio = RANK_GRPO.loss.but(**UNCLIPPED)(view_of(bare, live))
    return {"token_loss": terms.tolist(), "ratio": ratio.tolist()}


def care_shape(*, groups, **options):
    """The bonus and the reward with it, from consistencies as one reference log-prob each."""
    parts = [{"parts": {"accuracy": case["accuracy"]}} for case in groups]
    given = with_parts(groups_of([{"rewards": case["rewards"]} for case in groups]), parts)
    table = table_of(given).with_columns(ref=column(groups, "consistency").log())
    record = CARE.but(advantage=CARE.advantage.but(accuracy="accuracy", **options))
    bonus = per_attempt(table, record.credit(table, given).bonus)
    total = [
        [r + b for r, b in zip(case["rewards"], of, strict=True)]
        for case, of in zip(groups, bonus, strict=True)
    ]
    return {"bonus": bonus, "rewards": total}


def care_advantage(*, groups, **options):
    given = groups_of(groups)
    table = table_of(given).with_columns(ref=torch.zeros(sum(map(len, rewards(given)))))
    record = CARE.but(advantage=CARE.advantage.but(bonus=0.0, **options))
    return {"advantages": per_attempt(table, record.credit(table, given).advantage)}


def moved_reference(*, reference, policy, updates, keep):
    """A weight of the reference after so many updates."""
    models = [torch.nn.Linear(1, 1, bias=False) for _ in range(2)]
    for model, value in zip(models, (reference, policy), strict=True):
        torch.nn.init.constant_(model.weight, value)
    move = CARE.reference.but(keep=keep)
    for number in range(1, updates + 1):
        move(*models, number * move.settings["every"])
    return {"reference": models[0].weight.item()}


def distilled(*, groups, **options):
    """The table with credit of attempts with one token each; without log-probs: no difference."""
    given = groups_of([{"rewards": case["rewards"]} for case in groups])
    table = table_of(given)
    known = "teacher" in groups[0]
    student = column(groups, "student") if known else table.behaviour
    teacher = column(groups, "teacher") if known else table.behaviour
    table = table.with_columns(behaviour=student, teacher=teacher)
    options = {"alpha": 0.1, **options}
    return CODISTILL.but(advantage=CODISTILL.advantage.but(**options)).credit(table, given)


def distilled_reward(**case):
    table = distilled(**case)
    return {"rewards": per_attempt(table, table.distilled)}


def distilled_advantage(**case):
    table = distilled(**case)
    return {"advantages": per_attempt(table, table.advantage)}


def large_loss(*, groups, **options):
    """The case's `old` is the small model's: the behaviour log-probs."""
    table = loss_table(groups)
    table = table.with_columns(behaviour=table.old, old=torch.full((len(table),), torch.nan))
    terms = CODISTILL_LARGE.loss.but(**options)(view_of(table, column(groups, "logprobs")))
    total = float((CODISTILL_LARGE.weighting(table) * terms).sum())
    return {"token_loss": per_token(table, terms), "loss": total}


def values(*, groups, **options):
    """The sampler's value of tasks after one visit; the filter's must be the same."""
    given = groups_of(groups)
    sampler = VSPO.sampler.but(**options).started([group.task for group in given], 0).live
    sampler.observe(given, score=None)
    for group, case in zip(given, groups, strict=True):
        value = sample_value(case["rewards"], **options)
        assert abs(value - sampler.worth(group.task)) < 1e-9
        assert VSPO.keep.but(**options)(group) == (value > 0)
    return {"values": [sampler.worth(group.task) for group in given]}


RIGHT_WORDS = {word: {word: 1.0} for word in WORDS}
SOLVED = {"weights": {"solved": 1.0}}

HITS = {"shape": {"hit": "solved"}}

EXEMPT = {"codistill": "tests/test_composition.py::test_a_small_policy_moves_to_its_teacher"}

LEARN = {
    "air_quality": {"shape": {"matrix": RIGHT_WORDS, "truth": "words", "read": "text"}},
    "rank_grpo": HITS,
    "rank_grpo_items": HITS,
    "vspo": {"shape": {**SOLVED, "stages": ["solved"]}},
    "codistill": {"advantage": {"alpha": 0.1}},
    "gcc": {"shape": {"norm": "solved"}},
    "mixed_reward_bootstrap": {"shape": SOLVED},
    "multi_objective_safety": {"shape": SOLVED},
    "multi_reward_debias": {"shape": SOLVED},
    "p_grpo": {"shape": {**SOLVED, "gates": {}}},
    "style_mix": {"shape": SOLVED},
}

BINDINGS = {
    ("care", "advantage"): care_advantage,
    ("care", "reference"): moved_reference,
    ("care", "shape"): care_shape,
    ("codistill", "advantage"): distilled_advantage,
    ("codistill", "loss"): large_loss,
    ("codistill", "shape"): distilled_reward,
    ("gcc", "shape"): public_goods,
    ("grpo_lambda_length", "advantage"): partial(advantage, GRPO_LAMBDA_LENGTH),
    ("grpo_lambda_length", "shape"): lambda_shape,
    ("mixed_reward_bootstrap", "calibrate"): calibrate,
    ("mixed_reward_bootstrap", "order_score"): order,
    ("mixed_reward_bootstrap", "shape"): partial(shape, MIXED_REWARD_BOOTSTRAP),
    ("multi_objective_safety", "advantage"): partial(advantage, MULTI_OBJECTIVE_SAFETY),
    ("multi_objective_safety", "shape"): partial(shape, MULTI_OBJECTIVE_SAFETY),
    ("multi_reward_debias", "shape"): partial(shape, MULTI_REWARD_DEBIAS),
    ("p_grpo", "advantage"): partial(advantage, P_GRPO),
    ("p_grpo", "shape"): partial(shape, P_GRPO),
    ("pref_grpo", "advantage"): partial(advantage, PREF_GRPO),
    ("pref_grpo", "shape"): win_shape,
    ("rank_grpo", "advantage"): rank_advantage,
    ("rank_grpo", "loss"): rank_loss,
    ("rank_grpo", "shape"): rank_shape,
    ("style_mix", "completeness"): story_scores,
    ("style_mix", "shape"): partial(shape, STYLE_MIX),
    ("vspo", "value"): values,
}
