"""What cannot be imported is named, with what mends it; and foreign errors get our names."""

import importlib.util
import sys

import pytest

from agentrl import errors
from agentrl.env import env_class, make, register
from agentrl.envs.sparql import Sparql
from agentrl.errors import AgentRLError, ConfigError, MissingDependencyError, PolicyError, boundary


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def test_an_environment_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as caught:
        Sparql(triples=300, error_chars=161)
    assert str(caught.value) == (
        "the package 'pyoxigraph' is not installed: run `pip install \"agentrl[sparql]\"`"
    )
    assert isinstance(caught.value, ConfigError)


def test_an_argument_that_an_environment_does_not_take_is_told_the_closest():
    with pytest.raises(ConfigError, match="unknown key 'sizes' for Sudoku: did you mean 'size'"):
        make("agentrl/Sudoku-v0", sizes=4)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"cannot import 'no_module' .*is it on PYTHONPATH"):
        make("no_module:agentrl/Echo-v0")


def test_a_module_that_misses_a_package_names_the_package(module):
    module("needs_more", "import a_missing_package")
    with pytest.raises(ConfigError, match=r"cannot import 'needs_more' .*'a_missing_package'"):
        env_class("needs_more:Mine-v0")


def test_a_module_that_registers_nothing_is_told_the_known_ids(module):
    module("registers_nothing", "")
    with pytest.raises(ConfigError, match=r"unknown environment 'registers_nothing:agentrl/Ecoh"):
        env_class("registers_nothing:agentrl/Ecoh-v0")


def test_a_module_may_register_its_environment(module):
    code = "from agentrl.env import register\nfrom agentrl.envs.echo import Echo\n"
    module("registers_mine", code + "register('Mine-v0', Echo, turns=2)\n")
    assert make("registers_mine:Mine-v0").max_turns == 2


def test_an_unknown_environment_is_told_the_closest():
    with pytest.raises(ConfigError, match="did you mean 'agentrl/Sudoku-v0'"):
        make("agentrl/Sudoko-v0")


def test_an_environment_that_speaks_no_text_is_refused():
    with pytest.raises(ConfigError, match="'CartPole-v1' is not a TextEnv"):
        make("CartPole-v1")


def test_an_entry_point_that_is_no_class_is_refused():
    register("Lambda-v0", lambda: None)
    with pytest.raises(ConfigError, match="'Lambda-v0' is not registered with a class"):
        make("Lambda-v0")


def test_a_boundary_names_what_was_done_and_keeps_the_cause():
    said = pytest.raises(PolicyError, match="loading: ZeroDivisionError: ")
    with said as caught, boundary(PolicyError, "loading"):
        _ = 1 / 0
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("error", [ConfigError("ours"), KeyboardInterrupt(), SystemExit()])
def test_a_boundary_leaves_our_errors_and_interrupts_alone(error):
    with pytest.raises(type(error)) as caught, boundary(PolicyError, "loading"):
        raise error
    assert caught.value is error


def test_every_error_is_ours_and_drawn():
    ours = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert all(issubclass(error, AgentRLError) for error in ours)
    assert all(error.__name__ in errors.__doc__ for error in ours)
