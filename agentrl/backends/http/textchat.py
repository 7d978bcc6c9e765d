"""Conversations as characters: the ledger of a model whose tokens stay with its server.

A context holds one span per message: a mark, then the code points of the message as JSON; a tool
list stands in front. What the model said is the code points of its text, a server's native tool
calls behind a mark of their own. All marks lie above the last code point, so a request is read
back from the ledger exactly, and needs nothing else. Such ids can be evaluated, never trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from agentrl.calls import FORMATS
from agentrl.calls.objects import written_json
from agentrl.chat import Dialogue
from agentrl.errors import DataError, PolicyError
from agentrl.types import Completion, Ids, Message, Source, Span, ToolCall

END, MESSAGE, TOOLS, CALLS = range(0x110000, 0x110004)
"""Ends an answer; begins a message, a tool list, an answer's native calls."""
HERMES = FORMATS["hermes"]


class NativeCall(NamedTuple):
    """A tool call as a server's own field carries it."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it, which may be broken."""

    @property
    def text(self) -> str:
        """In the Hermes format; broken arguments stay a string, for the parser to refuse."""
        fields = {"name": self.name, "arguments": self.arguments}
        loose = written_json({**fields, "id": self.id} if self.id else fields)
        text = f"<tool_call>\n{loose}\n</tool_call>"
        try:
            return HERMES.write(HERMES.parse(text).calls) or text
        except DataError:  # read, and not to be written: the parser sees what the model wrote
            return text


class Entry(NamedTuple):
    """A message of the ledger with the native calls that it made."""

    message: Message
    native: tuple[NativeCall, ...] = ()


class TextChat:
    """Messages as characters; implements `protocols.Chat`."""

    end_ids = frozenset({END})
    call_format = "hermes"
    """Native calls come to the environment in this one."""

    def opening(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Dialogue:
        """The conversation before the first completion."""
        listed = (_span(TOOLS, [dict(tool) for tool in tools], Source.TEMPLATE),) if tools else ()
        spans = (*listed, *map(_message_span, messages))
        return Dialogue(messages=tuple(messages), spans=spans, tools=tuple(tools))

    def follow(
        self, dialogue: Dialogue, completion: Completion, messages: Sequence[Message]
    ) -> Dialogue:
        """The conversation after a completion and the environment's messages."""
        sampled = Span(ids=completion.ids, source=Source.SAMPLED)
        return replace(
            dialogue,
            messages=(*dialogue.messages, Message("assistant", completion.text), *messages),
            spans=(*dialogue.spans, sampled, *map(_message_span, messages)),
        )

    def length(self, spans: Sequence[Span]) -> int:
        """0: only the server counts, and says when there is no room (`ContextOverflowError`)."""
        return 0

    def decode(self, ids: Ids) -> str:
        """What was said as text, native calls in the Hermes format."""
        content, calls = said(ids)
        return spoken(content, calls)

    def encode(self, text: str) -> Ids:
        """A text as if it had been said, with its end."""
        return answer_ids(text, (), ended=True)


def answer_ids(content: str, calls: Sequence[NativeCall], *, ended: bool) -> Ids:
    """The ids of an answer: its characters, its native calls, its end."""
    native = [[CALLS], _points(_json(calls))] if calls else []
    end = [[END]] if ended else []
    return np.concatenate([_points(content), *native, *end]).astype(np.int64)


def spoken(content: str, calls: Sequence[NativeCall]) -> str:
    """An answer as one text."""
    return "\n".join([*([content] if content or not calls else []), *(call.text for call in calls)])


def said(ids: Ids) -> tuple[str, tuple[NativeCall, ...]]:
    """Content and native calls of an answer's ids."""
    kept = ids[:-1] if len(ids) and int(ids[-1]) == END else ids
    (places,) = np.nonzero(kept == CALLS)
    if not len(places):
        return _text(kept), ()
    calls = json.loads(_text(kept[places[0] + 1 :]))
    return _text(kept[: places[0]]), tuple(NativeCall(*call) for call in calls)


def read(spans: Sequence[Span]) -> tuple[list[Entry], list[dict[str, Any]]]:
    """Messages and tools of a context. Raises: PolicyError where it is not a `TextChat`'s."""
    entries: list[Entry] = []
    tools: list[dict[str, Any]] = []
    for span in spans:
        mark = int(span.ids[0]) if len(span.ids) else END
        if span.source is Source.SAMPLED:
            content, calls = said(span.ids)
            native = _identified(calls, len(entries))
            entries.append(Entry(Message("assistant", content), native))
        elif mark == TOOLS:
            tools = json.loads(_text(span.ids[1:]))
        elif mark == MESSAGE:
            message = _message(json.loads(_text(span.ids[1:])))
            calls = tuple(NativeCall(c.id, c.name, _json(c.arguments)) for c in message.calls)
            entries.append(Entry(message, _identified(calls, len(entries))))
        else:
            raise PolicyError(
                "the context holds the beginning of an answer, and a chat server only writes "
                "whole ones: play without a head, or use mode=completions"
            )
    return entries, tools


def answered(entries: Sequence[Entry]) -> Iterator[tuple[Entry, bool]]:
    """Every entry, and whether tool calls stand in fields of their own there.

    Servers refuse calls without exactly one result each, and results without their call: where an
    environment answers otherwise, both are told as text. Results take the ids of their calls.
    """
    place = 0
    while place < len(entries):
        entry, place = entries[place], place + 1
        results = list(takewhile(lambda e: e.message.role == "tool", entries[place:]))
        ids = [call.id for call in entry.native]
        native = bool(ids) and len(ids) == len(results)
        yield entry, native
        given = [result.message.call for result in results]
        names = given if sorted(given) == sorted(ids) else ids
        for number, result in enumerate(results):
            told = result.message._replace(call=names[number]) if native else result.message
            yield Entry(told), native
        place += len(results)


def _identified(calls: Sequence[NativeCall], place: int) -> tuple[NativeCall, ...]:
    """The calls, those without an id with one that every server takes: nine letters and digits."""
    return tuple(
        call._replace(id=call.id or f"call{place % 1000:03}{number % 100:02}")
        for number, call in enumerate(calls)
    )


def _span(mark: int, value: Any, source: Source = Source.ENV) -> Span:
    return Span(ids=np.concatenate([[mark], _points(_json(value))]), source=source)


def _message_span(message: Message) -> Span:
    fields = message._asdict()
    fields["calls"] = [
        {**call._asdict(), "arguments": dict(call.arguments)} for call in message.calls
    ]
    return _span(MESSAGE, {name: value for name, value in fields.items() if value})


def _message(fields: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in fields.pop("calls", ()))
    return Message(**{"role": "", "content": "", **fields}, calls=calls)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _points(text: str) -> Ids:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)


def _text(ids: Ids) -> str:
    return ids.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
