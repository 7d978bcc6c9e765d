"""Strategies: hinted, drafted, branched and refined attempts."""

import asyncio
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from bindings.common import advantage, groups_of, per_attempt
from bindings.objectives import shaped_ratio
from builders import conversation, group, table_of, view_of

from agentrl.algorithms.expo import EXPO
from agentrl.algorithms.guide import GUIDE
from agentrl.algorithms.igrpo import IGRPO
from agentrl.algorithms.rgr_grpo import RGR_GRPO
from agentrl.algorithms.sage import SAGE
from agentrl.algorithms.sage_light import SAGE_LIGHT
from agentrl.algorithms.scaf import SCAF
from agentrl.algorithms.serial_group import SERIAL_GROUP
from agentrl.algorithms.spo_segment import SPO_SEGMENT, unsure_places
from agentrl.algorithms.spo_segment_tree import SPO_SEGMENT_TREE
from agentrl.branching import edges, value_steps
from agentrl.direction import PLAIN
from agentrl.strategies import best, mixed_chance, pass_chance, unsolved
from agentrl.types import Episode, Task


class ScriptedPlay:
    """A `Play` in which attempt i earns `rewards[i]`."""

    def __init__(self, rewards, *, step=0, hints=()):
        self.rewards = rewards
        self.step = step
        self.hints = {"solution": hints}
        self.rng = np.random.default_rng(0)

    async def __call__(self, task, attempt, direction=PLAIN):
        reward = float(self.rewards[attempt])
        rng = np.random.default_rng(attempt)
        played = conversation(rng, [1], reward=reward, success=reward > 0)
        return Episode(task=task, attempt=attempt, trajectories=(played,), hint=direction.level)

    async def ask(self, task, method):
        return getattr(self, method)


def scripted(record, rewards, attempts, *, step=0, hints=(), **options):
    """The group that a record's strategy makes of scripted rewards."""
    play = ScriptedPlay(rewards, step=step, hints=hints)
    task = Task(env="test", data={})
    return asyncio.run(record.strategy.but(**options)(task, attempts, play))


def scaf_strategy(*, groups, step, **options):
    made = []
    for case in groups:
        rewards, hinted = case["rewards"], case["hinted"]
        hints = ["a hint"] * len(hinted)
        played = [*rewards, *hinted]
        made.append(scripted(SCAF, played, len(rewards), step=step, hints=hints, **options))
    table = table_of(made)
    levels = [max(episode.hint for episode in group.episodes) or None for group in made]
    return {
        "rewards": [[episode.main.reward for episode in group.episodes] for group in made],
        "levels": levels,
        "advantages": per_attempt(table, SCAF.advantage(table, made)),
    }


def guide_keep(*, groups):
    cases = groups_of(groups)
    low = GUIDE.strategy.settings["low"]
    return {
        "keep": [GUIDE.keep(group) for group in cases],
        "reroll": [unsolved(group.episodes, low) for group in cases],
    }


def sage_gate(*, p, group_size):
    return {"useful": [mixed_chance(rate, group_size) for rate in p]}


def sage_level(*, level, success_rate, **options):
    """The level after a visit: the object that the record's strategy runs."""
    live = SAGE_LIGHT.strategy.but(**options).started().live
    return {"level": live.rule(level, success_rate)}


def serial_shape(*, groups):
    shaped = SERIAL_GROUP.shape(groups_of(groups))
    return {"rewards": [[episode.main.reward for episode in group.episodes] for group in shaped]}


def serial_advantage(*, groups):
    shaped = SERIAL_GROUP.shape(groups_of(groups))
    credit = SERIAL_GROUP.advantage(table_of(shaped), shaped)
    return {**serial_shape(groups=groups), "advantages": per_attempt(table_of(shaped), credit)}


def expo_loss(*, beta, logprob_sum):
    """The penalty's share of the loss: an explanation of four tokens beside an attempt."""
    rng = np.random.default_rng(0)
    side = conversation(rng, [4], agent="explanation")
    table = table_of([group([conversation(rng, [3]), side])])
    view = view_of(table, torch.tensor([-7.0] * 3 + [logprob_sum / 4] * 4))
    values = EXPO.penalty.but(coef=beta)(view)
    return {"loss": float((EXPO.penalty_weighting(table) * values).sum())}


def rgr_shape(*, weights, verdicts):
    names = [f"criterion {i}" for i in range(len(weights))]
    parts = dict(zip(names, map(float, verdicts), strict=True))
    judged = group(conversation(np.random.default_rng(0), [1], parts=parts))
    (shaped,) = RGR_GRPO.shape.but(weights=dict(zip(names, weights, strict=True)))([judged])
    return {"score": shaped.episodes[0].main.reward}


def one_answer(probs, **fields):
    """An episode of one turn with these behaviour probabilities."""
    rng = np.random.default_rng(0)
    played = conversation(rng, [len(probs)], reward=fields.pop("final", 0.0))
    said = replace(played.turns[0].completion, logprobs=np.log(probs).astype(np.float32))
    turns = (replace(played.turns[0], completion=said),)
    of = group(replace(played, turns=turns))
    return replace(of, episodes=(replace(of.episodes[0], **fields),))


def segment_strategy(*, probs, **options):
    cuts, positions = unsure_places(one_answer(probs).episodes[0], **options)
    return {"cuts": cuts, "positions": positions}


def segment_advantage(*, probs, positions, values, final):
    values = dict(zip(positions, values, strict=True))
    answer = one_answer(probs, values=values, final=final)
    table = table_of([answer])
    credit = SPO_SEGMENT.advantage.but(whiten=False)(table, [answer])
    return {
        "advantages": credit.tolist(),
        "raw": value_steps(answer.episodes[0], final, len(probs)).tolist(),
        "mask": (SPO_SEGMENT.weighting(table) > 0).int().tolist(),
    }


def segment_tree(*, tree, scale=SPO_SEGMENT_TREE.strategy.settings["scale"]):
    value, below = edges(tree, scale)
    return {"value": value, "edges": below}


LEARN = {
    "spo_segment": {"strategy": {"continuations": 3}},
    "spo_segment_tree": {"strategy": {"length": 1, "branching": [2]}},
    "serial_group": {"strategy": {"text": "", "closing": "", "least": 0}},
    "igrpo": {"strategy": {"drafts": 1, "template": "{draft}"}},
    "sage": {"strategy": {"hint_tokens": 4}},
    "sage_light": {"strategy": {"hint_tokens": 4}},
    "scaf": {"strategy": {"warmup_steps": 2}},
    "scaf_release": {"strategy": {"warmup_steps": 2}},
}
EXEMPT = {}

BINDINGS = {
    ("guide", "advantage"): partial(advantage, GUIDE),
    ("guide", "keep"): guide_keep,
    ("guide", "ratio"): partial(shaped_ratio, GUIDE),
    ("igrpo", "advantage"): partial(advantage, IGRPO),
    ("igrpo", "bound"): lambda p, n: {"probability": [pass_chance(q, n) for q in p]},
    ("igrpo", "strategy"): lambda rewards: {"best": best(rewards)},
    ("sage", "advantage"): partial(advantage, SAGE),
    ("sage", "gate"): sage_gate,
    ("sage", "level"): sage_level,
    ("expo", "loss"): expo_loss,
    ("rgr_grpo", "ratio"): partial(shaped_ratio, RGR_GRPO),
    ("rgr_grpo", "shape"): rgr_shape,
    ("serial_group", "advantage"): serial_advantage,
    ("serial_group", "shape"): serial_shape,
    ("spo_segment", "advantage"): segment_advantage,
    ("spo_segment", "strategy"): segment_strategy,
    ("spo_segment", "tree"): segment_tree,
    ("scaf", "strategy"): scaf_strategy,
}
