"""The base records' pieces: GRPO, Dr. GRPO, DAPO, RLOO, GSPO, Flow-GRPO."""

from functools import partial

import numpy as np
from bindings.common import advantage, keep, loss, objective, penalty, per_turn, ratios, weighting
from builders import conversation, group

from agentrl.algorithms.dapo import DAPO
from agentrl.algorithms.dr_grpo import DR_GRPO
from agentrl.algorithms.flow_grpo import FLOW_GRPO, FLOW_GRPO_RELEASE
from agentrl.algorithms.grpo import GRPO
from agentrl.algorithms.gspo import GSPO
from agentrl.algorithms.rloo import RLOO


def dapo_shape(*, lengths, **options):
    rng = np.random.default_rng(0)
    answers = group(*(conversation(rng, [length]) for length in lengths))
    (shaped,) = DAPO.shape.but(**options)([answers])
    assert all(e.main.reward == e.main.parts["overlong"] for e in shaped.episodes)
    return {"penalty": [episode.main.reward for episode in shaped.episodes]}


def flow_advantage(*, groups, unit, **options):
    record = {"trajectory": FLOW_GRPO, "row": FLOW_GRPO_RELEASE}[unit]
    return advantage(record, groups=groups, **options)


def gspo_loss(*, groups, **options):
    return {**loss(GSPO, groups=groups, **options), **ratios(GSPO, groups=groups)}


LEARN = {"dr_grpo": {"weighting": {"constant": 4}}}

BINDINGS = {
    ("dapo", "keep"): partial(keep, DAPO),
    ("dapo", "loss"): partial(loss, DAPO),
    ("dapo", "shape"): dapo_shape,
    ("dapo", "weighting"): partial(weighting, DAPO),
    ("dr_grpo", "advantage"): partial(advantage, DR_GRPO),
    ("dr_grpo", "weighting"): partial(weighting, DR_GRPO),
    ("flow_grpo", "advantage"): flow_advantage,
    ("flow_grpo", "objective"): partial(objective, FLOW_GRPO),
    ("flow_grpo", "penalty"): partial(penalty, FLOW_GRPO),
    ("flow_grpo", "weighting"): partial(weighting, FLOW_GRPO, read=per_turn),
    ("grpo", "advantage"): partial(advantage, GRPO),
    ("grpo", "loss"): partial(loss, GRPO),
    ("grpo", "penalty"): partial(penalty, GRPO),
    ("grpo", "weighting"): partial(weighting, GRPO),
    ("gspo", "loss"): gspo_loss,
    ("rloo", "advantage"): partial(advantage, RLOO),
}
