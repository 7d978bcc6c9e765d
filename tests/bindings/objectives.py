"""Objectives and regularisers: losses over whole groups, ratios, masks, penalties."""

from functools import partial

import torch
from bindings.common import advantage, groups_of, per_attempt
from builders import group, random_groups, table_of, view_of

from agentrl.algorithms.base import part
from agentrl.algorithms.dagrpo import DAGRPO
from agentrl.algorithms.dhpo import DHPO, DHPO_ENTROPY
from agentrl.algorithms.disco import DISCO
from agentrl.algorithms.drpo import DRPO
from agentrl.algorithms.etr import ETR
from agentrl.algorithms.papo import PAPO
from agentrl.algorithms.reg_grpo import REG_GRPO
from agentrl.algorithms.spine import SPINE, SPINE_OTSU
from agentrl.losses import answer_scores
from agentrl.preferences import group_losses, mirror_ascent, preference_losses
from agentrl.table import View
from agentrl.types import Trajectory
from agentrl.weightings import fork_thresholds

# Ratios and clips


def tokens_table(count, **columns):
    """One attempt of `count` tokens with these columns, in double precision."""
    table = table_of(random_groups([[0]], [[[count]]]))
    given = {n: torch.tensor(values, dtype=torch.float64) for n, values in columns.items()}
    return table.with_columns(**given)


def shaped_ratio(record, *, ratios, **options):
    """What an off-policy row's ratio becomes, and its slope: the loss at A = -1."""
    count = len(ratios)
    table = tokens_table(count, old=[0.0] * count, advantage=[-1.0] * count)
    table = table.with_columns(off_policy=torch.ones(count, dtype=torch.int64))
    ratio = torch.tensor(ratios).double().requires_grad_()
    loss = record.loss.but(**options)
    table = table.with_columns(**loss.prepare(view_of(table, ratio.log().detach())))
    shaped = loss(view_of(table, ratio.log()))
    (slope,) = torch.autograd.grad(shaped.sum(), ratio)
    return {"gamma": float(table.gamma[0]), "shaped": shaped.tolist(), "slope": slope.tolist()}


def dhpo_loss(*, log_ratio, advantage, alpha=0.5, **options):
    """Token losses, the mixture itself (A = -1, no minimum) and the sample's ratio alone."""
    count = len(log_ratio)
    given = tokens_table(count, old=[0.0] * count, advantage=[advantage] * count)
    logprobs = torch.tensor(log_ratio).double()
    if isinstance(alpha, list):
        given = given.with_columns(alpha=torch.tensor(alpha).double())
        return mixture_of(DHPO_ENTROPY.loss, given, logprobs, **options)
    return mixture_of(DHPO.loss.but(alpha=alpha), given, logprobs, **options)


def mixture_of(loss, table, logprobs, **options):
    probe = view_of(table.with_columns(advantage=-torch.ones(len(table))), logprobs)
    plain = loss.but(**{**options, "pessimism": "none"})
    alone = DHPO.loss.but(alpha=0.0, seq_low=1.0, seq_high=1e9)(probe)
    return {
        "sequence_ratio": float(alone[0]),
        "ratio": plain(probe).tolist(),
        "token_loss": loss.but(**options)(view_of(table, logprobs)).tolist(),
    }


def etr_clip(*, advantages, pass_rate, **options):
    """Widths from given advantages and the share of attempts that succeeded."""
    count = len(advantages)
    right = round(pass_rate * count)
    groups = random_groups([[1] * right + [0] * (count - right)], [[[1]] * count])

    def given(table, groups):
        return torch.tensor(advantages).float()

    columns = ETR.advantage.but(base=part(given), **options)(table_of(groups), groups)
    return {"width": columns["width"].tolist()}


# Objectives over whole groups


def discriminative_loss(record, *, groups, **options):
    """The objective, and its derivative by each score through the weighted loss."""
    made = groups_of(groups)
    table = table_of(made, record)
    scores = torch.tensor([score for case in groups for score in case["scores"]])
    logprobs = scores.double()[table.episode].requires_grad_()
    loss = record.loss.but(**options)
    view = view_of(table, logprobs.detach())
    table = table.with_columns(**loss.prepare(view), weight=record.weighting(table))
    total = (table.weight * loss(view_of(table, logprobs))).sum()
    (slope,) = torch.autograd.grad(total, logprobs)
    by_score = torch.zeros(len(scores)).double().index_add(0, table.episode, -slope)
    split = by_score.split([len(case["scores"]) for case in groups])
    objective = float(view.logs["objective"][0])
    return {"objective": objective, "score_gradients": [part.tolist() for part in split]}


def disco_penalty(*, kl, **options):
    """The constraint's value and the size of its gradient for a mean divergence."""
    table = tokens_table(2, old=[kl, kl])
    logprobs = torch.zeros(2).double().requires_grad_()
    penalty = DISCO.penalty.but(**options)
    table = table.with_columns(**penalty.prepare(view_of(table, logprobs.detach())))
    value = (DISCO.penalty_weighting(table) * penalty(view_of(table, logprobs))).sum()
    (slope,) = torch.autograd.grad(value, logprobs)
    return {"coefficient": -float(slope.sum()), "value": float(value.detach())}


def disco_score(*, logprobs, old, kind):
    table = tokens_table(len(old), old=old)
    view = view_of(table, torch.tensor(logprobs).double())
    return {"score": float(answer_scores(view, kind)[0])}


def reg_grpo_loss(*, groups, **options):
    """Both normalised sides of the regression, and the weighted loss."""
    shaped = groups_of(groups)
    table = table_of(shaped)
    credit = REG_GRPO.advantage.but(**options)(table, shaped)
    ratios = torch.tensor([ratio for case in groups for ratio in case["log_ratio"]]).double()
    table = table.with_columns(advantage=credit, old=torch.zeros(len(table)).double())
    loss = REG_GRPO.loss.but(**options)
    table = table.with_columns(**loss.prepare(view_of(table, ratios)))
    total = (REG_GRPO.weighting(table) * loss(view_of(table, ratios))).sum()
    sides = {"advantages": credit, "predicted": table.predicted}
    return {"loss": float(total), **{k: per_attempt(table, v) for k, v in sides.items()}}


# Tokens and contexts


def spine_vote(*, answers):
    """Who wins and what is paid; nothing where the group would be refused."""
    texts = [Trajectory(answer=answer) for answer in answers]
    (shaped,) = SPINE.shape([group(*texts)])
    if not SPINE.keep(shaped):
        return {"winner": None, "rewards": None}
    paid = [episode.main.reward for episode in shaped.episodes]
    return {"winner": answers[paid.index(1.0)], "rewards": paid}


def spine_mask(*, entropy, version):
    """Fork tokens, their threshold and band, and how far each entropy is outside of it."""
    record = {"quantile": SPINE, "otsu": SPINE_OTSU}[version]
    count = len(entropy)
    table = tokens_table(count, entropy=entropy, ref=[0.0] * count)
    table = table.with_columns(weight=record.weighting(table))
    penalty = record.penalty.but(band=1.0, kl=0.0)
    logprobs, live = torch.zeros(count).double(), table.entropy
    table = table.with_columns(**penalty.prepare(View(table, torch.arange(count), logprobs, live)))
    hinge = penalty(View(table, torch.arange(count), logprobs, live))
    mask = table.weight > 0
    settings = record.weighting.settings
    return {
        "mask": mask.long().tolist(),
        "threshold": float(fork_thresholds(live, torch.tensor([count]), **settings)),
        "band": [float(table.low[mask][0]), float(table.high[mask][0])],
        "low_hinge": torch.where(live < table.low, hinge, 0.0).tolist(),
        "high_hinge": torch.where(live > table.high, hinge, 0.0).tolist(),
    }


def papo_penalty(*, logprobs, masked):
    """The divergence itself: the bonus at coefficient 1, without the entropy term."""
    table = tokens_table(len(masked), masked=masked)
    penalty = PAPO.penalty.but(coef=1.0, eta=0.0)
    return {"kl": (-penalty(view_of(table, torch.tensor(logprobs).double()))).tolist()}


# Pairs


def robust_weights(*, q, losses, eta):
    """The weights after one step, and the loss under them."""
    losses = torch.tensor(losses).double()
    found = mirror_ascent(torch.tensor(q).double().log(), losses, eta).exp()
    return {"q": found.tolist(), "loss": float(found @ losses)}


def robust_losses(*, margin, **options):
    return {"losses": preference_losses(torch.tensor(margin).double(), **options).tolist()}


def robust_group_losses(*, losses, group_ids, totals):
    found = group_losses(torch.tensor(losses), torch.tensor(group_ids), torch.tensor(totals))
    return {"group_losses": found.tolist()}


def dagrpo_weights(*, scores, rewards, **options):
    """Which attempts keep their weight, scores being given."""
    groups = random_groups([rewards], [[[1]] * len(rewards)])
    table = table_of(groups, DAGRPO).with_columns(score=torch.tensor(scores))
    return {"weights": (DAGRPO.weighting.but(**options)(table) > 0).long().tolist()}


FORKS = "tests/test_objectives.py::test_forks_of_the_majority_become_likelier"
EXEMPT = {"spine": FORKS, "spine_otsu": FORKS}
"""On `echo` a vote of guesses says nothing about what is right."""

BINDINGS = {
    ("dagrpo", "keep"): dagrpo_weights,
    ("dhpo", "loss"): dhpo_loss,
    ("disco", "loss"): partial(discriminative_loss, DISCO),
    ("disco", "penalty"): disco_penalty,
    ("disco", "score"): disco_score,
    ("drpo", "loss"): partial(discriminative_loss, DRPO),
    ("etr", "clip"): etr_clip,
    ("group_robust_dpo", "group_losses"): robust_group_losses,
    ("group_robust_dpo", "loss"): robust_losses,
    ("group_robust_dpo", "weights"): robust_weights,
    ("papo", "penalty"): papo_penalty,
    ("reg_grpo", "loss"): reg_grpo_loss,
    ("spine", "advantage"): partial(advantage, SPINE),
    ("spine", "token_mask"): spine_mask,
    ("spine", "vote"): spine_vote,
}
