"""The parser finds the first tag, says why it did not, and never raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.parsing import tagged
from agentrl.types import Parse

NAMES = ("query", "answer")
PIECES = ["<query>", "</query>", "<answer>", "</answer>", "<", ">", "a", " ", "\n", "<|end|>", "é"]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("<query>SELECT</query>", "query", "SELECT"),
        ("so <answer> :A \n</answer> done", "answer", ":A"),
        ("<query>a</query><answer>b</answer>", "query", "a"),
        ("<answer>b</answer><query>a</query>", "answer", "b"),
        ("<query>?a < ?b && ?c > 1</query>", "query", "?a < ?b && ?c > 1"),
        ("<query><answer>x</answer></query>", "query", "<answer>x</answer>"),
        ("</query><query>a\nb</query>", "query", "a\nb"),
        ("<other>x</other><query>a</query>", "query", "a"),
    ],
)
def test_the_first_tag_is_the_call(text, name, value):
    assert tagged(text, *NAMES) == (Parse.OK, name, value, "")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("", Parse.NO_CALL, "no <query> or <answer>"),
        ("query: SELECT", Parse.NO_CALL, "no <query> or <answer>"),
        ("< query>a</query>", Parse.NO_CALL, "no <query> or <answer>"),
        ("<Query>a</Query>", Parse.NO_CALL, "no <query> or <answer>"),
        ("</query>", Parse.NO_CALL, "no <query> or <answer>"),
        ("so <query>a", Parse.MALFORMED, "<query> at character 3 is not closed"),
        ("<query>a</answer>", Parse.MALFORMED, "<query> at character 0 is not closed"),
        ("<query>a<answer>b</answer>", Parse.MALFORMED, "<query> at character 0 is not closed"),
        ("<query> \n</query>", Parse.MALFORMED, "<query> at character 0 is empty"),
    ],
)
def test_what_is_no_call_has_a_reason(text, status, reason):
    parsed = tagged(text, *NAMES)
    assert (parsed.status, parsed.value, parsed.reason) == (status, "", reason)


def test_names_are_taken_literally():
    assert tagged("<a.b>x</a.b>", "a.b").value == "x"
    assert tagged("<axb>x</axb>", "a.b").status is Parse.NO_CALL


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_text_raises_and_every_answer_is_whole(text):
    parsed = tagged(text, *NAMES)
    assert (parsed.status is Parse.OK) == bool(parsed.value) == (not parsed.reason)
    assert (parsed.status is Parse.NO_CALL) == (not parsed.name)
    assert parsed.name == "" or f"<{parsed.name}>" in text
    assert parsed.value == parsed.value.strip()


@given(st.text(), st.text().filter(lambda text: text.strip() and "</query>" not in text))
def test_what_is_written_is_found(before, content):
    before = before.replace("<", "")
    parsed = tagged(f"{before}<query>{content}</query>", "query")
    assert parsed == (Parse.OK, "query", content.strip(), "")


def test_a_long_text_takes_no_time():
    assert tagged("<query" * 100_000, *NAMES).status is Parse.NO_CALL
    assert tagged("<query>" * 100_000, *NAMES).status is Parse.MALFORMED
