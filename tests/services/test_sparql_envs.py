"""One environment, four homes of its graph; and no episode is lost when an endpoint breaks.

The third-party servers are oxigraph's binary and Virtuoso; the endpoint that breaks is scripted: a
real HTTP server on loopback that answers from a store until it is told how not to.
"""

import asyncio
import contextlib
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyoxigraph
import pytest
from sparql_servers import needs_oxigraph, needs_virtuoso, oxigraph_server, virtuoso_server

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.backends import scripted
from agentrl.env import make
from agentrl.envs.sparql.graph import knowledge_graph
from agentrl.envs.sparql.graph_env import LOOK_UPS
from agentrl.protocols import Choice
from agentrl.rollout import Rollout
from agentrl.stage import EnvPool
from agentrl.strategies import independent
from agentrl.types import Status

pytestmark = pytest.mark.service
GRAPH = {"triples": 800, "renamed": 0.4}
LIMITS = Limits(turn_tokens=2000, trajectory_tokens=10_000, context_tokens=20_000)


def sparql(**settings):
    return make("agentrl/Sparql-v0", **GRAPH, **settings)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The generated graph as a Turtle file."""
    path = tmp_path_factory.mktemp("graph") / "graph.ttl"
    path.write_text(knowledge_graph(0, 800, 0.4).turtle())
    return path


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(oxigraph_server, marks=needs_oxigraph, id="oxigraph"),
        pytest.param(virtuoso_server, marks=needs_virtuoso, id="virtuoso"),
    ],
)
def server(request, file):
    with request.param([file]) as address:
        yield str(address)


def episode(env, task, speak):
    """All that is said and seen in an episode, errors by their first word."""
    seen = [env.reset(seed=task.seed, options={"task": task})]
    over = False
    while not over:
        said = speak(env)
        text, reward, terminated, truncated, info = env.step(said)
        seen.append((said, text.split(":")[0] if "Error" in text else text, reward, info))
        over = terminated or truncated
    return seen


def episodes(count=40, **settings):
    """Episodes of the oracle and of the expert."""
    env, rng = sparql(**settings), np.random.default_rng(0)
    tasks = env.tasks("train", count, 0)
    speakers = (lambda env: env.oracle(), lambda env: env.expert(rng))
    return [episode(env, task, speak) for speak in speakers for task in tasks]


@pytest.mark.parametrize(
    "settings",
    [
        {"reasoning": True, "expert_slip": 0.2, "expert_retry": 0.6},
        {"linking": "search", "actions": LOOK_UPS},
        {"one_query": True},
    ],
)
def test_the_same_environment_plays_the_same_episodes_elsewhere(server, file, settings):
    here = episodes(**settings)
    assert episodes(endpoint=server, **settings) == here
    assert episodes(endpoint=[str(file)], **settings) == here


@pytest.mark.parametrize("name", ["Nobody", "City", 'a "quoted" name', "Zürich \\u0022 }"])
def test_look_ups_find_the_same_everywhere(server, name):
    seen = []
    for endpoint in (None, server):
        env = sparql(endpoint=endpoint, actions=LOOK_UPS, max_rows=200)
        env.reset(seed=0)
        shown = env.step(f"<entity>{name}</entity>")[0]
        seen.append(sorted(shown.splitlines()))
    assert seen[0] == seen[1]


def test_a_server_s_errors_are_observations(server):
    env = sparql(endpoint=server)
    env.reset(seed=0)
    shown, _, done, _, info = env.step("<query>SELECT ?x WHERE { :a :b</query>")
    assert (shown[:7], done, info["parts"]["executed"]) == ("Error: ", False, 0.0)
    assert "line " in shown or "at 1:" in shown


# ---- many at once -------------------------------------------------------------------------------


def rollout(tiny, tasks, cast=scripted.oracle, *, deadline=30.0, **settings):
    """The main trajectories of one episode for each task, all at once."""
    pool = EnvPool(partial(sparql, **settings), deadline)
    playing = Rollout(pool=pool, agent=ChatAgent(LIMITS), concurrency=64)
    choices = [Choice(task, 1) for task in tasks]
    groups = asyncio.run(playing.groups(choices, cast(tiny.chat), seed=0, strategy=independent))
    pool.close()
    return [episode.main for group in groups for episode in group.episodes]


def test_64_episodes_at_once(server, tiny):
    tasks = sparql().tasks("train", 64, 0)
    played = rollout(tiny, tasks, endpoint=server)
    assert [trajectory.status for trajectory in played] == [Status.COMPLETED] * 64
    assert all(trajectory.success for trajectory in played)


# ---- an endpoint that breaks --------------------------------------------------------------------

JSON = "application/sparql-results+json"


class Breaking(ThreadingHTTPServer):
    """Answers queries over a graph; after `fine` of them, `broken` in the way of `mode`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, turtle, mode, fine, broken):
        super().__init__(("127.0.0.1", 0), Answer)
        self.store = pyoxigraph.Store()
        self.store.bulk_load(turtle.encode(), format=pyoxigraph.RdfFormat.TURTLE)
        self.mode, self.fine, self.broken = mode, fine, broken
        self.lock = threading.Lock()
        self.asked = 0

    def handle_error(self, request, client_address):
        """A client that hung up is what some of these tests are about."""

    def next_mode(self):
        """How the next request is answered."""
        with self.lock:
            self.asked += 1
            wrong = self.fine < self.asked <= self.fine + self.broken
            return self.mode if wrong else "fine"


class Answer(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *_):
        """Nothing on the terminal."""

    def do_GET(self):
        self.answer(parse_qs(urlsplit(self.path).query)["query"][0])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(parse_qs(body).get("query", [body])[0])

    def answer(self, query):
        """The right answer, spoilt as the server's mode says."""
        mode = self.server.next_mode()
        result = self.server.store.query(query)
        body = result.serialize(format=pyoxigraph.QueryResultsFormat.JSON)
        if mode == "gone":
            self.connection.close()
        elif mode == "slow":
            time.sleep(1.5)
            self.send(200, body)
        elif mode == "html":
            self.send(200, b"<html><body>Maintenance</body></html>", "text/html")
        elif mode == "429":
            self.send(429, b"slow down", "text/plain", {"Retry-After": "0"})
        elif mode == "429 for an hour":
            self.send(429, b"slow down", "text/plain", {"Retry-After": "3600"})
        elif mode == "503":
            self.send(503, b"overloaded", "text/plain")
        elif mode == "truncated":
            self.send(200, body[: len(body) // 2])
        elif mode == "charset":
            self.send(200, body.decode().encode("utf-16"), f"{JSON}; charset=utf-8")
        else:
            self.send(200, body)

    def send(self, status, body, kind=JSON, headers=()):
        with contextlib.suppress(OSError):  # the client has given up
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": len(body),
                **dict(headers),
            }.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)


@contextlib.contextmanager
def breaking(mode, fine, broken):
    """The URL of an endpoint that breaks."""
    server = Breaking(knowledge_graph(0, 800, 0.4).turtle(), mode, fine, broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/sparql"
    finally:
        server.shutdown()
        server.server_close()


CLIENT = {"retries": 3, "backoff_seconds": 0.01}
MODES = ["gone", "slow", "html", "429", "429 for an hour", "503", "truncated", "charset"]
SUSPECT = ["slow", "html"]
"""What a single query can be the reason for, while the endpoint answers others."""
FOREVER = 10**9


def asked(tiny, mode, fine, broken, count=12):
    """The trajectories of as many oracles at an endpoint that breaks."""
    tasks = sparql().tasks("train", count, 0)
    with breaking(mode, fine, broken) as url:
        return rollout(tiny, tasks, endpoint=url, client=CLIENT, query_seconds=0.5)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in SUSPECT])
def test_an_endpoint_that_stays_broken_is_every_later_episode_s_reason(tiny, mode):
    played = asked(tiny, mode, fine=4, broken=FOREVER)
    told = [one for one in played if one.status is Status.TOOL_FAILED]
    assert all(one.success for one in played if one not in told)
    assert len(told) == 8
    assert all(one.error.startswith("http://127.0.0.1:") for one in told)
    assert not any(one.success for one in told)


@pytest.mark.parametrize("mode", SUSPECT)
def test_what_may_be_the_query_s_fault_is_told_to_the_agent_or_fails_the_episode(tiny, mode):
    played = asked(tiny, mode, fine=4, broken=FOREVER)
    told = [one for one in played if any("Error: " in turn.reply for turn in one.turns)]
    failed = [one for one in played if one.status is Status.TOOL_FAILED]
    assert len(told) + len(failed) == 8
    assert all(one.error.startswith("http://127.0.0.1:") for one in failed)


@pytest.mark.parametrize("mode", [mode for mode in MODES if "hour" not in mode])
def test_an_endpoint_that_comes_back_costs_nothing(tiny, mode):
    played = asked(tiny, mode, fine=4, broken=3)
    assert len(played) == 12
    assert all(one.success for one in played)


def test_an_hour_is_not_waited_for_but_told(tiny):
    played = asked(tiny, "429 for an hour", fine=4, broken=1)
    failed = [one for one in played if not one.success]
    assert [one.status for one in failed] == [Status.TOOL_FAILED]
    assert "3600" in failed[0].error


@needs_oxigraph
def test_a_server_killed_in_the_middle_and_started_again(tiny, file):
    tasks = sparql().tasks("train", 16, 0)
    settings = {"client": {"retries": 1, "backoff_seconds": 0.01}}
    with oxigraph_server([file]) as address:
        before = rollout(tiny, tasks, endpoint=str(address), **settings)
        address.kill()
        during = rollout(tiny, tasks, endpoint=str(address), **settings)
        address.start()
        after = rollout(tiny, tasks, endpoint=str(address), **settings)
    assert all(one.success for one in before + after)
    assert {one.status for one in during} == {Status.TOOL_FAILED}
    assert all("does not answer" in one.error for one in during)
