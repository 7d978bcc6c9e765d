"""reasoning-gym's questions."""

from importlib.util import find_spec

import pytest

if find_spec("reasoning_gym") is None:
    pytest.skip("NOT CHECKED HERE: `make env-adapters` installs it", allow_module_level=True)

from learning import three_steps
from playing import episode, found, in_threads
from reasoning_gym.factory import DATASETS

from agentrl.conformance import check_environment
from agentrl.envs import adapters
from agentrl.errors import ConfigError, EnvError
from agentrl.types import Parse

pytestmark = [pytest.mark.service, pytest.mark.filterwarnings("default")]

NO_ORACLE = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}


@pytest.mark.parametrize(
    ("dataset", "options"),
    [
        ("leg_counting", {}),
        ("chain_sum", {"read": "text", "prompt": "short", "min_terms": 2, "max_terms": 2}),
        ("pool_matrix", {"read": "boxed"}),
        ({"mini_sudoku": 1, "basic_arithmetic": 3}, {}),
    ],
)
def test_questions_conform(dataset, options):
    assert check_environment(lambda: adapters.reasoning_gym(dataset, **options), tasks=2) == []


def test_a_data_set_without_an_oracle_says_so():
    told = found(lambda: adapters.reasoning_gym("graph_color"))
    assert {finding.split(":")[0] for finding in told} == {"twins", "oracle", "survives", "copies"}
    env = adapters.reasoning_gym("graph_color")
    env.reset(seed=0)
    with pytest.raises(EnvError, match="graph_color has no oracle: its scorer does not accept"):
        env.oracle()


def test_oracles_are_right_for_all_but_five():
    refused = set()
    for name in sorted(set(DATASETS) - {"composite"}):
        env = adapters.reasoning_gym(name)
        env.reset(seed=7)
        try:
            text, reward, terminated, truncated, info = env.step(env.oracle())
        except EnvError:
            refused.add(name)
            continue
        assert (text, reward, terminated, truncated) == ("right", 1.0, True, False), name
        assert info["success"]
    assert refused == NO_ORACLE


def test_a_composite_takes_its_config():
    parts = [{"name": "leg_counting", "weight": 1}, {"name": "chain_sum", "weight": 1}]
    env = adapters.reasoning_gym("composite", datasets=parts)
    env.reset(seed=3)
    assert env.step(env.oracle())[4]["success"]


def test_weights_and_settings_of_several():
    config = {"chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}}
    mixed = {"chain_sum": 3.0, "leg_counting": 1.0}
    env = adapters.reasoning_gym(mixed, config=config, prompt="short")
    tasks = env.tasks("train", 200, 0)
    sums = [task for task in tasks if task.data["game"] == "chain_sum"]
    assert 120 < len(sums) < 180
    assert all(len(env.reset(options={"task": task})[0]) < 80 for task in sums)


def test_16_threads_ask_the_questions_of_one():
    def make():
        return adapters.reasoning_gym({"pool_matrix": 1, "leg_counting": 1, "mini_sudoku": 1})

    seeds = [seed % 8 for seed in range(64)]
    assert in_threads(make, seeds) == [episode(make, seed) for seed in seeds]


def test_answers_are_read_where_they_stand():
    env = adapters.reasoning_gym("leg_counting")
    assert env.reset(seed=1)[0].endswith("Write the answer as <answer>...</answer>.")
    right = env.oracle()
    assert env.step(f"<think>{right}</think> 12")[4]["parse"] is Parse.OK
    env.reset(seed=1)
    _, _, _, _, info = env.step("12")
    assert (info["parse"], info["parts"]) == (Parse.NO_CALL, {"score": 0.0})
    env.reset(seed=1)
    assert env.step(f"it is <answer>0</answer>, no, {right}")[4]["success"]


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("leg_countin", {}, "unknown data set 'leg_countin': did you mean 'leg_counting'"),
        ("leg_counting", {"legs": 4}, "cannot be made: TypeError"),
        ("leg_counting", {"min_animals": -1}, "cannot be made: AssertionError"),
        ({"leg_counting": 0.0}, {}, "give weights above 0"),
        ({"leg_counting": float("nan")}, {}, "give weights above 0"),
        ({"leg_counting": 1.0}, {"config": {"chain_sum": {}}}, "unknown data set 'chain_sum'"),
        ("composite", {}, "Must specify at least one dataset"),
    ],
)
def test_what_cannot_be_asked_is_one_line(dataset, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        adapters.reasoning_gym(dataset, **options)
    assert "\n" not in str(caught.value)


def test_the_tiny_model_trains_on_sums(tmp_path):
    digits = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    env = {"id": "agentrl/ReasoningGym-v0", "dataset": "chain_sum", "config": digits}
    env |= {"read": "text", "prompt": "short"}
    warm = {"episodes": 32, "steps": 30, "batch": 16, "lr": 1e-2}
    rollout = {"tasks": 8, "attempts": 8}
    steps = three_steps(tmp_path, env, warm_start=warm, rollout=rollout)
    assert all(row["train/failed_episodes"] == 0 for row in steps)
