"""What is asked of an OpenAI-compatible server and what it answers, as JSON: chat, completions.

Each way has its `path`, writes a `body` from a context and reads a `Completion` from an answer.
Reading is strict: whatever is not wholly there is a ValueError, and the server is asked again.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from agentrl.backends.http.answer import Answer, Counted, Said
from agentrl.backends.http.textchat import (
    Entry,
    NativeCall,
    TextChat,
    answer_ids,
    answered,
    read,
    spoken,
)
from agentrl.chat import TemplateChat
from agentrl.errors import ContextOverflowError
from agentrl.types import Completion, Finish, Floats, Ids, Message, Sampling, Span, Usage, join

TOOLS_PROMPT = """To call a tool, write one block of this form per call and wait for the result:
<tool_call>
{"name": "the tool's name", "arguments": {"parameter": "its value"}}
</tool_call>

The tools, as JSON schemas:
"""
logger = logging.getLogger(__name__)


class Wire:
    """What both ways share: the fields of a request that some servers do not know."""

    path: str
    optional: dict[str, Any]
    """Fields that are left out once a server refused them by name."""
    limit = "max_tokens"
    """The field for the most tokens of a completion."""
    window = sys.maxsize
    """Tokens that the model reads and writes in all, as far as the server says."""
    open_ended: bool
    """Whether a server fills what is left of the window when no limit is sent."""

    def adapt(self, refusal: str) -> bool:
        """Write requests otherwise from now on, if that mends a refusal."""
        if self.limit == "max_tokens" and "max_completion_tokens" in refusal:
            self.limit = "max_completion_tokens"
            return True
        refused = [name for name in self.optional if name in refusal]
        for name in refused:
            del self.optional[name]
            logger.warning("the server does not know %r: %s is left out", name, name)
        return bool(refused)

    def settings(self, sampling: Sampling) -> dict[str, Any]:
        """How a completion is drawn; seeds are cut to the 31 bits that every server takes."""
        seed = {"seed": sampling.seed % 2**31} if "seed" in self.optional else {}
        more = {**self.optional, **seed}
        return {"temperature": sampling.temperature, self.limit: sampling.max_tokens, **more}


class ChatWire(Wire):
    """Messages; tools as a field of their own (`native`) or in the system prompt (`text`)."""

    path = "/chat/completions"
    open_ended = True

    def __init__(self, *, native: bool) -> None:
        self.chat = TextChat()
        self.native = native
        self.optional = {"seed": None}

    def size(self, context: Sequence[Span]) -> int:
        """Estimated tokens of a context: a quarter of its characters."""
        return sum(len(span.ids) for span in context) // 4

    def body(self, context: Sequence[Span], sampling: Sampling) -> dict[str, Any]:
        """A request. Raises: PolicyError for a context that begins an answer."""
        entries, tools = read(context)
        if not self.native:
            messages = plain_messages(with_tools(entries, tools))
            return {"messages": messages, **self.settings(sampling)}
        messages = native_messages(entries)
        listed = {"tools": [wire_tool(tool) for tool in tools]} if tools else {}
        return {"messages": messages, **listed, **self.settings(sampling)}

    def completion(self, answer: Answer) -> Completion:
        """The first choice. Raises: PolicyError, ValueError for one without an answer."""
        message, finish = answer.choices[0].message, answer.finish
        if message is None:
            raise ValueError("a choice without a message")
        calls = [
            NativeCall(c.id or "", c.function.name, c.function.arguments or "{}")
            for c in message.tool_calls or ()
        ]
        content = message.content if message.content is not None else message.refusal
        if content is None and not calls and finish is Finish.STOP and not _thought(message):
            raise ValueError("a message without content")
        ids = answer_ids(content or "", calls, ended=finish is Finish.STOP)
        return as_completion(self.chat, ids, np.zeros(len(ids), np.float32), answer)


class CompletionsWire(Wire):
    """Token ids of a local tokenizer, exact where the server returns ids and log-probs."""

    path = "/completions"
    open_ended = False

    def __init__(self, chat: TemplateChat) -> None:
        self.chat = chat
        self.optional = {
            "seed": None,
            "logprobs": 0,
            "return_token_ids": True,
            "stop_token_ids": sorted(chat.end_ids),
            "top_p": 1.0,
            "top_k": -1,
            "repetition_penalty": 1.0,
        }

    def size(self, context: Sequence[Span]) -> int:
        """Tokens of a context."""
        return self.chat.length(context)

    def body(self, context: Sequence[Span], sampling: Sampling) -> dict[str, Any]:
        """A request. Raises: ContextOverflowError."""
        ids = join(tuple(context))
        room = self.window - len(ids)
        if room <= 0:
            raise ContextOverflowError(
                f"the context has {len(ids)} tokens and the model reads {self.window}"
            )
        room = min(room, sampling.max_tokens)
        return {"prompt": ids.tolist(), **self.settings(replace(sampling, max_tokens=room))}

    def completion(self, answer: Answer) -> Completion:
        """The first choice. Raises: PolicyError, ValueError for one without an answer."""
        choice, finish = answer.choices[0], answer.finish
        if choice.token_ids is None:
            if choice.text is None:
                raise ValueError("a choice without text")
            ids = self.chat.encode(choice.text)
            ids = ids if finish is Finish.STOP else ids[:-1]
            return as_completion(self.chat, ids, np.zeros(len(ids), np.float32), answer)
        ids = np.array(choice.token_ids, np.int64)
        if choice.logprobs is None:
            return as_completion(self.chat, ids, np.zeros(len(ids), np.float32), answer)
        told = choice.logprobs.token_logprobs
        if len(told) != len(ids):
            raise ValueError(f"{len(ids)} token ids and {len(told)} log-probs")
        return as_completion(self.chat, ids, np.array(told, np.float32), answer)


def as_completion(
    chat: TextChat | TemplateChat, ids: Ids, logprobs: Floats, answer: Answer
) -> Completion:
    """A completion as the server counted it; dollars are the account's matter."""
    counted = answer.usage or Counted()
    return Completion(
        ids=ids,
        logprobs=logprobs,
        text=chat.decode(ids),
        finish=answer.finish,
        usage=Usage(counted.prompt_tokens or 0, counted.completion_tokens or 0),
    )


def _thought(message: Said) -> bool:
    """Whether a server put all that was said into a field for thoughts."""
    return bool(message.reasoning or message.reasoning_content)


def native_messages(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The conversation with tool calls and results in fields of their own where that is allowed."""
    messages: list[dict[str, Any]] = []
    for native, run in groupby(answered(entries), key=lambda pair: pair[1]):
        told = [entry for entry, _ in run]
        messages += map(native_message, told) if native else plain_messages(told)
    return messages


def native_message(entry: Entry) -> dict[str, Any]:
    """A message that calls tools, or a tool's result."""
    message = entry.message
    if message.role == "tool":
        return {"role": "tool", "content": message.content, "tool_call_id": message.call}
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in entry.native
    ]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


def plain_messages(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The conversation as text; results that follow each other become one message of the user."""
    messages: list[dict[str, Any]] = []
    for results, run in groupby(entries, key=lambda entry: entry.message.role == "tool"):
        told = list(run)
        if results:
            texts = [f"<tool_response>\n{e.message.content}\n</tool_response>" for e in told]
            messages.append({"role": "user", "content": "\n".join(texts)})
        else:
            messages += [
                {"role": e.message.role, "content": spoken(e.message.content, e.native)}
                for e in told
            ]
    return messages


def with_tools(entries: list[Entry], tools: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """The conversation with the tools' schemas at the end of its system prompt."""
    if not tools:
        return entries
    listed = TOOLS_PROMPT + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    if not entries or entries[0].message.role != "system":
        return [Entry(Message("system", listed)), *entries]
    first = entries[0].message
    told = first._replace(content=f"{first.content}\n\n{listed}")
    return [Entry(told), *entries[1:]]


def wire_tool(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's schema in the wrapping that servers want."""
    return dict(schema) if "function" in schema else {"type": "function", "function": dict(schema)}
