"""Decoupled trainers: `--only main` and `--only sub` meet in the journal and nowhere else."""

import json
import shutil
import time

import pytest
import torch
from builders import weights
from partners import BOTH, TEAM, go_on, processes, team, together
from runs import cli, one_line, rows, small, trained
from sqlalchemy import select

from agentrl.backends.load import pretrained
from agentrl.checkpoint import checkpoints
from agentrl.config import load_run
from agentrl.errors import ConfigError, DataError
from agentrl.journal import Journal
from agentrl.journal.exchange_tables import acknowledgements, offers, policies
from agentrl.journal.folder import opened
from agentrl.train import run_training


@pytest.fixture(scope="module")
def context():
    with processes() as context:
        yield context


@pytest.fixture(scope="module")
def met(context, tmp_path_factory):
    """The folder and the summaries of two trainers that took six steps."""
    out = tmp_path_factory.mktemp("met") / "run"
    return out, *together(context, out, train={"steps": 6, "checkpoint_every": 2})


def model_of(folder):
    return weights(pretrained(str(folder))[0])


def test_every_record_is_trained_once(met):
    _, _, sub = met
    told = sub["exchange"]
    assert (told["offered"], told["trained"], told["refused"]) == (12, 12, 0)
    assert told["exact"]


def test_each_trains_its_own_policy(met):
    out, _, sub = met
    began = model_of(out / "main" / "checkpoints" / "step-000000")
    assert torch.equal(model_of(out / "sub" / "checkpoints" / "step-000000"), began)
    ends = [checkpoints(out / name)[-1] for name in ("main", "sub")]
    assert len({float(model_of(folder).sum()) for folder in ends}) == 2
    assert str(ends[1]) == sub["checkpoint"]


def test_main_samples_from_what_sub_published(met):
    out, _, sub = met
    held = checkpoints(out / "main")[-1] / "policies" / "sub"
    assert torch.equal(model_of(held), model_of(sub["checkpoint"]))
    with opened(out / "main") as (journal, run):
        cast = [e.trajectories for g in journal.groups(run) for e in g.episodes]
    said = [turn.completion for of in cast for trajectory in of for turn in trajectory.turns]
    versions = {c.version for c in said if c.policy == "sub"}
    assert {c.policy for c in said} == {"main", "sub"}
    assert len(versions) > 1


def test_each_ones_journal_has_its_own_credit(met):
    out, *_ = met
    for name, agent in (("main", "planner"), ("sub", "executor")):
        with opened(out / name) as (journal, run):
            agents = journal.overview(run)["agents"]
        assert [n for n, told in agents.items() if told["credited_turns"]] == [agent]


def test_what_the_metrics_tell_of_the_exchange(met):
    out, *_ = met
    told = rows(out / "sub" / "metrics.jsonl", "train")
    assert sum(row["exchange/groups"] for row in told) == 12
    assert all(0 <= row["exchange/lag"] <= 4 for row in told)
    assert all(row["exchange/waiting"] <= 4 for row in told)


def test_the_verb_shows_the_exchange(met):
    out, *_ = met
    code, told, _ = cli("journal", out / "main", "--json")
    assert code == 0
    assert "sub" in json.dumps(json.loads(told)[0]["exchanges"])


def test_who_plays_nothing_is_not_evaluated(met):
    out, *_ = met
    code, _, told = cli("eval", out / "sub")
    assert code != 0
    assert "trains 'sub' alone and plays nothing: take the folder 'main'" in one_line(told)
    assert cli("eval", out / "main", "--tasks", "2")[0] == 0


def test_a_run_of_both_can_be_gone_on_with(context, tmp_path):
    together(context, tmp_path / "run", train={"steps": 2})
    steps = {"train": {"steps": 4}}
    with pytest.raises(DataError, match="go on with --resume, or give another out"):
        trained(team(tmp_path / "run", "main", **steps))
    with pytest.raises(DataError, match="go on with --resume"):
        run_training(load_run(tmp_path / "run" / "sub"))
    longer = together(context, tmp_path / "run", **steps)
    assert longer[1]["exchange"]["trained"] == longer[1]["exchange"]["offered"] == 8


def test_a_versions_number_is_never_used_again(context, tmp_path):
    """What a kill undid was sampled from: other weights must not have its number."""
    together(context, tmp_path / "run", train={"steps": 4, "checkpoint_every": 2})
    shutil.rmtree(checkpoints(tmp_path / "run" / "sub")[-1])  # as if killed before it
    together(context, tmp_path / "run", train={"steps": 4, "checkpoint_every": 2})
    url = f"sqlite:///{tmp_path}/run/journal.sqlite"
    with Journal.open(url) as journal, journal.reading() as connection:
        told = connection.execute(select(policies.c.name, policies.c.version)).all()
    assert len(told) == len(set(told))


def test_a_late_trainer_begins_where_main_began(context, tmp_path):
    out = tmp_path / "run"
    ahead = {"exchange": {"bound": 100, "keep": 1}, "train": {"steps": 6}}
    main = context.Process(target=go_on, args=(out, "main", ahead))
    main.start()
    while not (told := out / "main" / "metrics.jsonl").exists() or len(rows(told, "train")) < 6:
        time.sleep(0.05)
    sub = trained(team(out, "sub", **ahead))
    main.join(60)
    assert (main.exitcode, sub["exchange"]["trained"], sub["exchange"]["exact"]) == (0, 12, True)
    assert torch.equal(*(model_of(out / name / "checkpoints/step-000000") for name in BOTH))


def test_the_trainers_steps_need_not_be_the_same(context, tmp_path):
    """A player that begins again repeats its steps; the other one is further by then."""
    out = tmp_path / "run"
    together(context, out, train={"steps": 2})
    shutil.rmtree(out / "main" / "checkpoints" / "step-000002")
    _, sub = together(context, out, train={"steps": 3})
    told = sub["exchange"]
    assert (told["offered"], told["trained"], told["taken_back"]) == (6, 6, 4)
    assert sub["steps"] == 5


def test_a_channel_that_another_run_used_is_refused(context, tmp_path):
    journal = {"journal": {"url": f"sqlite:///{tmp_path}/shared.sqlite"}}
    channel = {"exchange": {"channel": "ours"}}
    together(context, tmp_path / "one", **journal, **channel)
    with pytest.raises(DataError, match="channel 'ours' holds the policy 'main' of another run"):
        trained(team(tmp_path / "two", "main", **journal, **channel))


def test_a_fast_player_stays_in_the_bound(context, tmp_path):
    """The player never has more groups waiting than the bound; learning takes ten times longer."""
    out = tmp_path / "run"
    together(context, out, 0.5, train={"steps": 8}, exchange={"bound": 3})
    assert 1 < most_waiting(out / "journal.sqlite") <= 3


def most_waiting(path):
    """The most groups that ever waited, by the times in the journal."""
    with Journal.open(f"sqlite:///{path}") as journal, journal.reading() as connection:
        made = [(at, 1) for at in connection.scalars(select(offers.c.created))]
        done = [(at, -1) for at in connection.scalars(select(acknowledgements.c.created))]
    waiting = [0]
    for _, change in sorted(made + done):
        waiting.append(waiting[-1] + change)
    return max(waiting)


def test_nobody_there_is_an_error_that_says_who(tmp_path):
    alone = team(tmp_path / "run", "main", exchange={"deadline_seconds": 0.3}, warm_start=None)
    with pytest.raises(DataError, match="no trainer of 'sub' has ever been heard of"):
        trained(alone)
    alone = team(tmp_path / "other", "sub", exchange={"deadline_seconds": 0.3})
    with pytest.raises(DataError, match="no trainer of 'main' has begun"):
        trained(alone)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only": "sbu"}, "only is 'sbu', which no learner trains.*'sub'"),
        ({"only": "main", "policies": {}}, "nothing else is trained"),
        ({"only": "sub", "exchange": {"bound": 1}}, "a step offers rollout.tasks = 2"),
        ({"exchange": {"max_lag": 0}}, "exchange.max_lag is 0"),
        ({"exchange": {"bounds": 4}}, "bound"),
        ({"only": 3}, "only is 3: give a policy's name"),
    ],
)
def test_what_cannot_be_decoupled(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        small(tmp_path / "run", **{**TEAM, **changes})


def test_the_command_line_says_it_in_one_line(tmp_path):
    code, _, told = cli("train", "quickstart", "--only", "main", f"out={tmp_path}/run")
    assert code != 0
    assert "nothing else is trained" in one_line(told)
