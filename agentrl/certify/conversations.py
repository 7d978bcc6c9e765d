"""Conversations made to break a ledger: what policies and environments may say, from a seed.

A `Script` is one conversation with everything decided beforehand: what is asked, what the policy
samples in each turn, and what the environment answers. `certificate.py` plays scripts through the
real line; `agentrl verify tokens` and the property tests share them. Texts hold what has broken
such code before: combining marks, joined emoji, control characters, spellings of the template's own
tokens and roles, white space at the edges, this library's own marks, calls that are cut or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from agentrl.errors import DataError
from agentrl.types import Message, ToolCall

Rng = np.random.Generator
Item = TypeVar("Item")
WORDS = ("the", "answer", "is", "Oslo", "rain", "42", "3.14", "x=1;", "yes", "No.", "f(x)", "a_b")
ODD = (
    *("e\u0301", "n\u0303o", "\u0e01\u0e33", "\U0001f469\u200d\U0001f469\u200d\U0001f467"),
    *("\U0001f3f3\ufe0f\u200d\U0001f308", "\u05e9\u05dc\u05d5\u05dd", "\u202eabc\u202c", "\u4e2d"),
    *("\x00", "\x07", "\x1b[31m", "\ufeff", "\u2028", "\u00a0", "\ufffd", "\u2581", "\U0010ffff"),
    *('"', "\\", "\\n", "'", "{", "}", "{{ x }}", "{% if %}", "<", "&lt;", "<0x41>", "%s"),
)
WHITE = (" ", "  ", "\n", "\n\n", "\t", "\r\n", " \n ")
ROLES = ("user", "assistant", "system", "tool", "model", "ipython", "\n\nuser\n", "ASSISTANT: ")
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</answer>")
OWN = ("sentinel7", "first probe", "\ue0010\ue001", "\ue00199\ue001", "mark7", "a result")
"""Words that this library itself probes templates with."""
TOOLS: tuple[Mapping[str, Any], ...] = tuple(
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} things, \u201cquickly\u201d",
            "parameters": {"type": "object", "properties": {key: {"type": kind}}},
        },
    }
    for name, key, kind in (("search", "query", "string"), ("add", "count", "integer"))
)
LENGTHS = (0, 1, 1, 2, 3, 4, 6)
"""Pieces of a text; one in 250 is `LONG` instead."""
LONG = 800


class Shape(NamedTuple):
    """A tool's name and the one parameter that it has, which is text."""

    name: str
    parameter: str


SHAPES = (Shape("search", "query"), Shape("search", "content"), Shape("python", "code"))
"""JSON formats, tags and code blocks: what `agentrl.calls` can write."""


class Writer(Protocol):
    """How a model writes tool calls; `agentrl.calls` has the known ones."""

    def write(self, calls: Sequence[ToolCall], /) -> str:
        """The calls as the model samples them. Raises: DataError for what it cannot write."""


class Act(NamedTuple):
    """What the policy samples in one turn, and the environment's answer to it."""

    text: str
    replies: tuple[Message, ...] = ()
    closed: bool = True
    """Whether it samples its end token; otherwise a length limit cut it."""
    split: str = "whole"
    """How the text becomes ids, a key of `splits.SPLITS`."""
    seed: int = 0
    """Of the split."""


class Script(NamedTuple):
    """One conversation, decided."""

    asked: str
    acts: tuple[Act, ...]
    system: str = ""
    """Absent when empty."""
    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def opening(self) -> tuple[Message, ...]:
        """The messages before the first completion."""
        own = (Message("system", self.system),) if self.system else ()
        return (*own, Message("user", self.asked))


class Repertoire(NamedTuple):
    """What the conversations of one model may hold."""

    calls: Writer
    shape: Shape = SHAPES[0]
    """How the format likes its calls."""
    system: bool = True
    tools: bool = True
    """Schemas, calls, and results in the role `tool`."""
    parallel: bool = True
    """Several calls in one turn."""
    questions: bool = True
    """A user's message behind tool results, in the same answer."""
    corrected: bool = True
    """A result for a call that is none."""
    controls: tuple[str, ...] = ()
    """Spellings of the tokenizer's control tokens, for texts to hold."""


def generate(rng: Rng, repertoire: Repertoire) -> Script:
    """A random conversation of one to five turns."""
    system = text(rng, repertoire) if repertoire.system and rng.random() < 0.5 else ""
    tools = TOOLS if repertoire.tools and rng.random() < 0.5 else ()
    acts = [act(rng, repertoire, bool(tools)) for _ in range(rng.integers(1, 6))]
    return Script(text(rng, repertoire), tuple(acts), system, tools)


def text(rng: Rng, repertoire: Repertoire) -> str:
    """What anybody may write: words mostly, and what breaks things; often with bare edges."""
    if rng.random() < 0.004:
        return " ".join(pick(rng, WORDS) for _ in range(LONG))
    kinds = (WORDS, WORDS, WORDS, ODD, WHITE, ROLES, TAGS, OWN, repertoire.controls or WORDS)
    pieces = [pick(rng, kinds[rng.integers(len(kinds))]) for _ in range(pick(rng, LENGTHS))]
    return pick(rng, (" ", "")).join(pieces)


def act(rng: Rng, repertoire: Repertoire, tools: bool) -> Act:
    """One turn: a thought perhaps, an answer or calls, whole or cut, and what comes back."""
    thought = pick(rng, THOUGHTS)(text(rng, repertoire)) if rng.random() < 0.4 else ""
    said = text(rng, repertoire) if rng.random() < 0.6 else ""
    asked = called(rng, repertoire) if tools and rng.random() < 0.6 else ()
    written = written_calls(repertoire.calls, asked)
    wrong = bool(written) and rng.random() < 0.2
    written = broken(rng, written) if wrong else written
    closed = bool(rng.random() < 0.85)
    split = pick(rng, ("whole", "whole", "pieces", "pieces", "any"))
    return Act(
        thought + said + written,
        answers(rng, repertoire, asked if written and closed else (), wrong=wrong),
        closed,
        "nothing" if rng.random() < 0.02 else split,
        int(rng.integers(2**31)),
    )


THOUGHTS: tuple[Callable[[str], str], ...] = (
    lambda thought: f"<think>\n{thought}\n</think>\n\n",
    lambda thought: f"<think>{thought}</think>",
    lambda thought: f"{thought}\n</think>\n\n",
    lambda thought: f"<think>\n{thought}",
)
"""Thoughts as models write them, the last two without a beginning or an end."""


def called(rng: Rng, repertoire: Repertoire) -> tuple[ToolCall, ...]:
    """One call, or several at once."""
    count = pick(rng, (1, 1, 2, 3)) if repertoire.parallel else 1
    return tuple(call(rng, repertoire) for _ in range(count))


def call(rng: Rng, repertoire: Repertoire) -> ToolCall:
    """A call of the repertoire's shape; in JSON formats also one whose argument is a number."""
    name, parameter = repertoire.shape
    if repertoire.shape is SHAPES[0] and rng.random() < 0.3:
        return ToolCall("add", {"count": int(rng.integers(-9, 99))}, call_id(rng))
    return ToolCall(name, {parameter: text(rng, repertoire)}, call_id(rng))


def written_calls(writer: Writer, calls: Sequence[ToolCall]) -> str:
    """Calls as text, empty for none and for what the format cannot write."""
    try:
        return writer.write(calls) if calls else ""
    except DataError:  # a format says so by raising: no text can stand in an empty tag
        return ""


def call_id(rng: Rng) -> str:
    """Nine letters and digits, the strictest form there is."""
    return "".join(pick(rng, "abcdefghjkmnpqrstuvwxyz0123456789") for _ in range(9))


def broken(rng: Rng, written: str) -> str:
    """Calls that no parser should accept: cut, with a piece lost, or one key twice."""
    place = int(rng.integers(len(written)))
    wrongs = (
        written[:place],
        written[:place] + written[place + 2 :],
        written.replace('"query"', '"query": 1, "query"'),
    )
    return pick(rng, wrongs)


def answers(
    rng: Rng, repertoire: Repertoire, asked: Sequence[ToolCall], *, wrong: bool
) -> tuple[Message, ...]:
    """What the environment says: a result for every call, or a user's message."""
    talks = not asked or rng.random() < 0.1
    if talks or (wrong and not (repertoire.corrected and rng.random() < 0.3)):
        return (Message("user", text(rng, repertoire)),)
    results = tuple(
        Message("tool", text(rng, repertoire), name=call.name, call=call.id)
        for call in asked[: 1 if wrong else None]
    )
    if repertoire.questions and rng.random() < 0.15:
        return (*results, Message("user", text(rng, repertoire)))
    return results


def reworded(script: Script) -> Script:
    """The same conversation with other words wherever the environment speaks."""

    def other(words: str) -> str:
        return f"Now {words[::-1]}, or not?"

    acts = tuple(
        turn._replace(
            replies=tuple(reply._replace(content=other(reply.content)) for reply in turn.replies)
        )
        for turn in script.acts
    )
    system = other(script.system) if script.system else ""
    return script._replace(asked=other(script.asked), acts=acts, system=system)


def pick(rng: Rng, among: Sequence[Item]) -> Item:
    """One of a sequence's members."""
    return among[int(rng.integers(len(among)))]


def as_record(script: Script) -> dict[str, Any]:
    """A script in JSON types."""
    acts = [
        {**turn._asdict(), "replies": [_message_record(reply) for reply in turn.replies]}
        for turn in script.acts
    ]
    return {**script._asdict(), "acts": acts, "tools": list(script.tools)}


def from_record(record: Mapping[str, Any]) -> Script:
    """The script that `as_record` wrote."""
    acts = tuple(
        Act(**{**turn, "replies": tuple(Message(**reply) for reply in turn["replies"])})
        for turn in record["acts"]
    )
    return Script(record["asked"], acts, record["system"], tuple(record["tools"]))


def _message_record(message: Message) -> dict[str, str]:
    fields = {name: getattr(message, name) for name in ("name", "call")}
    told = {name: value for name, value in fields.items() if value}
    return {"role": message.role, "content": message.content, **told}
