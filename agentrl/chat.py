"""Messages <-> token ids: a conversation as a ledger that is only ever appended to, or forked.

    opening     [system, user, ...]            rendered once
    sampled     exactly what the policy said   never rendered
    delta       what closes its turn, the environment's messages, the next turn's start

The delta is what the template writes behind the token that ends a turn. Where a template rewrites
what came before (it strips old thoughts, moves the system prompt, counts messages), the ledger
forks: the next context is a fresh rendering, and sampled tokens keep their rows in the sample that
they were drawn in (`samples.py`). A fork is said once in the log and counted in
`Dialogue.forks`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import numpy as np

from agentrl.calls import FORMATS, CallFormat, recognised
from agentrl.errors import DataError
from agentrl.template import ASKED, SENTINEL, Template, Tools
from agentrl.types import Completion, Finish, Ids, Message, Source, Span, ToolCall

CALL = ToolCall("probe", {"key": "value"}, "000000001")

CallName = Literal[
    "auto", "fenced", "hermes", "llama_json", "llama_pythonic", "mistral", "plain", "xml"
]
"""`auto`, or a format in `calls.FORMATS`."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialogue:
    """A conversation in front of its next completion."""

    messages: tuple[Message, ...]
    spans: tuple[Span, ...]
    """The exact context."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """JSON schemas of the tools that the template lists."""
    forks: int = 0
    """How often history was rewritten so far."""
    text: str = ""
    """The template's own rendering of `messages`, where forks are looked for."""


class TemplateChat:
    """A Hugging Face tokenizer with a chat template.

    Args:
        tokenizer: with a chat template and a special token that ends a turn.
        model_ends: further tokens that the model ends a turn with.
        calls: how the model writes tool calls, a name in `calls.FORMATS`; `auto` reads it off the
            template.
        thinking: told to templates that can switch it (`enable_thinking`); None leaves their
            default.
        history: `template` follows a template that rewrites history, by forking; `append` keeps
            what was said as it was said.

    Raises:
        PolicyError: no chat template, or one that cannot be sampled from.
    """

    def __init__(
        self,
        tokenizer: Any,
        model_ends: Sequence[int] = (),
        *,
        calls: CallName = "auto",
        thinking: bool | None = None,
        history: Literal["template", "append"] = "template",
    ) -> None:
        options = {} if thinking is None else {"enable_thinking": thinking}
        self.template = Template(tokenizer, **options)
        self.tokenizer = tokenizer
        found = recognised(str(tokenizer.chat_template))
        self.call_format = found if calls == "auto" else calls
        self.calls = FORMATS[self.call_format]
        self.template.check_generation()
        ends, self.writes_end = self.template.turn_ends()
        self.end_id, self.end_ids = ends[0], frozenset([*ends, *model_ends])
        self.raw_calls = True
        self.raw_calls = all(self._goes_on(kind) for kind in self._kinds())
        self.append_only = self._proved()
        self.appends = history == "append" or self.append_only
        self._told = False
        self._boundaries: dict[tuple[str, ...], int] = {}

    def opening(self, messages: Sequence[Message], tools: Tools = ()) -> Dialogue:
        """The conversation before the first completion."""
        text = self.template.render(messages, tools=tools)
        spans = self.template.spans(text, self.template.owned(text, messages, tools))
        return Dialogue(messages=tuple(messages), spans=spans, tools=tuple(tools), text=text)

    def follow(
        self, dialogue: Dialogue, completion: Completion, messages: Sequence[Message]
    ) -> Dialogue:
        """The conversation after a completion and the environment's messages.

        Raises:
            PolicyError: the template refuses them, for example a role that it does not know.
        """
        closed = completion.finish is Finish.STOP
        sampled = Span(ids=completion.ids, source=Source.SAMPLED)
        kept = (*dialogue.spans, sampled)
        said = self.said(completion.text, messages)
        history = (*dialogue.messages, said, *messages)
        if said.calls and not self.template.accepts(history):  # calls that the template refuses
            said = Message("assistant", completion.text)
            history = (*dialogue.messages, said, *messages)
        if self.appends:
            spans = (*kept, *self._delta(messages, closed=closed))
            return replace(dialogue, messages=history, spans=spans)
        text = self.template.render(history, tools=dialogue.tools)
        start = self._continues(dialogue, completion.text, said, text)
        owned = self.template.owned(text, history, dialogue.tools)
        if start is None:
            self._tell()
            spans = self.template.spans(text, owned)
            return replace(
                dialogue, messages=history, spans=spans, text=text, forks=dialogue.forks + 1
            )
        delta = self._behind_end(text[start:], owned[start:], closed=closed)
        return replace(dialogue, messages=history, spans=(*kept, *delta), text=text)

    def length(self, spans: Sequence[Span]) -> int:
        """Tokens of the spans."""
        return sum(len(span.ids) for span in spans)

    def decode(self, ids: Ids) -> str:
        """Sampled ids as text without the end token."""
        kept = ids[:-1] if len(ids) and int(ids[-1]) in self.end_ids else ids
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))

    def encode(self, text: str) -> Ids:
        """Scripted text as the ids a policy would have sampled, end token included."""
        return np.array([*self.template.encode(text), self.end_id], np.int64)

    def said(self, text: str, replies: Sequence[Message]) -> Message:
        """What the policy said, as a message: raw, or as calls where the template needs them."""
        if self.raw_calls or not any(reply.role == "tool" for reply in replies):
            return Message("assistant", text)
        called = self.calls.parse(text)
        ids = [reply.call for reply in replies if reply.role == "tool"]
        given = [*ids, *[""] * len(called.calls)]
        calls = tuple(
            call._replace(id=call.id or answered)
            for call, answered in zip(called.calls, given, strict=False)
        )
        return Message("assistant", called.content, called.thinking, calls)

    # ---- deltas ----

    def _delta(self, messages: Sequence[Message], *, closed: bool) -> tuple[Span, ...]:
        """What follows the end token, from a conversation in which the assistant said anything."""
        said = Message("assistant", SENTINEL)
        tools = [m for m in messages if m.role == "tool"]
        if tools and not self.raw_calls:
            asked = tuple(ToolCall(m.name or "tool", {}, m.call or CALL.id) for m in tools)
            said = Message("assistant", "", calls=asked)
        before = (ASKED, said)
        text = self.template.render((*before, *messages))
        start = self._boundary(before, messages, text)
        owned = self.template.owned(text, (*before, *messages), ())
        return self._behind_end(text[start:], owned[start:], closed=closed)

    def _boundary(self, before: Sequence[Message], messages: Sequence[Message], text: str) -> int:
        """Where the delta begins in `text`; the same for all messages of equal roles."""
        key = tuple(message.role for message in messages)
        if key in self._boundaries:
            return self._boundaries[key]
        start = self._end_of(before, text)
        if start is None:
            start = text.find(SENTINEL) + len(SENTINEL)
            start += len(self._end_text(text[start:]))
        if "tool" not in key:  # calls' ids stand in front of tool results, of any length
            self._boundaries[key] = start
        return start

    def _behind_end(self, text: str, owned: Any, *, closed: bool) -> tuple[Span, ...]:
        """A delta's tokens, as they are behind the end token; that itself if it was not sampled."""
        spelling = self.template.spelling(self.end_id)
        spans = self.template.spans(text, owned, behind=spelling)
        if closed:
            return spans
        end = Span(ids=np.array([self.end_id], np.int64), source=Source.TEMPLATE)
        if spans and spans[0].source is Source.TEMPLATE:
            return (replace(end, ids=np.concatenate([end.ids, spans[0].ids])), *spans[1:])
        return (end, *spans)

    def _continues(self, dialogue: Dialogue, raw: str, said: Message, text: str) -> int | None:
        """Where in `text` the delta begins; None where `text` rewrites what came before."""
        plain = dialogue.text + raw
        if text.startswith(plain):
            end = self._end_text(text[len(plain) :])
            if end or not self.writes_end:
                return len(plain) + len(end)
        return self._end_of((*dialogue.messages, said), text, dialogue.text, dialogue.tools)

    def _end_of(
        self, before: Sequence[Message], text: str, opening: str = "", tools: Tools = ()
    ) -> int | None:
        """Where the turn that ends `before` ends in `text`; None if it is written otherwise."""
        alone = self.template.render(before, tools=tools, generation=False)
        places = [alone.rfind(end) + len(end) for end in self._end_texts() if end in alone]
        stop = max(places, default=0)
        if alone.startswith(opening) and stop > len(opening) and text.startswith(alone[:stop]):
            return stop
        return None

    def _end_texts(self) -> list[str]:
        return [self.template.spelling(end) for end in self.end_ids]

    def _end_text(self, text: str) -> str:
        """The end token that `text` begins with, or nothing."""
        return next((end for end in self._end_texts() if text.startswith(end)), "")

    def _tell(self) -> None:
        if not self._told:
            logger.warning(
                "the chat template of %r rewrites what was said before: such conversations fork "
                "into several samples (chat.history=append keeps them in one)",
                self.template.name,
            )
        self._told = True

    # ---- what the template can do ----

    def _proved(self) -> bool:
        """Whether any turn may follow any other without a change to what stands before it.

        Plays every two kinds of turns the template accepts; a kind's delta must not depend on what
        came before it either, for then it can be rendered alone.
        """
        openings = [(ASKED,), (Message("system", "be brief"), ASKED)]
        kinds = [kind for kind in self._kinds() if self.template.accepts([ASKED, *kind])]
        deltas: dict[int, str] = {}
        for opening in filter(self.template.accepts, openings):
            for pair in product(range(len(kinds)), repeat=2):
                dialogue = self.opening(opening)
                for number in pair:
                    said, *replies = kinds[number]
                    history = (*dialogue.messages, said, *replies)
                    if not self.template.accepts(history):
                        return False
                    text = self.template.render(history)
                    start = self._continues(dialogue, said.content, said, text)
                    if start is None or deltas.setdefault(number, text[start:]) != text[start:]:
                        return False
                    dialogue = replace(dialogue, messages=history, text=text)
        return True

    def _goes_on(self, kind: Sequence[Message]) -> bool:
        """Whether the template accepts a turn of this kind and one more after it."""
        return self.template.accepts([ASKED, *kind, Message("assistant", SENTINEL), ASKED])

    def _kinds(self) -> list[tuple[Message, ...]]:
        """Turns of every kind: plain or thoughtful, an answer or a call, and what follows it."""
        result = Message("tool", "a result", name=CALL.name, call=CALL.id)
        call = probe_call(self.calls)
        found: list[tuple[Message, ...]] = []
        for thought in ("", "<think>\nhm\n</think>\n\n"):
            found.append((Message("assistant", thought + SENTINEL), ASKED))
            if call:
                found.append((self.said(thought + call, [result]), result))
        return found


def probe_call(form: CallFormat) -> str:
    """A call in this format; empty for one that cannot call just anything, such as plain text."""
    try:
        return form.write((CALL,))
    except DataError:  # how a format says so
        return ""
