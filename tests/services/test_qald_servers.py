"""Benchmarks at real SPARQL servers: the same scores as from files, and what a crash costs."""

import json
from pathlib import Path

import pytest
from runs import cli, one_line
from sparql_servers import needs_oxigraph, needs_virtuoso, oxigraph_server, virtuoso_server

from agentrl.backends.scripted import oracle
from agentrl.cli.benchmark import benchmark_run
from agentrl.protocols import Choice
from agentrl.remote import Scripted
from agentrl.types import Status

pytestmark = pytest.mark.service
HERE = Path(__file__).parents[1] / "envs" / "questions"
FILE, GRAPH = HERE / "qald.json", HERE / "graph.ttl"


def evaluated(endpoint, out):
    command = ("eval", "qald", "--file", FILE, "--endpoint", endpoint, "--model", "oracle")
    code, printed, message = cli(*command, "--json", "--out", out)
    assert (code, message) == (0, "")
    return json.loads(printed)


@needs_oxigraph
def test_the_oracle_solves_everything_at_an_oxigraph_server(tmp_path):
    with oxigraph_server([GRAPH]) as url:
        answer = evaluated(url, tmp_path)
    assert (answer["success"], answer["n"], answer["qald_macro_f1"]) == (1.0, 17, 1.0)
    assert (answer["gold"]["same"], answer["gold"]["changed"]) == (16, 1)


@needs_virtuoso
def test_the_oracle_solves_everything_at_a_virtuoso_server(tmp_path):
    with virtuoso_server([GRAPH]) as url:
        answer = evaluated(url, tmp_path)
    assert answer["success"] == answer["qald_macro_f1"] == 1.0
    assert answer["n"] >= 15


@needs_oxigraph
def test_a_crash_of_the_server_is_counted_and_no_zero(tmp_path):
    with oxigraph_server([GRAPH]) as url:
        env = {"id": "agentrl/Qald-v0", "file": str(FILE), "endpoint": url}
        run = benchmark_run(env | {"client": {"retries": 0}}, [], "")
        with Scripted(run) as live:
            tasks = [task for split in ("train", "test") for task in live.env.tasks(split, 99, 0)]
            url.kill()
            choices = [Choice(task, 1) for task in tasks]
            groups = live.play(choices, oracle(live.chat), "eval/0", strategy=live.tested)
            scores = live.env.scores(groups)
    assert {e.main.status for group in groups for e in group.episodes} == {Status.TOOL_FAILED}
    assert (scores["questions"]["failed"], scores["by_type"]) == (17, {})


@needs_oxigraph
def test_a_server_that_is_gone_is_told_in_one_line(tmp_path):
    with oxigraph_server([GRAPH]) as url:
        url.kill()
        command = ("eval", "qald", "--file", FILE, "--endpoint", url, "--model", "oracle")
        code, _, message = cli(*command, "--json", "--out", tmp_path, "env.client.retries=0")
    assert code == 2
    assert url in one_line(message)
