"""The step's gradient: what it is of, and that no split, order or padding changes it."""

import numpy as np
import pytest
import torch
from builders import (
    BASE,
    completion,
    draw,
    error,
    follow,
    gradients,
    group,
    learner_of,
    mixed_groups,
    plain_logprobs,
    random_groups,
    table_of,
    turn,
)

from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.losses import sequence_clipped
from agentrl.types import Trajectory, Turn

BUDGETS = [1, 17, 10_000]


def off_policy_table(learner, record, groups, noise=0.3):
    """An annotated table whose `old` and `ref` are off by up to `noise` nats: clips act."""
    table = learner.annotate(table_of(groups, record))
    generator = torch.Generator().manual_seed(0)
    for name in ("old", "ref"):
        shift = noise * (2 * torch.rand(len(table), generator=generator) - 1)
        if name in table.columns:
            table = table.with_columns(**{name: table.columns[name] + shift})
    return table


def worst_split(learner, table):
    """The largest error of the gradient between one micro-batch per sample and as few as can be."""
    found = []
    for learner.token_budget in BUDGETS:
        found.append(gradients(learner, table))
    return max(error(other, found[-1]) for other in found[:-1])


@pytest.mark.parametrize("name", BASE)
def test_no_split_changes_the_gradient(tiny, name):
    learner = learner_of(tiny, name, epochs=2)
    table = off_policy_table(learner, learner.algorithm, mixed_groups())
    assert worst_split(learner, table) < 1e-5


def test_no_split_changes_the_gradient_in_double_precision(tiny):
    learner = learner_of(tiny, model=tiny.fresh().double(), epochs=2)
    table = off_policy_table(learner, learner.algorithm, mixed_groups())
    assert worst_split(learner, table) < 1e-10


@pytest.mark.parametrize("name", BASE)
def test_zero_advantage_is_exactly_zero_gradient(tiny, name):
    learner = learner_of(tiny, name, epochs=2)
    table = off_policy_table(learner, algorithm(name), random_groups([[1, 1], [0, 0]]), noise=0)
    assert not table.advantage.any()
    assert not gradients(learner, table).any()


@pytest.mark.parametrize("name", BASE)
def test_a_zero_advantage_token_moves_nothing_even_off_policy(tiny, name):
    learner = learner_of(tiny, name, epochs=2, penalty=False)
    table = off_policy_table(learner, learner.algorithm, mixed_groups())
    assert not gradients(learner, table.with_columns(advantage=torch.zeros(len(table)))).any()


def test_the_gradient_is_the_score_function_estimator(tiny):
    learner = learner_of(tiny, "reinforce")
    table = table_of(mixed_groups(), algorithm("reinforce"))
    learner.model.zero_grad()
    weight = learner.algorithm.weighting(table) * table.advantage
    for number, sample in enumerate(table.samples):
        rows = (table.sample == number).nonzero()[:, 0]
        scores = learner.model(torch.from_numpy(sample.ids)[None]).logits[0].log_softmax(-1)
        (-weight[rows] * scores[table.position[rows] - 1, table.ids[rows]]).sum().backward()
    expected = torch.cat([p.grad.flatten().clone() for p in learner.model.parameters()])
    assert error(gradients(learner, table), expected) < 1e-5


def test_a_step_makes_rewarded_tokens_likelier(tiny):
    learner = learner_of(tiny)
    table = table_of(random_groups([[1, 0]], [[[3, 2], [4]]]), algorithm("grpo"))
    before = plain_logprobs(learner.model, table)
    learner.update(learner.annotate(table))
    gain = plain_logprobs(learner.model, table) - before
    assert gain[table.episode == 0].mean() > 0 > gain[table.episode == 1].mean()


def touched_positions(learner, table):
    """Where the loss reaches the logits `[samples, T]`: the last hidden states with a gradient."""
    seen = []

    def listen(module, inputs, output):
        output.register_hook(lambda gradient: seen.append(gradient.abs().sum(-1) > 0))

    handle = learner.model.get_decoder().norm.register_forward_hook(listen)
    gradients(learner, table)
    handle.remove()
    return torch.cat(seen)


def test_only_positions_before_sampled_tokens_have_gradient(tiny):
    groups = random_groups([[1, 0]], [[[2, 3], [2, 3]]])
    table = table_of(groups, algorithm("grpo"))
    touched = touched_positions(learner_of(tiny), table)
    before = torch.zeros_like(touched)
    before[table.sample, table.position - 1] = True
    assert touched.shape == (2, 3 + 2 + 2 + 3)
    assert torch.equal(touched, before)


def silent_end(rng, last):
    """A conversation whose last turn says nothing: its sample ends in the reply `last`."""
    first = turn(draw(rng, 3), draw(rng, 4))
    return Trajectory(turns=(first, Turn(spans=follow(first, last), completion=completion([]))))


def test_what_follows_the_last_sampled_token_does_not_matter(tiny):
    learner, found = learner_of(tiny, "reinforce"), []
    for last in ([1, 2, 3], [3, 9, 9]):
        table = table_of([group(silent_end(np.random.default_rng(0), last))])
        found.append(gradients(learner, table.with_columns(advantage=torch.ones(len(table)))))
    assert error(*found) < 1e-6


@pytest.mark.parametrize("name", BASE)
def test_environment_text_never_changes_a_weight_or_an_advantage(name):
    record, lengths = algorithm(name), [[[2, 3], [4]], [[1], [2, 2, 2]]]
    short = random_groups([[1, 0], [0, 1]], lengths, opening=2, reply=1, seed=1)
    long = random_groups([[1, 0], [0, 1]], lengths, opening=9, reply=7, seed=2)
    short, long = table_of(short, record), table_of(long, record)
    assert torch.equal(short.advantage, long.advantage)
    assert torch.equal(record.weighting(short), record.weighting(long))


@pytest.mark.parametrize("token", [0, 1, 5, 63])
def test_every_token_id_learns(tiny, token):
    learner = learner_of(tiny, "reinforce")
    assert learner.model.get_input_embeddings().padding_idx is None
    said = Trajectory(turns=(turn([7, 8, 9], [token, token]),))
    table = table_of([group(said)]).with_columns(advantage=torch.ones(2))
    learner.model.zero_grad()
    ids = torch.tensor([[7, 8, 9, token, token]])
    scores = learner.model(ids).logits[0].log_softmax(-1)
    (-(scores[2, token] + scores[3, token]) / 2).backward()
    expected = learner.model.get_input_embeddings().weight.grad.clone()
    gradients(learner, table)
    assert expected[token].any()
    assert error(learner.model.get_input_embeddings().weight.grad, expected) < 1e-5


def test_a_token_clipped_from_its_good_side_has_no_gradient(tiny):
    learner = learner_of(tiny, epochs=2)
    table = learner.annotate(table_of(random_groups([[0]])))
    good = table.with_columns(old=table.old - 1, advantage=torch.ones(len(table)))
    bad = table.with_columns(old=table.old - 1, advantage=-torch.ones(len(table)))
    assert not gradients(learner, good).any()
    assert gradients(learner, bad).any()


def test_a_trajectory_ratio_that_a_split_would_change_raises(tiny):
    record = algorithm("gspo").but(loss=part(sequence_clipped, level="trajectory"))
    learner = learner_of(tiny, record, token_budget=1)
    with pytest.raises(ValueError, match="split between micro-batches"):
        learner.step(table_of(mixed_groups(), record))


def test_gradient_checkpointing_changes_nothing(tiny):
    table = table_of(mixed_groups(), algorithm("grpo"))
    learner = learner_of(tiny, gradient_checkpointing=True)
    learner.model.train()
    assert error(gradients(learner, table), gradients(learner_of(tiny), table)) < 1e-5


@pytest.mark.parametrize("name", BASE)
@pytest.mark.parametrize("budget", [17, 10_000])
def test_the_on_policy_shortcut_equals_annotating(tiny, name, budget):
    found = []
    for epochs in (1, 2):
        learner = learner_of(tiny, name, epochs=epochs, token_budget=budget)
        table = learner.annotate(table_of(mixed_groups(), learner.algorithm))
        found.append(gradients(learner, table))
        assert learner.on_policy == (epochs == 1)
    assert error(*found) < 1e-4


def test_behaviour_never_enters_the_gradient(tiny):
    learner = learner_of(tiny)
    table = table_of(mixed_groups(), algorithm("grpo"))
    other = table.with_columns(behaviour=table.behaviour + 3, old=table.old - 2)
    assert torch.equal(gradients(learner, table), gradients(learner, other))
