"""Llama: a text that is nothing but calls, as JSON objects or as a Python list of calls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agentrl.calls.base import CallFormat, Pieces
from agentrl.calls.literals import WORD, Json, MalformedError, Python, shown
from agentrl.calls.objects import call_object, written_object
from agentrl.types import ToolCall

TAG = "<|python_tag|>"
NAME = re.compile(rf"{WORD.pattern}(?:\.{WORD.pattern})*+")
OPENING = re.compile(rf"\[\s*+{NAME.pattern}\s*+\(")
"""What makes a list one of calls: other texts begin with a bracket too."""


def read_json(text: str, start: int) -> Pieces:
    """Objects separated by `;`: after the tag, or without it where the text begins with one."""
    reader = Json(text, start)
    if not text.startswith("{", reader.skip()):
        opened = text.find(TAG, start)
        if opened < 0:
            yield text[start:]
            return
        yield text[start:opened]
        reader.at = opened + len(TAG)
    yield call_object(reader)
    while not reader.ended():
        reader.take(";", "the end")
        yield call_object(reader)


def written_json(calls: Sequence[ToolCall]) -> str:
    """Objects on one line, without the tag: only built-in tools have it."""
    return "; ".join(written_object(call, "parameters") for call in calls)


def read_python(text: str, start: int) -> Pieces:
    """The calls of a list that is the whole text."""
    reader = Python(text, start)
    if OPENING.match(text, reader.skip()) is None:
        yield text[start:]
        return
    reader.take("[")
    for _ in reader.series("]"):
        yield python_call(reader)
    if not reader.ended():
        raise reader.expected("the end")


def python_call(reader: Python) -> ToolCall:
    """The call at the cursor; its arguments have names, and literals for values."""
    name = NAME.match(reader.text, reader.at)
    if name is None:
        raise reader.expected("a function's name")
    reader.at = name.end()
    reader.take("(")
    arguments: dict[str, Any] = {}
    for _ in reader.series(")"):
        start, word = reader.at, WORD.match(reader.text, reader.at)
        reader.at = word.end() if word else start
        if word is None or not reader.taken("="):
            raise MalformedError(start, "an argument without a name")
        if word.group() in arguments:
            raise MalformedError(start, f"duplicate argument {shown(word.group())}")
        arguments[word.group()] = reader.value()
    return ToolCall(name.group(), arguments)


def written_python(calls: Sequence[ToolCall]) -> str:
    """A list on one line."""
    lines = [
        f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"
        for call in calls
    ]
    return f"[{', '.join(lines)}]".replace("</think>", r"<\x2fthink>")


LLAMA_JSON = CallFormat("llama_json", read_json, written_json, ids=True)
LLAMA_PYTHONIC = CallFormat("llama_pythonic", read_python, written_python)
