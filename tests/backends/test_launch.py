"""The command line of a vLLM server, without vLLM."""

import importlib.util

import pytest
from runs import cli, one_line

from agentrl.backends.vllm.launch import NAME, Server, flags
from agentrl.cli.serve import read_option
from agentrl.errors import ConfigError, PolicyError


def test_options_become_flags():
    assert flags({"port": 8000, "enforce-eager": True, "seed": None, "trace": False}) == [
        *("--port", "8000"),
        "--enforce-eager",
    ]


def test_what_the_user_gives_counts_more_than_what_we_want():
    command = Server("folder", 8001, options={"generation-config": "auto"}).command()
    assert command[command.index("--generation-config") + 1] == "auto"
    assert command[command.index("--served-model-name") + 1] == NAME
    assert command[command.index("--host") + 1] == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("max_model_len=64", ("max-model-len", "64")),
        ("--enable-lora", ("enable-lora", True)),
        ("dtype=float32", ("dtype", "float32")),
    ],
)
def test_an_option_is_written_as_vllm_names_it(text, option):
    assert read_option(text) == option


def test_an_option_without_a_value_behind_its_sign_is_refused():
    with pytest.raises(ConfigError, match="cannot read the option 'dtype='"):
        read_option("dtype=")


def test_a_machine_without_vllm_is_told_what_to_type(tiny, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, _, message = cli("serve", tiny.folder)
    assert code == 2
    assert "'vllm' is not installed: run `make env-vllm`" in one_line(message)


def test_a_model_that_is_not_there_is_refused_before_anything_starts():
    code, _, message = cli("serve", "no/such/model")
    assert code == 2
    assert "no/such/model" in one_line(message)


def test_a_server_that_ended_is_not_waited_for():
    with pytest.raises(PolicyError, match="ended before it answered"):
        Server("folder", 1).wait(5)
