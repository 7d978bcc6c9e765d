"""The command line: what people read and what programs parse."""

import json
from pathlib import Path

import pytest
from runs import cli, one_line, rows, small, trained

from agentrl.algorithms import NAMES
from agentrl.algorithms import algorithm as named
from agentrl.catalogue import SYSTEMS
from agentrl.cli.show import LISTS
from agentrl.envs import ENVIRONMENTS

ENTRY = ["name", "source", "tier", "summary", "parameters"]
ASKED = {"codistill": ("learner.teacher=somewhere", "algorithm.advantage.alpha=0.1")}
"""What has no default."""
QUESTIONS = Path(__file__).parent / "envs" / "questions"
RIVERS = f"endpoint={QUESTIONS}/graph.ttl"
NEEDED = {
    "agentrl/Qald-v0": (f"file={QUESTIONS}/qald.json", RIVERS),
    "agentrl/Lcquad-v0": (f"file={QUESTIONS}/lcquad.json", RIVERS, "graph=dbpedia"),
    "agentrl/Mixture-v0": ("members={words: {id: agentrl/Echo-v0}}",),
}
"""Environments without defaults for everything, and their settings."""
OWN = [name for name, entry in ENVIRONMENTS.items() if ".adapters." not in entry]
"""Environments that need no other library or server."""
ANSWER = ["task", "split", "success", "interval", "n", "seed", "model", "skipped"]
LONG = "agentrl.algorithms.grpo:GRPO"


def listed(what, *arguments):
    """The entries of `agentrl show WHAT --json`."""
    code, printed, message = cli("show", what, *arguments, "--json")
    assert (code, message) == (0, "")
    return json.loads(printed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run's folder with a model that was hardly trained."""
    out = tmp_path_factory.mktemp("run")
    trained(small(out, train={"steps": 0}))
    return out


# ---- show -------------------------------------------------------------------------------------


def test_every_algorithm_is_listed_with_its_source():
    entries = listed("algorithms")
    places = {entry["name"]: entry["place"] for entry in entries}
    assert set(places) == {*NAMES, *SYSTEMS, "grnet", "pde_pareto"}
    assert all(places[name].startswith("agentrl.layouts.") for name in SYSTEMS)
    for entry in entries:
        assert {"name", "summary", "source", "tier", "certainty", "differs"} <= set(entry)
        assert len(entry["tier"]) == 1
        assert entry["summary"]
        assert entry["source"]
        assert bool(entry["parameters"]) == (entry["name"] in NAMES)


def test_an_algorithm_is_shown_as_its_difference():
    _, printed, _ = cli("show", "algorithms", "gspo")
    assert "- loss: clipped: -min(rho A" in printed
    assert "+ loss: sequence_clipped: -min(s A" in printed
    assert "- weighting" not in printed
    assert "minimises: sum over tokens of weight * (loss), where" in printed


def test_an_algorithms_parameters_are_its_own_settings():
    (dapo,) = listed("algorithms", "dapo")
    found = {p["name"]: p["default"] for p in dapo["parameters"]}
    assert found["loss.clip_high"] == 0.28
    assert found["shape.cache"] == 1024
    assert set(dapo["parameters"][0]) == {"name", "type", "required", "default"}


def test_every_environment_is_listed_with_its_parameters():
    entries = listed("envs")
    assert [entry["name"] for entry in entries] == sorted(ENVIRONMENTS)
    for entry in entries:
        assert list(entry) == ENTRY
        assert entry["source"]
        assert entry["summary"]
        assert entry["parameters"]


@pytest.mark.parametrize("what", LISTS)
def test_every_list_is_readable_too(what):
    code, printed, _ = cli("show", what)
    entries = listed(what)
    assert code == 0
    assert [line.split("  ")[0] for line in printed.splitlines()] == [e["name"] for e in entries]
    code, printed, _ = cli("show", what, entries[0]["name"])
    assert printed.startswith(f"{entries[0]['name']}: {entries[0]['summary']}")


def test_a_configuration_can_be_copied_from_show():
    _, printed, _ = cli("show", "configs", "echo")
    assert "env: agentrl/Echo-v0" in printed or "id: agentrl/Echo-v0" in printed
    assert "warm_start:" in printed


# ---- check ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, LONG])
def test_check_prints_the_formula_of_every_slot(name):
    record = named(name)
    code, printed, message = cli("check", "echo", f"algorithm={name}", *ASKED.get(name, ()))
    assert (code, message) == (0, "")
    formulas = printed.partition("loss = ")[2].splitlines()[1:]
    slots = {**record.parts, "penalty": record.live_penalty}
    assert [line.split()[0] for line in formulas] == [s for s in slots if slots[s] is not None]
    assert not any("{" in line for line in formulas), "a setting is missing in a formula"
    assert "reward 1, parts {'solved': 1.0}" in printed


def test_check_fills_in_the_numbers():
    _, printed, _ = cli("check", "echo", "algorithm.loss.clip_high=0.31")
    assert "clip(rho, 1-0.2, 1+0.31) A)" in printed


def test_check_plays_what_is_trained():
    _, printed, _ = cli("check", "sudoku")
    assert "r1c" in printed.partition("oracle: ")[2]
    assert "'solved': 1.0" in printed


# ---- play -------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", OWN)
def test_the_oracle_solves_and_the_expert_plays(env):
    settings = NEEDED.get(env, ())
    code, printed, _ = cli("play", env, *settings, "--player", "oracle", "--seed", 3)
    assert code == 0
    assert printed.splitlines()[-1].startswith("solved, reward 1, ")
    code, printed, message = cli("play", env, *settings, "--player", "expert")
    assert (code, message) == (0, "")
    assert "solved, reward" in printed.splitlines()[-1]


def test_a_person_plays_in_the_terminal():
    code, printed, _ = cli("play", "agentrl/Echo-v0", "turns=2", "words=1", stdin="red\nred\n")
    assert code == 0
    assert printed.endswith("solved, reward 1, 2 turns\n")
    code, printed, _ = cli("play", "agentrl/Echo-v0", "turns=2", stdin="red\n")
    assert code == 0
    assert printed.endswith("left before the end\n")


def test_malformed_sparql_is_an_observation():
    query = "<query>SELEC ?x WHERE</query>\n"
    code, printed, message = cli("play", "agentrl/Sparql-v0", stdin=query)
    assert (code, message) == (0, "")
    assert "Error: " in printed
    assert printed.endswith("left before the end\n")


# ---- eval -------------------------------------------------------------------------------------


def test_an_evaluation_has_exactly_its_keys(folder):
    code, printed, message = cli("eval", folder, "--tasks", 6, "--seed", 5, "--json")
    assert (code, message) == (0, "")
    answer = json.loads(printed)
    assert list(answer) == ANSWER
    assert (answer["split"], answer["n"], answer["seed"], answer["skipped"]) == ("test", 6, 5, 0)
    assert answer["interval"][0] <= answer["success"] <= answer["interval"][1]


def test_several_attempts_add_pass_at_k(folder, tmp_path):
    records = tmp_path / "records.jsonl"
    asked = ["--tasks", 3, "--attempts", 4, "--temperature", 1, "--records", records]
    _, printed, _ = cli("eval", folder, *asked, "--json")
    answer = json.loads(printed)
    assert list(answer) == [*ANSWER, "pass_at"]
    assert list(answer["pass_at"]) == ["1", "2", "4"]
    assert answer["pass_at"]["1"] == pytest.approx(answer["success"])
    assert [row["attempt"] for row in rows(records)] == [0, 1, 2, 3] * 3
    _, printed, _ = cli("eval", folder, *asked)
    assert "pass@4 " in one_line(printed)


@pytest.mark.parametrize("player", ["oracle", "expert"])
def test_a_scripted_player_needs_no_trained_model(player, tmp_path):
    keys = [f"out={tmp_path}", "env={id: agentrl/Echo-v0, words: 2}"]
    code, printed, _ = cli("eval", "echo", *keys, "--player", player, "--json", "--split", "train")
    answer = json.loads(printed)
    assert (code, answer["model"], answer["split"]) == (0, player, "train")
    assert (answer["success"] == 1) == (player == "oracle")


def test_a_model_folder_can_be_named(folder):
    model = folder / "checkpoints" / "step-000000"
    _, printed, _ = cli("eval", "echo", "env.words=2", "--model", model, "--tasks", 4, "--json")
    assert json.loads(printed)["model"] == str(model)
    _, printed, _ = cli("eval", model, "--tasks", 4)
    assert one_line(printed).startswith("agentrl/Echo-v0 test: success ")
