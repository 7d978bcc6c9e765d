"""What bindings share: cases -> groups and tables, parts of a slot, rows -> nested lists."""

import math

import numpy as np
import torch
from builders import random_groups, table_of, view_of

from agentrl import weightings
from agentrl.algorithms.base import part

REDUCE = {
    "constant": weightings.constant_length,
    "seq_mean_token_mean": weightings.seq_mean_token_mean,
    "seq_mean_token_sum": weightings.seq_mean_token_sum,
    "token_mean": weightings.token_mean,
    "trajectory_turn_token": weightings.trajectory_turn_token,
}
UNCLIPPED = {"clip_low": 1.0, "clip_high": 1e9}


# Reading cases


def groups_of(cases):
    """The groups that a case's mappings describe; one token where no length is given."""
    rewards = [case.get("rewards") or case.get("correct") or [0] * attempts(case) for case in cases]
    return random_groups(rewards, [turn_lengths(case) for case in cases])


def attempts(case):
    """How many attempts a case lists, whichever field it lists them in."""
    return len(next(value for value in case.values() if isinstance(value, list)))


def turn_lengths(case):
    """Sampled tokens `[attempt][turn]`."""
    if "turn_lengths" in case:
        return case["turn_lengths"]
    if "ratios" in case:
        return [[len(tokens) for tokens in turns] for turns in case["ratios"]]
    if "turns" in case:
        return [[1] * count for count in case["turns"]]
    if "logprobs" in case:
        return [[len(tokens)] for tokens in case["logprobs"]]
    return [[length] for length in case.get("lengths", [1] * attempts(case))]


def column(cases, name):
    """A per-token field `[group][attempt]..[token]` as a table column `[M]`."""
    return torch.tensor(list(flat([case[name] for case in cases])), dtype=torch.float32)


def flat(values):
    """The numbers of a nested list, in order."""
    for value in values:
        if isinstance(value, list):
            yield from flat(value)
        else:
            yield value


# Reading tables


def with_probes(table):
    """The table plus one row for every attempt without any, to read what it is given."""
    empty = torch.bincount(table.episode, minlength=table.count("episode")) == 0
    episodes = empty.nonzero()[:, 0]
    probes = {"episode": episodes, "group": table.owner["episode"][episodes]}
    zeros = torch.zeros(len(episodes), dtype=torch.int64)
    columns = table.columns.items()
    return table.with_columns(
        **{name: torch.cat([old, probes.get(name, zeros).to(old.dtype)]) for name, old in columns}
    )


def per_token(table, values):
    """Rows `[M]` as `[group][attempt][token]`."""
    nested = [[] for _ in range(table.num_groups)]
    for episode, number in enumerate(table.owner["episode"].tolist()):
        nested[number].append(values[table.episode == episode].tolist())
    return nested


def per_attempt(table, values):
    """Rows `[M]` that are equal within an attempt as `[group][attempt]`; 0 for one without rows."""
    nested = per_token(table, values)
    return [[first_of(tokens) if tokens else 0.0 for tokens in of] for of in nested]


def per_turn(table, values):
    """Rows `[M]` that are equal within a turn as `[group][attempt][turn]`."""
    nested = [[[] for _ in of] for of in per_token(table, values)]
    starts = torch.searchsorted(table.owner["episode"], torch.arange(table.num_groups))
    for number in range(table.count("turn")):
        rows = table.turn == number
        episode = int(table.owner["trajectory"][table.owner["turn"][number]])
        of = int(table.owner["episode"][episode])
        nested[of][episode - int(starts[of])].append(first_of(values[rows].tolist()))
    return nested


def first_of(values):
    """The one value of a list of equal ones."""
    assert np.ptp(values) == 0, f"not one value but {values}"
    return values[0]


# Slots


def advantage(record, *, groups, **options):
    """Advantages from grouped rewards, one number per attempt."""
    shaped = groups_of(groups)
    table = with_probes(table_of(shaped))
    credit = record.advantage.but(**options)(table, shaped)
    return {"advantages": per_attempt(table, credit)}


def weighting(record, *, groups, reduce=None, read=per_attempt, **options):
    """Weights of one token per attempt; `read=per_turn` or `per_token` for finer ones."""
    table = table_of(groups_of(groups))
    slot = part(REDUCE[reduce]) if reduce else record.weighting
    return {"weights": read(table, slot.but(**options)(table))}


def loss(record, *, groups, reduce=None, kl_coef=None, **options):
    """Token losses and their weighted sum from grouped log-probs, old log-probs and advantages."""
    table = loss_table(groups)
    view = view_of(table, column(groups, "logprobs"))
    terms = record.loss.but(**options)(view)
    if kl_coef is not None:
        terms = terms + record.penalty.but(coef=kl_coef)(view)
    slot = part(REDUCE[reduce]) if reduce else record.weighting
    total = float((slot(table) * terms).sum())
    return {"token_loss": per_token(table, terms), "loss": total}


def loss_table(groups):
    """The table of a case for a loss: per-token columns and an advantage per attempt."""
    table = table_of(groups_of(groups))
    given = {name: column(groups, name) for name in ("old", "ref") if name in groups[0]}
    per_attempt_credit = column(groups, "advantages")
    return table.with_columns(advantage=per_attempt_credit[table.episode], **given)


def ratios(record, *, groups):
    """The importance ratio behind a record's loss per attempt: the loss at A = -1, unclipped."""
    table = loss_table(groups).with_columns(advantage=-torch.ones(column(groups, "old").shape))
    values = record.loss.but(**UNCLIPPED)(view_of(table, column(groups, "logprobs")))
    return {"ratios": per_attempt(table, values)}


def objective(record, *, groups, **options):
    """Minus the loss, from ratios `[attempt][turn][token]`."""
    logs = [[[math.log(r) for r in flat(turns)] for turns in case["ratios"]] for case in groups]
    zeros = [[[0.0 for _ in tokens] for tokens in case] for case in logs]
    given = [
        {**case, "logprobs": logprobs, "old": old}
        for case, logprobs, old in zip(groups, logs, zeros, strict=True)
    ]
    return {"objective": -loss(record, groups=given, **options)["loss"]}


def penalty(record, *, logprobs, ref, **options):
    """The penalty of each token at coefficient 1."""
    table = table_of(random_groups([[0]], [[[len(ref)]]])).with_columns(ref=torch.tensor(ref))
    values = record.penalty.but(coef=1.0, **options)(view_of(table, torch.tensor(logprobs)))
    return {"kl": values.tolist()}


def keep(record, *, groups):
    """Which groups dynamic sampling keeps."""
    return {"keep": [record.keep(shaped) for shaped in groups_of(groups)]}
