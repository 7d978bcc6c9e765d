"""Policies beside the trained one: what they are made of, and that nothing trains them."""

import pytest
import torch
from runs import small, trained

from agentrl.backends.load import pretrained
from agentrl.config import build_run
from agentrl.episodes import read_groups
from agentrl.errors import ConfigError
from agentrl.session import Session

FLOW = {
    "agent": {
        "name": "agentflow",
        "roles": {"executor": "frozen"},
        "plan": "bare",
        "prompts": {"planner": "{task}", "executor": "say {context}"},
    },
    "policies": {"frozen": "start"},
    "learner": {"lr": 0.05},
    "warm_start": {"steps": 60},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("flow") / "run"
    trained(small(out, **FLOW))
    return out


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_frozen_policy_keeps_the_weights_of_the_start(finished):
    last = str(max((finished / "checkpoints").glob("step-*")))
    with Session(small(finished, **FLOW), last) as session:
        began = pretrained(str(finished / "checkpoints" / "step-000000"))[0]
        frozen = session.ensemble.frozen[0].model
        assert torch.equal(weights(frozen), weights(began))
        assert not torch.equal(weights(session.model), weights(began)), "nothing was learned"


def test_who_spoke_is_recorded_and_trained_alone(finished):
    episode = read_groups(finished / "episodes.jsonl")[0].episodes[0]
    spoke = {
        t.agent: (t.turns[0].completion.policy, t.turns[0].trained) for t in episode.trajectories
    }
    assert spoke == {"planner": ("main", True), "executor": ("frozen", False)}


def test_a_resumed_run_has_the_same_start(tmp_path):
    once = trained(small(tmp_path / "once", **FLOW, train={"steps": 4, "checkpoint_every": 2}))
    trained(small(tmp_path / "twice", **FLOW, train={"steps": 2}))
    again = small(tmp_path / "twice", **FLOW, train={"steps": 4, "checkpoint_every": 2})
    assert trained(again, resume=True)["after"]["success"] == once["after"]["success"]


def test_a_folder_is_a_policy(finished, tmp_path):
    source = str(finished / "checkpoints" / "step-000000")
    settings = {**FLOW, "policies": {"frozen": source}}
    trained(small(tmp_path / "run", **settings))
    row = read_groups(tmp_path / "run" / "episodes.jsonl")[0].episodes[0].trajectories[1]
    assert row.turns[0].completion.policy == "frozen"


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({"main": "start"}, "policies.main is the trained policy"),
        ({"judge": ""}, "policies.judge is ''"),
        ({"judge": "no/such/folder"}, "there is no model"),
        ({"judge": "openai:nowhere"}, "names no server"),
        ("start", "policies"),
    ],
)
def test_what_can_be_no_policy(policies, words):
    with pytest.raises(ConfigError, match=words):
        build_run({"env": "agentrl/Echo-v0", "policies": policies})
