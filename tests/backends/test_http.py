"""A served model: what is sent, what is read, and what a server that misbehaves costs."""

import asyncio
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import cli, one_line, rows
from served import KEY, calls, cut, dribbles, hangs, raw, refuses, says, serving

from agentrl.backends.http import connection as connections
from agentrl.backends.http.answer import Answer, Counted
from agentrl.backends.http.endpoint import Address, Endpoint
from agentrl.backends.http.policy import HTTPPolicy
from agentrl.backends.http.prices import Account, Price
from agentrl.backends.http.textchat import END, TextChat, read
from agentrl.backends.http.wire import ChatWire, CompletionsWire
from agentrl.calls import FORMATS
from agentrl.errors import ConfigError, ContextOverflowError, PolicyError
from agentrl.protocols import Policy
from agentrl.types import (
    Completion,
    Finish,
    Message,
    Parse,
    Sampling,
    Source,
    Span,
    ToolCall,
    Usage,
    join,
)

TALK = (Message("system", "be brief"), Message("user", "say grün"))
ADD = {"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {}}}
SAMPLING = Sampling(temperature=0.5, max_tokens=8, seed=2**40 + 7)
FULL = "This model's maximum context length is 64 tokens. However, you requested 72 tokens"
HERMES = FORMATS["hermes"]


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # reading all certificates costs most here
    with serving(key=KEY) as running:
        yield running


def policy_of(server, *, model="echo", **endpoint):
    return HTTPPolicy(Address.of(f"openai:{server.url}#{model}"), Endpoint(**endpoint))


def run(policy, *contexts, sampling=SAMPLING):
    """The completions after contexts, one after the other."""

    async def ask():
        async with policy:
            return [await policy.complete(context, sampling) for context in contexts]

    return asyncio.run(ask())


def ask(server, context=None, **endpoint):
    """One completion."""
    policy = policy_of(server, **endpoint)
    return run(policy, context or policy.chat.opening(TALK).spans)[0]


def checked(server, **endpoint):
    """A policy whose server was asked before anything is played."""
    policy = policy_of(server, **endpoint)

    async def check():
        async with policy:
            await policy.check(policy.chat.opening(TALK).spans)

    asyncio.run(check())
    return policy


def refused(server, **endpoint):
    """The line that ends an evaluation before it begins."""
    with pytest.raises(ConfigError) as caught:
        checked(server, **endpoint)
    return str(caught.value)


# ---- an answer --------------------------------------------------------------------------------


def test_an_answer_is_its_characters_and_the_servers_counts(server):
    said = ask(server)
    assert (said.text, said.finish, said.policy) == ("grün", Finish.STOP, "main")
    assert said.ids.tolist() == [*map(ord, "grün"), END]
    assert (said.usage, said.num_tokens) == (Usage(100, 2, 0.0), 2)
    assert not said.logprobs.any()


def test_a_request_says_how_to_draw(server):
    ask(server, extra={"top_p": 0.9})
    assert server.bodies == [
        {
            "model": "echo",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "say grün"},
            ],
            "temperature": 0.5,
            "max_tokens": 8,
            "seed": 7,
            "top_p": 0.9,
        }
    ]


def test_a_policy_is_one_and_is_never_trained(server):
    policy: Policy = policy_of(server)
    with policy.seat(), pytest.raises(PolicyError, match="can only be evaluated"):
        policy.load()
    policy.rest()
    policy.close()
    with pytest.raises(PolicyError, match="closed"):
        asyncio.run(policy.complete(policy.chat.opening(TALK).spans, SAMPLING))


def test_a_cut_answer_has_no_end(server):
    server.script.append(says("gr", "length"))
    said = ask(server)
    assert (said.text, said.finish, said.ids.tolist()) == ("gr", Finish.LENGTH, [103, 114])
    server.script.append(says(None, "length"))
    assert ask(server).text == ""


def test_thoughts_kept_by_the_server_leave_an_empty_answer(server):
    server.script.append(says(None, reasoning_content="hm"))
    assert ask(server).ids.tolist() == [END]


def test_a_models_refusal_is_its_answer_and_a_filters_is_an_outcome(server):
    server.script.append(says(None, refusal="I will not."))
    assert ask(server).text == "I will not."
    server.script.append(says("half", "content_filter"))
    with pytest.raises(PolicyError, match="content_filter"):
        ask(server)


# ---- a server in trouble ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        refuses(429, "slow down", Retry_After="0.1"),
        refuses(500, "broken"),
        cut,
        raw(b'{"choices": [', length=500),
    ],
)
def test_trouble_that_passes_costs_nothing(server, trouble):
    server.script.append(trouble)
    assert ask(server).text == "grün"
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "unreadable",
    [
        raw(b"<html>"),
        raw(b'{"choices": ['),
        raw(b'{"choices": [{"finish_reason": "stop", "message": {"content": "\\ud800"}}]}'),
        raw(b'{"choices": [{"finish_reason": "stop", "message": {"content": "\xff"}}]}'),
        lambda *_: {"choices": []},
        lambda *_: {"choices": [{"finish_reason": "stop"}]},
        says(None),
        says("half", None),
        says("half", "abort"),
    ],
)
def test_what_cannot_be_read_is_asked_for_again(server, unreadable):
    server.script.append(unreadable)
    assert ask(server).text == "grün"
    assert len(server.bodies) == 2


def test_a_server_that_never_answers_readably_is_told_in_a_sentence(server):
    server.usual = raw(b'{"error": "out of memory"}')
    with pytest.raises(PolicyError, match=r"3 times what is no completion: choices.*out of"):
        ask(server)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("silent", [hangs, dribbles])
def test_no_answer_is_waited_for_without_end(server, silent):
    server.usual = silent
    with pytest.raises(PolicyError, match=r"Timeout|did not answer within 0\.3 s"):
        ask(server, timeout_seconds=0.3, patience_seconds=0)


def test_a_server_that_is_gone_is_tried_once_a_request_until_it_is_back(server):
    policy = policy_of(server, patience_seconds=0.5)
    context = policy.chat.opening(TALK).spans

    async def story():
        async with policy:
            server.stop()
            for _ in range(2):
                with pytest.raises(PolicyError, match="ConnectError"):
                    await policy.complete(context, SAMPLING)
                assert policy.connection.gone
            server.start()
            return await policy.complete(context, SAMPLING), policy.connection.gone

    said, gone = asyncio.run(story())
    assert (said.text, gone) == ("grün", False)


def test_patience_outlasts_the_clients_repeats(server, monkeypatch, caplog):
    monkeypatch.setattr(connections, "REPEATS", 0)
    monkeypatch.setattr(connections, "PAUSE", 0.05)
    server.script.extend([refuses(503, "loading")] * 6)
    assert ask(server).text == "grün"
    assert caplog.messages == [f"{server.url}: 503: loading: waiting, up to 300 s"]
    server.usual = refuses(503, "loading")
    with pytest.raises(PolicyError, match="503: loading"):
        ask(server, patience_seconds=0.1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_repeated(server, status):
    server.script.append(refuses(status, "not like this", "some_code"))
    with pytest.raises(PolicyError, match=f"{status}: not like this"):
        ask(server)
    assert len(server.bodies) == 1


def test_waiting_mends_no_empty_account():
    class Error(connections.APIError):
        code, status_code = "insufficient_quota", 429

        def __init__(self):
            pass

    assert not connections.passes(Error())


# ---- contexts that are too long ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (FULL, None),
        ("too much", "context_length_exceeded"),
        ("the request exceeds the available context size", None),
        ("The decoder prompt is longer than the maximum model length of 64", None),
    ],
)
def test_a_context_that_is_too_long_says_so(server, message, code):
    server.script.extend([refuses(400, message, code)] * 2)
    with pytest.raises(ContextOverflowError):
        ask(server)


def test_a_completion_takes_the_room_that_is_left(server):
    server.script.extend([refuses(400, FULL), says("gr", "length")])
    assert ask(server).finish is Finish.LENGTH
    assert [body.get("max_tokens") for body in server.bodies] == [8, None]


# ---- conversations as characters --------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | WORDS, st.lists, max_leaves=4)
CALLS = st.builds(ToolCall, WORDS, st.dictionaries(WORDS, JSON, max_size=2), st.just("call00001"))
MESSAGES = st.builds(
    Message, WORDS, WORDS, WORDS, st.lists(CALLS, max_size=2).map(tuple), WORDS, WORDS
)


@given(st.lists(MESSAGES, max_size=4), st.lists(st.dictionaries(WORDS, JSON), max_size=2), WORDS)
def test_messages_come_back_from_the_ledger(messages, tools, text):
    chat = TextChat()
    dialogue = chat.opening(messages, tools)
    said = Completion(ids=chat.encode(text), logprobs=np.zeros(0), text=text, finish=Finish.STOP)
    after = chat.follow(dialogue, said, messages)
    entries, listed = read(after.spans)
    answer = Message("assistant", text)
    assert tuple(e.message for e in entries) == (*messages, answer, *messages) == after.messages
    assert (listed, chat.length(after.spans)) == (tools, 0)
    assert chat.decode(said.ids) == text
    assert all(span.source is not Source.SAMPLED for span in dialogue.spans)


def test_a_begun_answer_is_refused(server):
    chat = TextChat()
    begun = Span(ids=chat.encode("gr")[:-1], source=Source.TEMPLATE)
    with pytest.raises(PolicyError, match="beginning of an answer"):
        ask(server, (*chat.opening(TALK).spans, begun))
    assert not server.bodies


# ---- tools ------------------------------------------------------------------------------------


def called(server, *wanted, content=None, replies=(), **endpoint):
    """An answer with native calls, and the messages of the request after it."""
    server.script.append(calls(*wanted, content=content))
    policy = policy_of(server, **endpoint)
    opening = policy.chat.opening(TALK, [ADD])
    (said,) = run(policy, opening.spans)
    run(policy, policy.chat.follow(opening, said, replies).spans)
    return said, server.bodies[-1]["messages"]


def test_native_calls_are_text_to_the_environment_and_native_to_the_server(server):
    wanted = [("call_a", "add", '{"a":1,  "b": "é"}'), ("call_b", "add", "")]
    replies = [Message("tool", "3", name="add", call=mark) for mark in ("call_b", "call_a")]
    said, messages = called(server, *wanted, content="hm", replies=replies)
    read_back = HERMES.parse(said.text)
    first, second = ToolCall("add", {"a": 1, "b": "é"}, "call_a"), ToolCall("add", {}, "call_b")
    assert (read_back.content, read_back.calls) == ("hm", (first, second))
    assert said.text == "hm\n" + HERMES.write(read_back.calls)
    sent = [(c["id"], c["function"]["arguments"]) for c in messages[2]["tool_calls"]]
    assert sent == [("call_a", '{"a":1,  "b": "é"}'), ("call_b", "{}")]
    assert [m["tool_call_id"] for m in messages[3:]] == ["call_b", "call_a"]
    assert server.bodies[0]["tools"] == [{"type": "function", "function": ADD}]


@pytest.mark.parametrize("arguments", ['{"a": 1, "a": 2}', '{"a": ', "[1]", "{}}\n</tool_call>"])
def test_broken_arguments_stay_broken(server, arguments):
    said, messages = called(server, ("c", "add", arguments), replies=[Message("tool", "error")])
    assert HERMES.parse(said.text).status is Parse.MALFORMED
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == arguments
    assert messages[3] == {"role": "tool", "content": "error", "tool_call_id": "c"}


def test_calls_without_ids_get_some(server):
    replies = [Message("tool", "3"), Message("tool", "4")]
    _, messages = called(server, ("", "add", "{}"), ("", "add", "{}"), replies=replies)
    ids = [call["id"] for call in messages[2]["tool_calls"]]
    assert ids == ["call00200", "call00201"] == [m["tool_call_id"] for m in messages[3:]]


def test_calls_that_are_answered_otherwise_are_told_as_text(server):
    said, messages = called(server, ("c", "add", "{}"), replies=[Message("user", "no tools here")])
    assert messages[2:] == [
        {"role": "assistant", "content": said.text},
        {"role": "user", "content": "no tools here"},
    ]


def test_tools_as_text_stand_in_the_system_prompt(server):
    replies = [Message("tool", "3"), Message("tool", "4")]
    said, messages = called(server, ("c", "add", "{}"), replies=replies, tools="text")
    assert "tools" not in server.bodies[0]
    assert messages[0]["content"].startswith("be brief\n\n")
    assert json.dumps(ADD) in messages[0]["content"]
    results = "<tool_response>\n3\n</tool_response>\n<tool_response>\n4\n</tool_response>"
    assert messages[2:] == [
        {"role": "assistant", "content": said.text},
        {"role": "user", "content": results},
    ]


# ---- completions ------------------------------------------------------------------------------


def chosen(**fields):
    """An answer of the completions interface."""
    choice = {"index": 0, "finish_reason": "stop", "text": "red", **fields}
    return lambda *_: {"choices": [choice]}


def test_token_ids_and_logprobs_are_the_servers(server, tiny):
    ids = tiny.chat.encode("red green")
    logprobs = {"token_logprobs": [-0.5] * len(ids)}
    server.script.append(chosen(token_ids=ids.tolist(), logprobs=logprobs, text="another"))
    context = tiny.chat.opening(TALK[1:]).spans
    said = ask(server, context, mode="completions", tokenizer=tiny.folder)
    assert (said.ids.tolist(), said.text) == (ids.tolist(), "red green")
    assert said.logprobs.tolist() == [-0.5] * len(ids)
    assert server.requests[0][0] == "/v1/completions"
    assert server.bodies[0]["prompt"] == join(context).tolist()
    assert server.bodies[0]["stop_token_ids"] == sorted(tiny.chat.end_ids)


def test_a_server_without_ids_gives_text(server, tiny):
    server.script.extend([chosen(), chosen(finish_reason="length")])
    context = tiny.chat.opening(TALK[1:]).spans
    whole, cut_off = run(
        policy_of(server, mode="completions", tokenizer=tiny.folder), context, context
    )
    assert whole.ids.tolist() == tiny.chat.encode("red").tolist()
    assert cut_off.ids.tolist() == tiny.chat.encode("red")[:-1].tolist()


def test_a_completion_ends_where_the_window_does(tiny):
    wire = CompletionsWire(tiny.chat)
    context = tiny.chat.opening(TALK[1:]).spans
    wire.window = wire.size(context) + 3
    assert wire.body(context, SAMPLING)["max_tokens"] == 3
    wire.window -= 3
    with pytest.raises(ContextOverflowError, match="the model reads"):
        wire.body(context, SAMPLING)


def test_ids_without_their_logprobs_are_no_answer(tiny):
    told = chosen(token_ids=[1, 2], logprobs={"token_logprobs": [-1.0]})()
    with pytest.raises(ValueError, match="2 token ids and 1 log-probs"):
        CompletionsWire(tiny.chat).completion(Answer.model_validate(told))


# ---- before anything is played ----------------------------------------------------------------


def test_the_only_model_needs_no_name(server):
    assert checked(server, model="").address.name == "echo"
    server.names = ("one", "two")
    assert "has one, two: write openai:URL#NAME" in refused(server, model="")


def test_a_wrong_key_is_found_first_and_never_told(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mistyped")
    told = refused(server)
    assert "refuses the key in OPENAI_API_KEY (401: Incorrect API key" in told
    assert "sk-mistyped" not in told
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "wants a key: put it in OPENAI_API_KEY" in refused(server)
    assert not server.bodies


def test_an_unknown_model_is_named_with_the_known_ones(server):
    server.script.append(refuses(404, "The model `echa` does not exist"))
    told = refused(server, model="echa")
    assert "no model 'echa' (404: The model `echa` does not exist), but echo" in told


def test_what_every_request_asks_is_asked_first(server):
    server.script.append(refuses(400, '"auto" tool choice requires --enable-auto-tool-choice'))
    assert "refuses a request to 'echo' (400: \"auto\" tool choice" in refused(server)
    server.script.append(raw(b"<html>"))
    assert "is it an OpenAI-compatible server?" in refused(server)


def test_an_address_where_nobody_is(server, monkeypatch):
    monkeypatch.setattr(connections, "REPEATS", 1)
    server.stop()
    assert f"no server at {server.url} (ConnectError" in refused(server)
    server.start()


def test_requests_are_written_as_the_server_knows_them(server, caplog):
    server.script.append(refuses(400, "Use 'max_completion_tokens' instead of 'max_tokens'"))
    server.script.append(refuses(400, "unknown field: seed"))
    checked(server)
    assert {"max_completion_tokens", "seed", "max_tokens"} & set(server.bodies[-1]) == {
        "max_completion_tokens"
    }
    assert "does not know 'seed'" in caplog.text
    assert not ChatWire(native=True).adapt("something else")


@pytest.mark.parametrize("message", [FULL, "model output limit was reached"])
def test_a_full_window_is_no_reason_not_to_begin(server, message):
    server.script.append(refuses(400, message))
    checked(server)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("openai:http://host:8000", "http://host:8000/v1"),
        ("openai:http://host:8000/v1/#m", "http://host:8000/v1"),
        ("openai:https://host/team#m", "https://host/team/v1"),
        ("openai:https://host/v1beta/openai/#m", "https://host/v1beta/openai"),
    ],
)
def test_addresses(text, url):
    assert Address.of(text).url == url


@pytest.mark.parametrize("text", ["openai:host#m", "openai:ftp://host", "openai:http://u:pw@h/v1"])
def test_no_addresses(text):
    with pytest.raises(ConfigError) as caught:
        Address.of(text)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds is 0: give a number above 0"),
        ({"patience_seconds": -1}, "patience_seconds is -1: give 0 or more"),
        ({"dollars": 1.0}, "needs prices=FILE"),
        ({"mode": "completions"}, "needs tokenizer=FOLDER"),
        ({"tokenizer": "x"}, "needs tokenizer=FOLDER"),
    ],
)
def test_endpoints_that_cannot_be(settings, told):
    with pytest.raises(ConfigError, match=told):
        Endpoint(**settings)


# ---- limits -----------------------------------------------------------------------------------


def test_requests_are_spaced_over_the_whole_evaluation(server):
    policy = policy_of(server, requests_per_minute=1200, tokens_per_minute=1e6)
    started = time.monotonic()
    run(policy, *[policy.chat.opening(TALK).spans] * 5)
    assert time.monotonic() - started > 0.19  # four times 0.05 s, and never sooner


def test_prices_are_the_users(tmp_path, server):
    prices = tmp_path / "prices.yaml"
    prices.write_text("echo: {input: 2, output: 10, cached: 0.5}\n")
    said = ask(server, prices=str(prices))
    assert said.usage.dollars == pytest.approx((100 * 2 + 2 * 10) / 1e6)
    counted = Counted(prompt_tokens=10, prompt_tokens_details={"cached_tokens": 4})
    assert Price(input=2, output=10, cached=0.5).dollars(counted) == pytest.approx(14e-6)
    assert Price(input=2, output=10).dollars(counted) == pytest.approx(20e-6)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("other: {input: 1, output: 1}", "no price for 'echo': known: other"),
        ("echo: {input: 1}", "echo.output: Field required"),
        ("echo: {input: -1, output: 1}", "echo.input"),
        ("echo: {input: 1, output: 1, per: token}", "echo.per"),
        ("- 1", "US dollars per million tokens"),
        ("{", "give a YAML file"),
    ],
)
def test_prices_that_cannot_be(tmp_path, server, text, told):
    prices = tmp_path / "prices.yaml"
    prices.write_text(text)
    with pytest.raises(ConfigError, match=told):
        policy_of(server, prices=str(prices))


def test_the_cost_limit_refuses_what_was_not_sent():
    account = Account(Price(input=1e6, output=0), limit=1.0)
    account.admit()
    account.charge(Counted(prompt_tokens=1))
    with pytest.raises(PolicyError, match=r"limit of \$1 is reached"):
        account.admit()
    assert (account.refused, account.as_dict()["dollars"]) == (1, 1.0)


# ---- agentrl eval -----------------------------------------------------------------------------


def evaluated(server, *arguments):
    """The answer of `agentrl eval --json`."""
    model = f"openai:{server.url}#echo"
    code, printed, message = cli("eval", "echo", "--model", model, *arguments, "--json")
    assert (code, message) == (0, "")
    assert KEY not in printed
    return json.loads(printed)


def test_an_evaluation_over_http(server, tmp_path):
    records = tmp_path / "records.jsonl"
    answer = evaluated(server, "--tasks", 6, "--attempts", 2, "--records", records)
    assert (answer["success"], answer["n"], answer["skipped"]) == (1.0, 6, 0)
    assert answer["model"] == f"openai:{server.url}#echo"
    spent = {"requests": 13, "prompt_tokens": 1300, "completion_tokens": 26, "dollars": None}
    assert answer["usage"] == spent
    attempts = rows(records)
    assert [len(attempts), attempts[0]["turns"][0]["usage"]] == [12, [100, 2, 0.0]]
    assert KEY not in records.read_text()


def test_an_evaluation_reads_as_a_line(server):
    model = f"openai:{server.url}"
    _, printed, _ = cli("eval", "echo", "--model", model, "--tasks", 2)
    assert one_line(printed).endswith(
        f"model {model}#echo, 3 requests, 300 + 6 tokens, cost unknown (no prices given)"
    )


def test_a_restart_in_the_middle_loses_nothing(server):
    def restart():
        server.stop()
        server.start()

    def crash(*request):
        threading.Thread(target=restart).start()
        hangs(*request)

    server.script.extend([*[lambda *_: {}] * 9, crash])
    answer = evaluated(server, "--tasks", 32, "--endpoint", "concurrency=4")
    assert (answer["success"], answer["n"], answer["skipped"]) == (1.0, 32, 0)
    assert len(server.requests) > answer["usage"]["requests"]  # one was cut and asked again


def test_failures_are_skipped_with_their_reason(server):
    server.script.extend([says("red"), says("half", "content_filter")])
    asked = ["--tasks", 4, "--endpoint", "concurrency=1"]
    answer = evaluated(server, *asked)
    assert (answer["skipped"], answer["unplayed"], answer["n"]) == (1, 0, 3)
    assert "content_filter" in answer["reason"]


def test_a_full_window_is_a_limit_of_the_episode(server, tmp_path):
    server.script.extend([says("red"), *[refuses(400, FULL)] * 2])
    records = tmp_path / "records.jsonl"
    evaluated(server, "--tasks", 1, "--endpoint", "concurrency=1", "--records", records)
    assert [row["status"] for row in rows(records)] == ["context_limit"]


def test_the_cost_limit_ends_an_evaluation(server, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("echo: {input: 10000, output: 0}\n")  # a dollar per request
    settings = ["concurrency=1", "dollars=4", f"prices={prices}"]
    options = [word for setting in settings for word in ("--endpoint", setting)]
    answer = evaluated(server, "--tasks", 8, *options)
    assert (answer["n"], answer["skipped"], answer["unplayed"]) == (3, 5, 5)
    assert (answer["success"], answer["usage"]["dollars"]) == (1.0, 4.0)
    model = f"openai:{server.url}#echo"
    _, printed, _ = cli("eval", "echo", "--model", model, "--tasks", 8, *options)
    assert "5 attempts skipped (5 for the cost limit)" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--endpoint", "mode=completion"], "'chat' or 'completions'"),
        (["--endpoint", "patience=3"], "did you mean 'patience_seconds'?"),
        (["--endpoint", "patience"], "write key=value"),
        (["--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--player", "oracle"], "leave out one of the two"),
    ],
)
def test_bad_options_are_one_line(server, arguments, told):
    model = f"openai:{server.url}#echo"
    code, printed, message = cli("eval", "echo", "--model", model, *arguments)
    assert (code, printed) == (2, "")
    assert told in one_line(message)
    assert not server.requests


def test_a_wrong_key_is_one_line(server, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", "sk-mistyped")
    model = f"openai:{server.url}#echo"
    code, printed, message = cli("eval", "echo", "--model", model, "--api-key-env", "MY_KEY")
    assert (code, printed) == (2, "")
    assert "refuses the key in MY_KEY" in one_line(message)
    assert "sk-mistyped" not in message


def test_how_a_server_is_asked_needs_a_server():
    code, _, message = cli("eval", "echo", "--endpoint", "mode=chat")
    assert code == 2
    assert "give --model openai:URL" in one_line(message)


@pytest.mark.parametrize("package", ["openai", "aiolimiter"])
def test_a_missing_package_names_its_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for module in ("policy", "connection"):
        monkeypatch.delitem(sys.modules, f"agentrl.backends.http.{module}")
    code, _, message = cli("eval", "echo", "--model", "openai:http://127.0.0.1:9#echo")
    assert code == 2
    assert f"{package!r} is not installed: run `pip install 'agentrl[http]'`" in one_line(message)


def test_a_served_model_needs_no_torch():
    code = "import sys, agentrl.remote, agentrl.backends.http.policy; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
