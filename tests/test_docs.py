"""The README's code runs, and its commands and files exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from agentrl.cli.main import app

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.is_file(), reason="the README is not beside the tests")
SHORTER = {
    '"episodes": 512, "steps": 100': '"episodes": 8, "steps": 2, "batch": 4',
    '"steps": 60, "train_tasks": 512': '"steps": 1, "train_tasks": 8',
    "First-v0": "Readme-v0",
}


def test_the_environment_of_the_readme_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    for long, short in SHORTER.items():
        assert long in code
        code = code.replace(long, short)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert (tmp_path / "runs/first/summary.json").is_file()


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
