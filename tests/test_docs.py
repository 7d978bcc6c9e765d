"""The README's code runs, and its commands and files exist."""

import inspect
import re
import shlex
import sys
import types
from pathlib import Path

import catalogue_page
import pytest
from runs import small, trained
from typer.main import get_command

from agentrl.algorithms import corpo
from agentrl.cli.main import app
from agentrl.journal.folder import read_groups
from agentrl.types import ToolCall

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.is_file(), reason="the README is not beside the tests")
SHORTER = {
    '"episodes": 512, "steps": 100': '"episodes": 8, "steps": 2, "batch": 4',
    '"steps": 60, "train_tasks": 512': '"steps": 1, "train_tasks": 8',
    "First-v0": "Readme-v0",
}


INDEX = """
active_vln air_quality alpha_dpg care clinical_crpo co_grpo codistill corpo countdown_compare dagrpo
dapo dcpo dgpo dhpo disco dr_grpo drpo ds_grpo egpo etr expert_single_turn expo flow_grpo
format_length game_rl gcc gdpo grit grnet group_robust_dpo grpo grpo_guard grpo_lambda_length gspo
gtpo guide igrpo knapsack_rl m_grpo mixed_reward_bootstrap multi_objective_safety
multi_reward_debias ngrpo p_grpo papo pc_grpo pde_pareto ppo practitioner_guide pref_grpo
prefix_grouper rank_grpo reg_grpo rest_rl rgr_grpo rloo sage scaf seed_grpo serial_group
sparql_refine spine spo_segment spo_single_stream stream_bp style_mix syn_grpo tcm_grpo text2vis ton
train_long training_free_grpo tree_training v0_value vade vgpo vspo xrpo gigpo
"""
"""Every paper that the catalogue promises."""


def test_the_page_of_algorithms_is_current():
    assert catalogue_page.PAGE.read_text() == catalogue_page.page(), "run `make docs`"


def test_every_paper_has_its_row():
    lines = catalogue_page.PAGE.read_text().splitlines()
    rows = {line.split(" ")[1] for line in lines if line.startswith("| ")}
    assert not set(INDEX.split()) - rows


def test_the_environment_of_the_readme_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    for long, short in SHORTER.items():
        assert long in code
        code = code.replace(long, short)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert (tmp_path / "runs/first/summary.json").is_file()


def test_the_tools_of_the_readme_are_called():
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[1]
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    env = names["Shop"]()
    env.reset(options={"task": {"wish": "tea"}})
    assert env.step(env.write([ToolCall("add", {"item": "tea"})]))[0] == "tea is in the basket"
    assert env.step("done")[-1]["success"]


def test_the_adapter_of_the_readme_plays(capsys):
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[2]
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out


def test_the_program_of_the_readme_is_played(monkeypatch, tmp_path):
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[3]
    module = types.ModuleType("readme_program")
    exec(compile(code, "README.md", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    agent = {"name": "program", "function": "readme_program:reviewed"}
    trained(small(tmp_path / "run", agent=agent, train={"steps": 1}))
    episode = read_groups(tmp_path / "run")[0].episodes[0]
    assert [t.agent for t in episode.trajectories] == ["writer", "critic"]


def test_the_commands_of_the_readme_parse():
    lines = re.findall(r"^    agentrl (.*?)(?:#.*)?$", README.read_text(), re.MULTILINE)
    assert len(lines) >= 7
    for line in lines:
        verb, *arguments = shlex.split(line)
        command = get_command(app).commands[verb]
        command.make_context(verb, arguments)


def test_the_tree_of_the_readme_names_what_exists():
    tree = README.read_text().partition("## The tree")[2].partition("## Results")[0]
    library = ROOT / "agentrl"
    if not library.is_dir():
        pytest.skip("the checkout is not beside the tests: nothing to compare the tree with")
    named = set(re.findall(r"[\w/]+\.py", tree))
    present = {path.name for path in library.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert present <= named


def test_the_example_of_contributing_is_the_file():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    shown = text.partition("## Add an algorithm")[2].partition("```python\n")[2].partition("```")[0]
    code = inspect.getsource(corpo)
    assert "".join(line[3:] or "\n" for line in shown.splitlines(True)).strip() == code.strip()
