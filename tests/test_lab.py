"""The lab: episodes survive JSON exactly, and credit recomputed from them is the training's."""

import json

import numpy as np
import pytest
import torch
from builders import conversation, gradients, group, learner_of, mixed_groups, random_groups
from builders import table_of as table
from runs import cli, small, trained

from agentrl.algorithms import algorithm
from agentrl.episodes import episode_record, read_groups
from agentrl.lab import cosines, derivative, examine

FIELDS = ("ids", "position", "behaviour", "reward", "turn", "trajectory", "episode", "group")


def written(path, groups):
    """Groups as a file of episodes."""
    rows = [episode_record(3, e, n) for n, g in enumerate(groups) for e in g.episodes]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("groups", [mixed_groups(), random_groups([[1, 0], [0, 0, 1]])])
def test_episodes_survive_json_exactly(tmp_path, groups):
    before = table(groups)
    after = table(read_groups(written(tmp_path / "episodes.jsonl", groups)))
    for name in FIELDS:
        assert torch.equal(before.columns[name], after.columns[name]), name
    for one, other in zip(before.samples, after.samples, strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert np.array_equal(one.observed, other.observed)


def test_the_derivative_is_the_learners(tiny):
    """By the chain rule: sum of slope * d logp is the parameters' gradient."""
    record = algorithm("grpo").but(penalty=None)
    learner = learner_of(tiny, record)
    batch = learner.annotate(table(random_groups([[1, 0, 0], [0, 2]]), record))
    slopes = derivative(record, batch)
    expected = gradients(learner, batch)
    learner.model.zero_grad()
    for part in learner.layout.batches(batch, 10**6):
        rows = learner.layout.forward(learner.model, part)
        (slopes[part.rows] * rows.logprobs).sum().backward()
    found = torch.cat([p.grad.flatten() for p in learner.model.parameters()])
    assert torch.allclose(found, expected, atol=1e-6)


def test_what_differs_by_a_factor_has_cosine_one():
    rng = np.random.default_rng(0)
    groups = [group(*(conversation(rng, [3], reward=r) for r in (1.0, 0.0, 0.0)))]
    found = cosines(examine(groups, ["grpo", "dr_grpo", "rloo"]))
    assert np.allclose(found, 1.0, atol=1e-5)


def test_refused_groups_do_not_change_what_the_kept_ones_make():
    groups = random_groups([[1, 0, 0], [1, 1], [0, 0]])
    (whole,), (alone,) = examine(groups, ["dapo"]), examine(groups[:1], ["dapo"])
    assert alone.gradient.abs().max() > 0
    assert torch.allclose(whole.gradient[: len(alone.gradient)], alone.gradient)
    assert not whole.gradient[len(alone.gradient) :].any()


def test_groups_without_signal_are_counted():
    (finding,) = examine(random_groups([[1, 0], [1, 1], [0, 0], [1, 0]]), ["grpo"])
    assert finding.silent == 0.5
    assert 1 < finding.effective <= 4


def test_the_lab_reads_a_run(tmp_path):
    trained(small(tmp_path))
    code, printed, message = cli("lab", tmp_path, "--algorithms", "grpo,flow_grpo", "--json")
    assert (code, message) == (0, "")
    answer = json.loads(printed)
    assert answer["algorithms"]["grpo"]["cosine"]["grpo"] == pytest.approx(1.0, abs=1e-4) or (
        answer["algorithms"]["grpo"]["silent_groups"] == 1.0
    )
    assert {"grpo", "flow_grpo"} == set(answer["turns"][0]["credit"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.jsonl"], "cannot read 'none.jsonl'"),
        (["--step", "9"], "has no step 9: it holds 3 to 3"),
        (["--algorithms", "grop"], "did you mean 'grpo'"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, says):
    path = written(tmp_path / "episodes.jsonl", random_groups([[1, 0]]))
    named = arguments if arguments[0].endswith("jsonl") else [path, *arguments]
    code, _, message = cli("lab", *named)
    assert code == 2
    assert says in message


def test_a_torn_line_is_named(tmp_path):
    path = written(tmp_path / "episodes.jsonl", random_groups([[1, 0]]))
    path.write_text(path.read_text()[:-20])
    code, _, message = cli("lab", path)
    assert code == 2
    assert "episodes.jsonl:2: no recorded episode" in message
