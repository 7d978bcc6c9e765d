"""BFCL: its own judges on calls that are parsed and dispatched here. All tasks: tests/services."""

import ast
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bfcl_eval", reason="NOT CHECKED HERE: bfcl-eval is not installed")

from bfcl_players import (
    FILE,
    HOSTILE,
    MODEL,
    everything,
    expert,
    headers,
    hostile,
    mixed,
    null,
    oracle,
    played,
    some,
)

import agentrl.envs.bfcl
from agentrl.conformance import Recipe, check_environment
from agentrl.env import make
from agentrl.envs.bfcl import CATEGORIES, NOT_RUN, UNSOLVABLE, Bfcl, package, possible
from agentrl.envs.bfcl.data import MULTI_TURN, chosen, entries, entry
from agentrl.envs.bfcl.judge import Trial, judged
from agentrl.envs.bfcl.services import FAILED, Services
from agentrl.errors import ConfigError, DataError, MissingDependencyError
from agentrl.types import Parse, Status, ToolCall

DECLINING = {"irrelevance", "live_irrelevance"}


@cache
def sample(style="tools"):
    """An environment, and two tasks of every category."""
    env = make("agentrl/Bfcl-v0", style=style)
    return env, some(env, 2)


def started(id, **arguments):
    env = Bfcl(**arguments)
    env.observed = env.reset(options={"task": {"id": id}})
    return env


def category(group):
    return entry(group.task.data["id"]).category


# ---- tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("categories", "found"),
    [
        ("simple", ("simple_python", "live_simple")),
        (["multi_turn_miss_func", "parallel_multiple"], ("parallel_multiple", MULTI_TURN[1])),
        ("multi_turn,irrelevance", ("irrelevance", *MULTI_TURN)),
        ("all", CATEGORIES),
    ],
)
def test_categories_are_named_alone_or_by_group(categories, found):
    assert chosen(categories) == found


@pytest.mark.parametrize("name", NOT_RUN)
def test_a_category_that_does_not_run_says_why(name):
    with pytest.raises(ConfigError, match=r"does not run: .{10}"):
        Bfcl(categories=[name])


def test_arguments_that_cannot_run_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'multi_turn'"):
        Bfcl(categories="multiturn")
    with pytest.raises(ConfigError, match="multi_turn_miss_param, multiple, non_live"):
        Bfcl(categories="java")
    with pytest.raises(ConfigError, match="choose tools or prompt"):
        Bfcl(style="xml")
    with pytest.raises(DataError, match="no entry 'simple_python_4000'"):
        started("simple_python_4000")


def test_a_missing_package_says_how_it_is_installed():
    with pytest.raises(MissingDependencyError, match="pip install --no-deps bfcl-eval=="):
        package.load("no_such_package_of_anybody")


def test_splits_hold_every_entry_once():
    env, _ = sample()
    tasks = everything(env)
    ids = [task.data["id"] for task in tasks]
    known = {id for name in CATEGORIES for id in entries(name)}
    assert sorted(ids) == sorted(known - UNSOLVABLE.keys())
    assert len({task.id for task in tasks}) == len(tasks)


def test_variants_of_a_scenario_are_in_one_split():
    scenarios = {}
    for task in everything(Bfcl(categories="multi_turn")):
        scenarios.setdefault(task.data["id"].rpartition("_")[2], set()).add(task.split)
    assert len(scenarios) == 200
    assert all(len(splits) == 1 for splits in scenarios.values())


def test_unsolvable_entries_are_those_that_the_checker_refuses():
    ones = [one for name in CATEGORIES for one in entries(name).values() if one.gold]
    single = [one for one in ones if not one.multi_turn]
    refused = [one for one in single if not judged(one, possible.calls(one, True), True)["valid"]]
    assert {one.id for one in refused} == UNSOLVABLE.keys()


# ---- players --------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["tools", "prompt"])
def test_the_oracle_solves_every_category(style):
    env, tasks = sample(style)
    groups = [played(env, task, oracle) for task in tasks]
    assert {category(group) for group in groups} == set(CATEGORIES)
    assert all(group.episodes[0].main.success for group in groups)


@pytest.mark.parametrize("style", ["tools", "prompt"])
def test_silence_solves_only_what_is_to_be_declined(style):
    env, tasks = sample(style)
    groups = [played(env, task, null) for task in tasks]
    assert {category(one) for one in groups if one.episodes[0].main.success} == DECLINING


def test_where_declining_is_right_every_text_without_calls_is():
    found = check_environment(Recipe("agentrl/Bfcl-v0", {"categories": "irrelevance"}), tasks=1)
    assert found
    assert all(" solves task " in finding for finding in found)


def test_a_hostile_player_solves_nothing_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env, tasks = sample()
    tasks = [task for task in tasks if entry(task.data["id"]).wants_calls]
    groups = [played(env, task, hostile) for task in tasks]
    right = {category(one) for one in groups if one.episodes[0].main.success}
    assert right <= {"live_relevance"}  # there any call is right
    assert not list(tmp_path.iterdir())


def test_text_that_is_no_call_ends_a_turn_and_is_told_apart():
    env = started("multi_turn_base_0")
    reply, reward, ended, _, info = env.step('<tool_call>{"name": "ls"')
    assert reply == env.entry.question[1][0]["content"]
    assert (reward, ended, info["parse"]) == (0, False, Parse.MALFORMED)


# ---- conversations --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MULTI_TURN)
def test_results_read_as_the_package_prints_them(name):
    run = package.constant(
        "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_utils", "execute_multi_turn_func_call"
    )
    for number in range(0, 200, 25):
        one, ours = entries(name)[f"{name}_{number}"], Services(entry(f"{name}_{number}"))
        texts = [text for turn in one.gold for text in turn]  # the data set's own, not a model's
        theirs, _ = run(texts, one.config, one.services, "gold", one.id, one.long_context)
        assert [ours.call(ours.read(text)) for text in texts] == theirs


def test_a_user_turn_ends_with_a_text_without_calls():
    env = started("multi_turn_base_0")
    assert env.observed[0] == env.entry.question[0][0]["content"]
    reply = env.step(env.write([ToolCall("ls", {}), ToolCall("cat", {"file": "x"})]))[0]
    assert reply.startswith('{"current_directory_content": ["document", "archive"]}\n' + FAILED)
    reply, _, ended, *_ = env.step("All done.")
    assert reply == env.entry.question[1][0]["content"]
    assert not ended


def test_results_are_messages_where_the_template_teaches_calls():
    env = Bfcl()
    env.reset(options={"task": {"id": "multi_turn_base_0"}, "calls": "hermes"})
    info = env.step(env.write([ToolCall("ls", {}), ToolCall("pwd", {})]))[4]
    assert [(one.role, one.name) for one in info["messages"]] == [("tool", "ls"), ("tool", "pwd")]


def test_the_prompt_style_reads_as_the_package_writes_it():
    env = started("multi_turn_base_0", style="prompt")
    info = env.observed[1]
    assert info["system"].startswith("You are an expert in composing functions.You are given")
    assert "tools" not in info
    reply = env.step("[pwd()]")[0]
    result = {"current_working_directory": "/workspace"}
    assert reply == repr([{"role": "tool", "name": "pwd()", "content": json.dumps(result)}])


def test_functions_that_were_missing_come_with_a_later_turn():
    env = started("multi_turn_miss_func_0")
    names = {offer.name for offer in env.offered()}
    assert "sort" not in names
    replies = [env.step("Go on.")[0] for _ in range(3)]
    assert '"name": "sort"' in replies[2]
    assert replies[2].endswith("What about now?")
    assert {offer.name for offer in env.offered()} - names == {"sort"}


def test_a_user_turn_of_too_many_steps_ends_the_conversation():
    env = started("multi_turn_base_0")
    ends = [env.step(env.write([ToolCall("ls", {})]))[2:4] for _ in range(21)]
    assert ends == [(False, False)] * 20 + [(True, False)]
    assert env.trial.verdict["error_type"] == "multi_turn:force_terminated"


def test_turns_that_hold_are_a_part_without_weight():
    env = started("multi_turn_base_1")
    env.step(env.oracle())
    *_, ended, _, info = env.step("")
    while not ended:
        *_, ended, _, info = env.step("")
    turns = len(env.entry.question)
    assert info["parts"] == {"turns": pytest.approx(1 / turns)}
    assert Bfcl.reward_weights == {"solved": 1.0}


def test_observations_do_not_hold_the_gold():
    env, tasks = sample()
    for task in [task for task in tasks if entry(task.data["id"]).gold]:
        seen = json.dumps([env.reset(options={"task": task}), *map(env.step, [""])], default=str)
        gold = json.dumps([text for text in env.entry.gold if text])[1:-1]
        assert gold not in seen
        calls = [text for turn in env.entry.gold if env.trial for text in turn]
        assert not any(text in seen for text in calls if "=" in text)


def ended(task):
    main = played(Bfcl(), task, mixed).episodes[0].main
    return main.success, main.answer, [turn.reply for turn in main.turns]


def test_sixty_four_conversations_at_once_go_as_one_by_one():
    tasks = everything(Bfcl(categories="multi_turn"))[:64]
    with ThreadPoolExecutor(64) as pool:
        together = list(pool.map(ended, tasks))
    assert together == list(map(ended, tasks))


# ---- safety ---------------------------------------------------------------------------------


def test_nothing_here_evaluates_text():
    for file in Path(agentrl.envs.bfcl.__file__).parent.glob("*.py"):
        tree = ast.walk(ast.parse(file.read_text()))
        names = {node.id for node in tree if isinstance(node, ast.Name)}
        assert not names & {"eval", "exec", "compile", "execute_multi_turn_func_call"}, file.name


def test_the_stand_in_for_the_packages_registry_is_gone():
    package.ast_checker()
    assert package.REGISTRY not in sys.modules
    assert package.CHECKER not in sys.modules


@pytest.mark.parametrize("call", HOSTILE, ids=lambda call: call.name)
def test_a_call_reaches_only_the_services(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Services(entry("multi_turn_base_0")).call(call).startswith(FAILED)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("power", {"base": 9, "exponent": 9**9}),
        ("round_number", {"number": 5, "decimal_places": -(10**12)}),
        ("square_root", {"number": 2, "precision": 10**12}),
        ("logarithm", {"value": 2, "base": 3, "precision": "1000000000000"}),
        ("logarithm", {"value": "1e1000000000000", "base": 3, "precision": 5}),
        ("mean", {"numbers": [[[]]]}),
    ],
)
def test_a_call_cannot_ask_for_too_much(name, arguments):
    services = Services(entry("multi_turn_base_60"))
    services.methods.update(Services(math_entry()).methods)
    assert "rror" in services.call(ToolCall(name, arguments))


def math_entry():
    """Some entry with the calculator."""
    return next(one for one in entries(MULTI_TURN[0]).values() if "MathAPI" in one.services)


def test_copies_of_copies_cannot_fill_the_memory():
    services = Services(entry("multi_turn_base_0"))
    for folder in ("x", "y"):
        services.call(ToolCall("mkdir", {"dir_name": folder}))
    for number in range(40):
        for move in ({"source": "x", "destination": f"c{number}"}, {"source": "y"}):
            services.call(ToolCall("cp", {"destination": "x", **move}))
        services.call(ToolCall("mv", {"source": f"c{number}", "destination": "x"}))
    assert services.call(ToolCall("find", {})).startswith(f"{FAILED}the paths have more than")
    assert Trial(entry("multi_turn_base_0")).close()["valid"] is False


def test_arguments_on_which_the_checker_breaks_are_wrong():
    one = next(
        one
        for name in CATEGORIES
        for one in entries(name).values()
        if "relevance" not in name and '"array", "items": {"type": "dict"' in json.dumps(one.row)
    )
    first, *rest = possible.calls(one, False)
    bad = {key: [1, [2]] if isinstance(v, list) else v for key, v in first.arguments.items()}
    assert not judged(one, [ToolCall(first.name, bad), *rest], False)["valid"]


# ---- scores and files -----------------------------------------------------------------------


def changed(group, **fields):
    """A group whose one episode ended otherwise."""
    episode = group.episodes[0]
    return replace(
        group, episodes=(replace(episode, trajectories=(replace(episode.main, **fields),)),)
    )


def test_scores_count_only_what_ran():
    env, tasks = sample()
    groups = [played(env, task, oracle) for task in tasks if "live" in task.data["id"]]
    broken = changed(groups[0], status=Status.TOOL_FAILED, success=False)
    told = env.scores([broken, *groups[1:]])
    first = category(groups[0])
    assert told["categories"].keys() == {name for name in CATEGORIES if "live" in name}
    assert told["categories"][first]["accuracy"] == 1
    assert (told["categories"][first]["failed"], told["categories"][first]["n"]) == (1, 1)
    assert told["not_run"]["simple_python"] == "none of its tasks was drawn"
    assert Bfcl(categories="live").scores(groups)["not_run"]["multiple"] == "not asked for"
    assert told["means"]["live"] == {"accuracy": 1.0, "whole": False}
    assert "accuracy" not in told["means"]["overall"]
    assert "accuracy" not in told["means"]["multi_turn"]


def test_a_category_in_which_all_failed_has_no_accuracy():
    env, tasks = sample()
    broken = changed(played(env, tasks[0], oracle), status=Status.ENV_FAILED, success=False)
    found = env.scores([broken])["categories"][category(broken)]
    assert (found["accuracy"], found["n"], found["failed"]) == (None, 0, 1)
    assert env.export([broken], Path("nowhere"), MODEL) == []


def test_files_are_where_the_package_looks_for_them(tmp_path):
    env, tasks = sample()
    groups = [played(env, task, mixed) for task in tasks]
    files = env.export(groups, tmp_path, "some/model")
    assert len(files) == 2 * len(CATEGORIES)
    assert tmp_path / "result/some_model/live/BFCL_v4_live_multiple_result.json" in files
    assert tmp_path / "score/some_model/multi_turn/BFCL_v4_multi_turn_base_score.json" in files
    told = env.scores(groups)["categories"]
    right = {name: one["right"] for name, one in told.items()}
    assert {name: one["correct_count"] for name, one in headers(tmp_path).items()} == right


def test_a_result_line_has_the_packages_form(tmp_path):
    env = Bfcl(categories="simple_python", result_name=MODEL)
    task = next(one for one in everything(env) if one.data["id"] == "simple_python_0")
    path, _ = env.export([played(env, task, oracle)], tmp_path, "oracle")
    line = json.loads(path.read_text())
    given = '{"base": 10, "height": 5, "unit": "units"}'
    assert path.parts[-3] == MODEL
    assert line["id"] == "simple_python_0"
    assert line["result"] == [{"calculate_triangle_area": given}]


def test_what_the_official_evaluation_would_run_is_harmless(tmp_path):
    env = Bfcl(categories="multi_turn_base")
    groups = [played(env, task, hostile) for task in everything(env)[:8]]
    path, _ = env.export(groups, tmp_path, MODEL)
    for line in map(json.loads, path.read_text().splitlines()):
        methods = Services(entry(line["id"])).methods.keys()
        calls = [call for turn in line["result"] for step in turn for call in step]
        names = {name for call in calls if isinstance(call, dict) for name in call}
        assert all(name in methods or name.startswith("unknown_") for name in names)
        given = [value for call in calls if isinstance(call, dict) for value in call.values()]
        assert not any(FILE in value for value in given)


def test_an_episode_that_a_limit_ended_counts_as_wrong(tmp_path):
    env, tasks = sample()
    limited = {"success": False, "answer": None, "status": Status.CONTEXT_LIMIT}
    env.export([changed(played(env, task, oracle), **limited) for task in tasks], tmp_path, MODEL)
    right = {name for name, one in headers(tmp_path).items() if one["correct_count"]}
    assert right == DECLINING  # the package takes every text that is no call for declining


def test_the_expert_is_well_formed_in_both_styles():
    rng = np.random.default_rng(0)
    for style in ("tools", "prompt"):
        env, tasks = sample(style)
        for task in tasks:
            env.reset(options={"task": task})
            assert env.form.parse(expert(env, rng)).status is not Parse.MALFORMED
