"""Papers that change an advantage: baselines, scales, bonuses and weights of groups."""

from dataclasses import replace
from functools import partial

import torch
from bindings.common import (
    advantage,
    flat,
    groups_of,
    keep,
    per_attempt,
    per_token,
    with_probes,
)
from builders import random_groups, table_of, view_of

from agentrl.advantages import group_advantage, relative_likelihood
from agentrl.agreement import semantic_entropy
from agentrl.algorithms.alpha_dpg import ALPHA_DPG
from agentrl.algorithms.base import part
from agentrl.algorithms.corpo import CORPO
from agentrl.algorithms.dcpo import DCPO, tempered_ratio
from agentrl.algorithms.dgpo import DGPO
from agentrl.algorithms.ds_grpo import DS_GRPO
from agentrl.algorithms.egpo import EGPO
from agentrl.algorithms.gdpo import GDPO, GDPO_VERL
from agentrl.algorithms.gtpo import GTPO
from agentrl.algorithms.ngrpo import NGRPO
from agentrl.algorithms.pc_grpo import PC_GRPO
from agentrl.algorithms.seed_grpo import SEED_GRPO
from agentrl.algorithms.xrpo import XRPO
from agentrl.conflicts import conflict_counts, shared_run

# Reading cases


def step_of(cases):
    """The groups of a case with the answers and reward parts it lists."""
    return [with_facts(*pair) for pair in zip(groups_of(cases), cases, strict=True)]


def with_facts(group, case):
    episodes = []
    for number, episode in enumerate(group.episodes):
        parts = {name: values[number] for name, values in case.get("parts", {}).items()}
        answer = case["answers"][number] if "answers" in case else None
        main = replace(episode.main, parts=parts, answer=answer)
        episodes.append(replace(episode, trajectories=(main,)))
    return replace(group, episodes=tuple(episodes))


def numbers(cases, name):
    """One number per attempt `[episodes]`, by the name of a case's field."""
    return torch.tensor([value for case in cases for value in case[name]])


def credited(slot, groups, table):
    """What an advantage gives each attempt."""
    return {"advantages": per_attempt(table, slot(table, groups))}


def with_base(slot, *, ddof, eps, **options):
    """A part on a base with these options; the others are its own."""
    return slot.but(base=part(group_advantage, ddof=ddof, eps=eps), **options)


# Advantages


def corpo_advantage(*, groups, **options):
    found = advantage(CORPO, groups=groups, **options)["advantages"]
    baselines = [case["rewards"][0] - of[0] for case, of in zip(groups, found, strict=True)]
    return {"advantages": found, "baselines": baselines}


def dgpo_advantage(*, groups, **options):
    base = DGPO.but(advantage=DGPO.advantage.inner["base"])
    return advantage(base, groups=groups, **options)


def ds_grpo_advantage(*, groups, **options):
    step = step_of(groups)
    table = table_of(step).with_columns(behaviour=numbers(groups, "logprob"))
    return credited(with_base(DS_GRPO.advantage, **options), step, table)


def egpo_advantage(*, groups, **options):
    """Two thought tokens around the given mean, a tag in two pieces, and a call to leave out."""
    lengths = [[5] * len(case["rewards"]) for case in groups]
    step = step_of([{**case, "lengths": of} for case, of in zip(groups, lengths, strict=True)])
    mean = numbers(groups, "thought_entropy")
    spread = torch.tensor([0.1, -0.1, 3.0, 3.0, 3.0])
    texts = ("so", " then</", "think", ">", "call") * len(mean)
    table = replace(table_of(step), texts=texts)
    table = table.with_columns(entropy=(mean[:, None] * (spread < 1) + spread).flatten())
    return credited(with_base(EGPO.advantage, **options), step, table)


def gdpo_advantage(*, groups, **options):
    record = GDPO_VERL if options.get("release") == "verl" else GDPO
    step = step_of(groups)
    return credited(record.advantage.but(**options), step, table_of(step))


def xrpo_advantage(*, groups, **options):
    step = step_of(groups)
    table = table_of(step).with_columns(behaviour=numbers(groups, "mean_logprob"))
    found = credited(with_base(XRPO.advantage, **options), step, table)
    eta = relative_likelihood(table)[table.episode]
    return {**found, "novelty": per_attempt(table, eta)}


# DCPO


def dcpo_advantage(*, groups, entropy, target, **options):
    step = step_of([{**case, "lengths": list(map(len, case["rho"]))} for case in groups])
    table = table_of(step)
    ratio = torch.tensor(list(flat([case["rho"] for case in groups])))
    table = table.with_columns(tempered=table.old + ratio.log())
    slot = with_base(DCPO.advantage, target=target, **options).started()
    slot.load_state_dict({"memory": {"entropy": entropy}})
    facts = {"alpha": slot.live.alpha(table.rewards > 0.05), "temperature": slot.live.temperature}
    return {**facts, "advantages": per_token(table, slot(table, step))}


def dcpo_ratio(*, logits, tokens, temperature):
    """The ratio of each token from its logits at two temperatures."""
    table = table_of(random_groups([[0]], [[[len(tokens)]]]))
    rows, scores = torch.arange(len(tokens)), torch.tensor(logits, dtype=torch.float32)
    warm, plain = ((scores / t).log_softmax(-1)[rows, tokens] for t in (temperature, 1.0))
    return {"rho": tempered_ratio(table.with_columns(old=plain, tempered=warm)).tolist()}


# Alpha-DPG


def alpha_dpg_advantage(*, groups, **options):
    step = step_of(groups)
    logprobs, ref = numbers(groups, "logprob"), numbers(groups, "ref")
    columns = {"behaviour": logprobs, "old": logprobs, "ref": ref}
    table = table_of(step).with_columns(**{name: c.float() for name, c in columns.items()})
    slot = ALPHA_DPG.advantage.but(**options).started()
    rewards = per_attempt(table, slot.live.rewards(table, step)[table.episode])
    z = slot.live.normaliser(table, step).tolist()
    return {**credited(slot, step, table), "rewards": rewards, "z": z}


def alpha_dpg_loss(*, groups):
    """An answer's log-prob on its only token: the loss is a sum over tokens."""
    table = table_of(groups_of(groups)).with_columns(advantage=numbers(groups, "advantages"))
    terms = ALPHA_DPG.loss(view_of(table, numbers(groups, "logprob").float()))
    return {"loss": float((ALPHA_DPG.weighting(table) * terms).sum())}


# GTPO


def gtpo_table(cases):
    """Tokens of the given ids, and their entropies around the given mean."""
    ids = [case.get("ids") or [[0, 0]] * len(case["rewards"]) for case in cases]
    lengths = [{**case, "lengths": list(map(len, of))} for case, of in zip(cases, ids, strict=True)]
    step = step_of(lengths)
    table = table_of(step).with_columns(ids=torch.tensor(list(flat(ids))))
    if "mean_entropy" in cases[0]:
        table = table.with_columns(entropy=numbers(cases, "mean_entropy").float()[table.episode])
    return step, table


def gtpo_advantage(*, groups, **options):
    step, table = gtpo_table(groups)
    return credited(GTPO.advantage.but(**options).started(), step, table)


def gtpo_weighting(*, groups, **options):
    """A token's weight as a multiple of its share in the mean, and the conflicts."""
    _, table = gtpo_table(groups)
    share = table.count("trajectory") * table.sizes("trajectory")[table.trajectory]
    runs = shared_run(table), shared_run(table, backward=True)
    counts = conflict_counts(table, *runs, "union")[table.trajectory]
    weights = GTPO.weighting.but(**options)(table) * share
    return {"weights": per_token(table, weights), "conflicts": per_attempt(table, counts)}


def gtpo_objective(*, groups, gamma, threshold=None, reduce="mean", **options):
    """Minus the loss where the ratio is 1, and each answer's term in the sum or mean."""
    step, table = gtpo_table(groups)
    given = {"gamma": gamma} if threshold is None else {"gamma": gamma, "threshold": threshold}
    credit = GTPO.advantage.but(**given).started()(table, step)
    terms = -GTPO.loss(view_of(table.with_columns(advantage=credit), table.old))
    values = terms * GTPO.weighting.but(reduce=reduce, **options)(table)
    size = table.count("episode") if reduce == "mean" else 1
    sums = [[sum(of) * size for of in case] for case in per_token(table, values)]
    return {"terms": sums, "objective": float(values.sum())}


# Weights of groups


def group_weight(record, *, groups, **options):
    """The weights of a record's groups and the advantages that they lead to."""
    step = step_of(groups)
    table = with_probes(table_of(step))
    weight = record.advantage.inner["weight"].but(**options)
    found = credited(record.advantage.but(weight=weight), step, table)
    return {"weights": weight(table, step).tolist(), **found}


def seed_grpo_weight(*, groups, **options):
    step = step_of(groups)
    settings = SEED_GRPO.advantage.inner["weight"].but(**options).settings
    entropy = semantic_entropy(table_of(step), step, settings["mass"], settings["entropy"])
    return {**group_weight(SEED_GRPO, groups=groups, **options), "entropy": entropy.tolist()}


def dgpo_token_factor(*, groups):
    """How much more a token weighs than in the mean over all tokens."""
    weights = DGPO.weighting(table_of(groups_of(groups)))
    return {"factor": float(weights[0] * len(weights))}


LEARN = {
    "alpha_dpg": {"weighting": {"constant": 4}},
    "corpo": {"advantage": {"threshold": 0.5}},
}

BINDINGS = {
    ("alpha_dpg", "advantage"): alpha_dpg_advantage,
    ("alpha_dpg", "loss"): alpha_dpg_loss,
    ("corpo", "advantage"): corpo_advantage,
    ("dcpo", "advantage"): dcpo_advantage,
    ("dcpo", "ratio"): dcpo_ratio,
    ("dgpo", "advantage"): dgpo_advantage,
    ("dgpo", "group_weight"): partial(group_weight, DGPO),
    ("dgpo", "token_factor"): dgpo_token_factor,
    ("ds_grpo", "advantage"): ds_grpo_advantage,
    ("egpo", "advantage"): egpo_advantage,
    ("gdpo", "advantage"): gdpo_advantage,
    ("gtpo", "advantage"): gtpo_advantage,
    ("gtpo", "objective"): gtpo_objective,
    ("gtpo", "weighting"): gtpo_weighting,
    ("ngrpo", "advantage"): partial(advantage, NGRPO),
    ("ngrpo", "keep"): partial(keep, NGRPO),
    ("pc_grpo", "group_weight"): partial(group_weight, PC_GRPO),
    ("seed_grpo", "group_weight"): seed_grpo_weight,
    ("xrpo", "advantage"): xrpo_advantage,
}
