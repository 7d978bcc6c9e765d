"""Policies beside the run's own: what they are made of, and who trains which."""

import pytest
import torch
from runs import rows, small, trained

from agentrl.backends.load import pretrained
from agentrl.config import build_run
from agentrl.course import enrolled
from agentrl.errors import ConfigError
from agentrl.journal.folder import opened, read_groups
from agentrl.protocols import Choice
from agentrl.session import Session
from agentrl.types import join

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
        frozen = session.ensemble.policies["frozen"].model
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


def test_a_frozen_policy_may_be_greedy(tmp_path):
    policies = {"frozen": {"source": "start", "temperature": 0}}
    with Session(small(tmp_path / "run", **{**FLOW, "policies": policies})) as session:
        groups = session.sample([Choice(session.train_tasks[0], 4)], 0)
    cast = [episode.trajectories for episode in groups[0].episodes]
    said = [[tuple(of[i].turns[0].completion.ids) for of in cast] for i in (0, 1)]
    heard = [tuple(join(of[1].turns[0].context)) for of in cast]
    assert len(set(said[0])) > 1
    assert len(set(zip(heard, said[1], strict=True))) == len(set(heard)), "not greedy"


TEAM = {
    **FLOW,
    "agent": {**FLOW["agent"], "roles": {"executor": "sub"}, "trained": ["planner", "executor"]},
    "policies": {"sub": {"source": "start", "train": True, "learner": {"lr": 0.01}}},
}


def models_at(run, checkpoint):
    """The weights of `main` and `sub` in a checkpoint."""
    with Session(run, str(checkpoint)) as session:
        return [weights(model) for model in (session.model, session.ensemble.models["sub"])]


def test_two_policies_are_trained_apart_and_kept(tmp_path):
    run = small(tmp_path / "run", **TEAM)
    trained(run)
    folders = sorted((run.folder / "checkpoints").glob("step-*"))
    (began, copied), (main, sub) = models_at(run, folders[0]), models_at(run, folders[-1])
    assert torch.equal(began, copied)
    assert len({float(w.sum()) for w in (began, main, sub)}) == 3
    last = rows(run.folder / "metrics.jsonl", "train")[-1]
    assert (last["learner/lr"], last["sub/learner/lr"]) == (0.05, 0.01)


def test_both_go_on_from_a_checkpoint(tmp_path):
    once = small(tmp_path / "once", **TEAM, train={"steps": 4, "checkpoint_every": 2})
    trained(once)
    trained(small(tmp_path / "twice", **TEAM, train={"steps": 2}))
    again = small(tmp_path / "twice", **TEAM, train={"steps": 4, "checkpoint_every": 2})
    trained(again, resume=True)
    ends = [models_at(run, run.folder / "checkpoints" / "step-000004") for run in (once, again)]
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_credit_of_both_is_in_the_journal(tmp_path):
    run = small(tmp_path / "run", **TEAM)
    trained(run)
    with opened(run.folder) as (journal, id):
        agents = journal.overview(id)["agents"]
    assert all(agents[name]["credited_turns"] > 0 for name in ("planner", "executor"))


def test_adapters_stand_on_one_base(tmp_path, tiny):
    run = small(tmp_path / "run", **TEAM, model={"name": tiny.folder, "lora_rank": 2})
    with Session(run) as session:
        pairs = zip(
            session.model.named_parameters(),
            session.ensemble.models["sub"].named_parameters(),
            strict=True,
        )
        shared = {name: a.data_ptr() == b.data_ptr() for (name, a), (_, b) in pairs}
    assert {name for name, same in shared.items() if not same} == {
        name for name in shared if "lora_" in name
    }


def test_adapters_are_kept_and_loaded(tmp_path, tiny):
    run = small(tmp_path / "run", **{**TEAM, "model": {"name": tiny.folder, "lora_rank": 2}})
    with Session(run) as session:
        sub = session.ensemble.models["sub"]
        for parameter in (p for p in sub.parameters() if p.requires_grad):
            parameter.data.normal_()
        session.model.save_pretrained(tmp_path / "kept")
        session.tokenizer.save_pretrained(tmp_path / "kept")
        session.ensemble.save(tmp_path / "kept")
    main, again = models_at(run, tmp_path / "kept")
    assert torch.equal(weights(sub), again)
    assert not torch.equal(main, again)


CODISTILL = {
    "policies": {
        "large": {
            "source": "tiny",
            "model": {"hidden_size": 48},
            "train": True,
            "learns_from": "main",
            "algorithm": "codistill_large",
        }
    },
    "algorithm": {"name": "codistill", "advantage": {"alpha": 0.1}},
    "learner": {"lr": 0.01, "teacher": "large"},
    "warm_start": {"steps": 60},
}


def test_a_large_policy_learns_from_what_the_small_one_samples(tmp_path):
    run = small(tmp_path / "run", **CODISTILL, train={"steps": 3})
    trained(run)
    began, ended = (
        weights(pretrained(str(run.folder / f"checkpoints/step-{step:06d}/policies/large"))[0])
        for step in (0, 3)
    )
    assert not torch.equal(began, ended)
    said = {t.completion.policy for g in read_groups(run.folder) for t in g.episodes[0].main.turns}
    assert said == {"main"}
    last = rows(run.folder / "metrics.jsonl", "train")[-1]
    assert last["large/learner/loss"] != last["learner/loss"]
    assert "large/gap/mean_abs" not in last


def test_the_teacher_is_the_model_that_is_trained(tmp_path):
    run = small(tmp_path / "run", **CODISTILL)
    with Session(run) as session:
        small_one, large = enrolled(session, run.algorithm.started(session.train_tasks, 0))
        assert small_one.learner.teacher is session.ensemble.models["large"] is large.policy.model
        assert large.learner.teacher is None
        assert any(p.requires_grad for p in large.policy.model.parameters())


def test_a_teacher_that_is_nowhere_is_found_before_the_warm_start(tmp_path):
    settings = {**CODISTILL, "learner": {"teacher": "./no"}}
    with pytest.raises(ConfigError, match=r"there is no model at '\./no'"):
        trained(small(tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


def test_new_adapters_of_others_follow_from_the_seed(tmp_path, tiny):
    sub = {"source": tiny.folder, "train": True, "model": {"lora_rank": 2}}
    run = small(tmp_path / "run", **{**TEAM, "policies": {"sub": sub}})
    made = []
    for _ in range(2):
        with Session(run) as session:
            made.append(weights(session.ensemble.models["sub"]))
    assert torch.equal(*made)


def test_other_tokens_cannot_be_learned_from(tmp_path, tiny):
    large = {**CODISTILL["policies"]["large"], "source": tiny.folder, "model": {}}
    run = small(tmp_path / "run", **{**CODISTILL, "policies": {"large": large}})
    with pytest.raises(ConfigError, match=r"policies.large has .* needs the same tokenizer"):
        trained(run)


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({"main": "start"}, "policies.main is the run"),
        ({"judge": ""}, "policies.judge is ''"),
        ({"judge": "no/such/folder"}, "there is no model"),
        ({"judge": "openai:nowhere"}, "names no server"),
        ("start", "policies"),
        ({"sub": {"train": True}}, "policies.sub has no source"),
        ({"sub": {"source": "start", "trains": True}}, "trains"),
        ({"sub": {"source": "start", "temperature": -1}}, "temperature is -1"),
        ({"sub": {"source": "start", "train": True, "temperature": 1}}, "none for a trained"),
        ({"sub": "tiny"}, "policies.sub begins with nothing"),
        ({"..": "start"}, "the name '..': give letters"),
        ({"a/b": "start"}, "the name 'a/b'"),
        ({"sub": {"source": "start", "train": True, "learner": {"lr": -1}}}, "learner.lr is -1"),
        ({"sub": {"source": "start", "train": True, "learner": {"epochs": 0}}}, "at least 1"),
        ({"sub": {"source": "tiny", "train": True, "model": {"hidden_size": 30}}}, "a multiple"),
        (
            {"sub": {"source": "start", "train": True, "learner": {"precision": "bf16"}}},
            "a process has one",
        ),
        (
            {
                "sub": {
                    "source": "start",
                    "train": True,
                    "algorithm": "reinforce",
                    "learner": {"minibatches": 2},
                }
            },
            "only right on policy",
        ),
        ({"sub": {"source": "tiny", "train": True, "model": {"hiden_size": 8}}}, "hidden_size"),
        ({"sub": {"source": "openai:http://x/v1#y", "train": True}}, "nothing here can train it"),
        ({"sub": {"source": "start", "learner": {"lr": 1}}}, "policies.sub.learner would be ign"),
        ({"sub": {"source": "start", "model": {"lora_rank": 1}}}, "how a folder is loaded"),
        ({"sub": {"source": "start", "train": True, "learner": {"lrr": 1}}}, "lrr"),
        ({"sub": {"source": "start", "train": True, "learns_from": "man"}}, "man.*main"),
        (
            {"sub": {"source": "start", "train": True, "algorithm": "gtpo"}},
            "main and sub are different",
        ),
        ({"sub": {"source": "start", "train": True, "algorithm": "vade"}}, "set it there"),
        ({"sub": {"source": "start", "train": True, "learner": {"teacher": "x"}}}, "no teacher"),
    ],
)
def test_what_can_be_no_policy(policies, words):
    with pytest.raises(ConfigError, match=words):
        build_run({"env": "agentrl/Echo-v0", "policies": policies})
