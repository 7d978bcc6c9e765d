"""Synthetic groups, tables and learners: what the tests are about, without an environment.

pytest puts this folder on `sys.path` because `conftest.py` lies in it, so `from builders import x`
also works from a copy of the tests that runs against an installed wheel.
"""

import numpy as np
import torch

from agentrl import learner as learners
from agentrl import table as tables
from agentrl.algorithms import algorithm
from agentrl.types import (
    Completion,
    Episode,
    Finish,
    Group,
    Source,
    Span,
    Status,
    Task,
    Trajectory,
    Turn,
)

BASE = ("dapo", "dr_grpo", "flow_grpo", "flow_grpo_release", "grpo", "gspo", "reinforce", "rloo")
"""The records that tests of the learner use; all others go through `test_catalogue.py`."""
VOCABULARY = 64
"""Ids of synthetic tokens; every tiny model knows more."""


def span(ids, source=Source.ENV):
    return Span(ids=np.asarray(ids, np.int64), source=source)


def completion(ids, logprobs=None, **fields):
    """A completion of these ids; behaviour log-probs default to 0."""
    logprobs = np.zeros(len(ids)) if logprobs is None else logprobs
    ids, logprobs = np.asarray(ids, np.int64), np.asarray(logprobs, np.float32)
    return Completion(ids=ids, logprobs=logprobs, **{"text": "", "finish": Finish.STOP, **fields})


def turn(context, ids, logprobs=None, **fields):
    """A turn from plain lists: context ids, sampled ids and their behaviour log-probs."""
    return Turn(spans=(span(context),), completion=completion(ids, logprobs), **fields)


def follow(last, reply):
    """The spans of the turn after `last`: its context, what it sampled, and the reply's ids."""
    return (*last.spans, span(last.completion.ids, Source.SAMPLED), span(reply))


def conversation(rng, lengths, *, opening=3, reply=2, **fields):
    """An append-only trajectory of random ids: `lengths[t]` tokens sampled in turn t.

    Behaviour log-probs are random; `opening` and `reply` count the tokens before turns.
    """
    turns = []
    for length in lengths:
        seen = draw(rng, opening if not turns else reply)
        spans = follow(turns[-1], seen) if turns else (span(seen),)
        said = completion(draw(rng, length), -rng.random(length))
        turns.append(Turn(spans=spans, completion=said))
    return Trajectory(turns=tuple(turns), **fields)


def draw(rng, count):
    """Random token ids `[count]`, id 0 among them."""
    return rng.integers(0, VOCABULARY, count)


def group(*trajectories, number=0):
    """A group with one episode per argument: a trajectory, or a list of them, main first."""
    task = Task(env="test", data={"number": number})
    cast = [t if isinstance(t, list) else [t] for t in trajectories]
    episodes = [
        Episode(task=task, attempt=i, trajectories=tuple(members)) for i, members in enumerate(cast)
    ]
    return Group(task=task, episodes=tuple(episodes))


def random_groups(rewards, turn_lengths=None, *, seed=0, **fields):
    """Groups with `rewards[g][i]`; `turn_lengths[g][i][t]` sampled tokens, random by default."""
    rng = np.random.default_rng(seed)
    groups = []
    for number, row in enumerate(rewards):
        lengths = turn_lengths[number] if turn_lengths else [random_lengths(rng) for _ in row]
        attempts = [
            conversation(rng, of, reward=float(reward), success=reward > 0, **fields)
            for of, reward in zip(lengths, row, strict=True)
        ]
        groups.append(group(*attempts, number=number))
    return groups


def random_lengths(rng):
    return rng.integers(1, 6, rng.integers(1, 4)).tolist()


def mixed_groups(seed=0):
    """Every edge: an empty attempt, a silent turn, a fork, a failure, a sub-agent; three groups."""
    rng = np.random.default_rng(seed)
    odd = conversation(rng, [3, 0], reward=0.5)
    helper = conversation(rng, [2, 2], agent="helper")
    broken = conversation(rng, [4], status=Status.ENV_FAILED, reward=9.0)
    first = group(conversation(rng, [2, 4], reward=1.0), Trajectory(), odd, number=0)
    second = group([forked(rng), helper], conversation(rng, [5]), broken, number=1)
    third = group(conversation(rng, [1, 1, 1], reward=2.0), conversation(rng, [6]), number=2)
    return [first, second, third]


def forked(rng):
    """Two turns in one sample, then one under a rewritten context that repeats sampled tokens."""
    kept = conversation(rng, [2, 3], reward=1.0)
    summary = (span(draw(rng, 4)), span(kept.turns[0].completion.ids, Source.SAMPLED))
    last = Turn(spans=summary, completion=completion(draw(rng, 2), -rng.random(2)))
    return Trajectory(turns=(*kept.turns, last), reward=1.0)


def table_of(groups, record=None):
    """The table of groups, with the record's advantage if one is given."""
    table = tables.build_table(groups)
    if record is None:
        return table
    return record.credit(table, groups)


def turn_credit(table, credit):
    """Mean credit of each turn's rows `[turns]`; 0 for a turn without rows."""
    total = torch.zeros(table.count("turn")).index_add(0, table.turn, credit)
    return total / table.sizes("turn").clamp(min=1)


def view_of(table, logprobs):
    """The whole table as one view with these live log-probs."""
    return tables.View(table, torch.arange(len(table)), logprobs)


def learner_of(tiny, name="grpo", **options):
    """A learner of a fresh tiny model; `penalty=False` switches the record's penalty off."""
    record = algorithm(name) if isinstance(name, str) else name
    if not options.pop("penalty", True):
        record = record.but(penalty=None)
    model = options.pop("model", None) or tiny.fresh()
    teacher = tiny.folder if "teacher" in record.needs else ""
    settings = {"lr": 1e-2, "teacher": teacher, **options}
    learner = learners.Learner(model, record.started(), horizon=10, **settings)
    learner.decode = lambda token: tiny.tokenizer.decode([token])
    return learner


def gradients(learner, table):
    """The step's gradient of every parameter, in one vector, without stepping."""
    learner.model.zero_grad()
    for loss, _ in learner.losses(table):
        loss.backward()
    trained = [p for p in learner.model.parameters() if p.requires_grad]
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    return torch.cat([gradient.flatten() for gradient in found])


def error(found, expected):
    """The largest difference as a share of the largest number."""
    assert float(expected.abs().max()) > 0, "nothing to compare: the gradient is zero"
    return float((found - expected).abs().max() / expected.abs().max())


def weights(model):
    """All parameters in one vector."""
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


def plain_logprobs(model, table, temperature=1.0):
    """Each row's log-prob by one plain forward per sample, shifted by hand."""
    answer = torch.zeros(len(table))
    with torch.no_grad():
        for number, sample in enumerate(table.samples):
            logits = model(torch.from_numpy(sample.ids)[None]).logits[0].double() / temperature
            rows = (table.sample == number).nonzero()[:, 0]
            at = table.position[rows]
            answer[rows] = logits.log_softmax(-1)[at - 1, table.ids[rows]].float()
    return answer
