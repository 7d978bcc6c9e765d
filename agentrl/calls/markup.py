"""Calls that are marked text: XML tags, fenced code, and the plain text that never calls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from agentrl.calls.base import CallFormat, Pieces
from agentrl.calls.literals import MalformedError
from agentrl.errors import ConfigError, DataError
from agentrl.types import ToolCall

FENCE = re.compile(r"^ {0,3}(`{3,}+)([^`\n]*+)$", re.MULTILINE)
TAG = re.compile(r"[A-Za-z_][\w.-]*+", re.ASCII)


def xml(*names: str) -> CallFormat:
    """Tags of these names; the call's name is the tag, its argument `content` the text in it.

    The text is stripped and goes on to the first closing tag, whatever else it holds; an empty one
    is MALFORMED. `<think>` is thinking in every format.

    Raises:
        ConfigError: no names, or one that is no tag.
    """
    wrong = [name for name in names if not TAG.fullmatch(name) or name == "think"]
    if wrong or not names:
        raise ConfigError(f"cannot call by the tags {wrong}: name them as in xml('search')")
    opening = re.compile(f"<({'|'.join(map(re.escape, names))})>")
    return CallFormat("xml", partial(read_tags, opening=opening), written_tags)


def read_tags(text: str, start: int, *, opening: re.Pattern[str]) -> Pieces:
    """The tags, and the text around them."""
    while opened := opening.search(text, start):
        yield text[start : opened.start()]
        name, closing = opened.group(1), f"</{opened.group(1)}>"
        end = text.find(closing, opened.end())
        if end < 0:
            raise MalformedError(opened.start(), f"<{name}> is not closed")
        content = text[opened.end() : end].strip()
        if not content:
            raise MalformedError(opened.start(), f"<{name}> is empty")
        yield ToolCall(name, {"content": content})
        start = end + len(closing)
    yield text[start:]


def written_tags(calls: Sequence[ToolCall]) -> str:
    """One tag per line."""
    return "\n".join(f"<{call.name}>{only(call, 'content')}</{call.name}>" for call in calls)


def fenced(*languages: str) -> CallFormat:
    """Code blocks of these languages (none named: of any); the call is the language, with `code`.

    As in Markdown a fence begins its line, and one of at least as many backticks ends the block.
    Blocks of no language, or of another one, are content. The code is kept as it stands.
    """
    return CallFormat("fenced", partial(read_fences, languages=languages), written_fences)


def read_fences(text: str, start: int, *, languages: Sequence[str]) -> Pieces:
    """The blocks, and the text around them."""
    rest, outside = text[start:], 0  # a fence may follow a thought on its line
    opened: re.Match[str] | None = None
    for fence in FENCE.finditer(rest):
        if opened is None:
            opened = fence
        elif not fence.group(2).strip() and len(fence.group(1)) >= len(opened.group(1)):
            if language := language_of(opened, languages, start):
                code = rest[opened.end() + 1 : fence.start() - 1]
                if not code.strip():
                    raise MalformedError(start + opened.start(), f"the {language} block is empty")
                yield rest[outside : opened.start()]
                yield ToolCall(language, {"code": code})
                outside = fence.end()
            opened = None
    if opened and (language := language_of(opened, languages, start)):
        raise MalformedError(start + opened.start(), f"the {language} block is not closed")
    yield rest[outside:]


def language_of(opened: re.Match[str], languages: Sequence[str], start: int) -> str:
    """The language of a block that is a call, "" for one that is content."""
    language, *more = opened.group(2).split() or [""]
    if not language or (languages and language not in languages):
        return ""
    if more:
        raise MalformedError(start + opened.start(), f"more than the language {language} is named")
    return language


def written_fences(calls: Sequence[ToolCall]) -> str:
    """Blocks whose fence is longer than any in the code."""
    return "\n".join(map(written_fence, calls))


def written_fence(call: ToolCall) -> str:
    """One block."""
    code = only(call, "code")
    ticks = "`" * max(3, *(len(run) + 1 for run in ["", *re.findall("`+", code)]))
    return f"{ticks}{call.name}\n{code}\n{ticks}"


def only(call: ToolCall, name: str) -> str:
    """The one argument of a call that has no other. Raises: DataError."""
    if set(call.arguments) != {name} or not isinstance(call.arguments[name], str):
        raise DataError(
            f"the call of {call.name!r} has {sorted(call.arguments)}: "
            f"this format carries the one argument {name!r}, which is text"
        )
    return str(call.arguments[name])


def read_nothing(text: str, start: int) -> Pieces:
    """All of it is content."""
    yield text[start:]


def written_nothing(calls: Sequence[ToolCall]) -> str:
    """Raises: DataError, for plain text has no calls."""
    raise DataError(f"plain text cannot call {calls[0].name!r}: take another format")


PLAIN = CallFormat("plain", read_nothing, written_nothing)
