"""A chat template at work: messages -> text, and text -> token spans that say who wrote them.

Environment text is data. Where it spells a control token (`<|im_end|>`), that is tokenised as the
characters that it is, so that an environment cannot end its turn and begin the assistant's.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentrl.errors import PolicyError, boundary
from agentrl.types import Ids, Message, Source, Span

MARKS = range(0xE001, 0xF8FF)
"""Private-use characters: one that no message holds encloses a content's number in a skeleton."""

ASKED = Message("user", "first probe")
SENTINEL = "sentinel7"
"""What probes of a template ask, and what they answer."""
KEPT = 64
"""Skeletons that are kept, and characters up to which one is: it will be asked for again."""

Tools = Sequence[Mapping[str, Any]]


class Template:
    """A tokenizer's chat template.

    Raises:
        PolicyError: the tokenizer has none, or it does not begin the assistant's turn.
    """

    def __init__(self, tokenizer: Any, **options: Any) -> None:
        self.tokenizer = tokenizer
        self.options = options
        self.name = str(tokenizer.name_or_path)
        if not getattr(tokenizer, "chat_template", None):
            raise PolicyError(
                f"the tokenizer {self.name!r} has no chat template: "
                "set tokenizer.chat_template and save it"
            )
        added = tokenizer.added_tokens_decoder
        marked = {number for number, token in added.items() if token.special}
        self.special = marked | set(tokenizer.all_special_ids)
        self._skeletons: dict[Any, str] = {}
        self._literal: Any = None

    def render(
        self, messages: Sequence[Message], *, tools: Tools = (), generation: bool = True
    ) -> str:
        """The conversation as text, the assistant's turn begun if `generation`.

        Raises:
            PolicyError: the template refuses the conversation.
        """
        conversation = [as_mapping(message) for message in messages]
        self._check_tools(tools)
        with boundary(PolicyError, f"the chat template of {self.name!r} refuses the conversation"):
            return str(
                self.tokenizer.apply_chat_template(
                    conversation,
                    tools=[dict(tool) for tool in tools] or None,
                    tokenize=False,
                    add_generation_prompt=generation,
                    **self.options,
                )
            )

    def _check_tools(self, tools: Tools) -> None:
        """Refuse schemas that spell control tokens: the template writes them as its own text."""
        told = json.dumps([dict(tool) for tool in tools], ensure_ascii=False) if tools else ""
        spelt = [self.spelling(token) for token in self.special] if tools else []
        for token in filter(told.__contains__, spelt):
            raise PolicyError(
                f"a tool's schema spells the control token {token!r}: write it otherwise"
            )

    def accepts(self, messages: Sequence[Message]) -> bool:
        """Whether the template renders such a conversation."""
        try:
            self.render(messages)
        except PolicyError:  # a template says what it cannot write by raising
            return False
        return True

    def turn_ends(self) -> tuple[list[int], bool]:
        """The tokens that end a turn, the template's own before the model's; and if it writes one.

        They differ for base models, whose template closes a turn with another token than EOS.

        Raises:
            PolicyError: no special token ends a turn.
        """
        text = self.render([ASKED, Message("assistant", SENTINEL)], generation=False)
        after = self.tokenizer.encode(text.partition(SENTINEL)[2], add_special_tokens=False)
        ends = [end for end in after[:1] if end in self.special]
        eos = self.tokenizer.eos_token_id
        found = [*ends, eos] if eos in self.special else ends
        if not found:
            raise PolicyError(
                f"the chat template of {self.name!r} ends an assistant's turn "
                "with no special token, so a policy could not end it: "
                "set tokenizer.eos_token to the token that ends a turn"
            )
        return found, bool(ends)

    def check_generation(self) -> None:
        """See that the assistant's turn is begun; with nothing, if the template always does so.

        Raises:
            PolicyError: it is not.
        """
        begun = self.render([ASKED])
        whole = self.render([ASKED, Message("assistant", SENTINEL)], generation=False)
        between = whole.removeprefix(begun).partition(SENTINEL)[0].strip()
        ignored = begun == self.render([ASKED], generation=False)
        if ignored and whole.startswith(begun) and between:
            raise PolicyError(
                f"the chat template of {self.name!r} ignores add_generation_prompt, so "
                "nothing tells the model to answer: let it write the assistant's beginning there"
            )

    def spelling(self, token: int) -> str:
        """A token as the template writes it."""
        return str(self.tokenizer.convert_ids_to_tokens(token))

    def owned(
        self, text: str, messages: Sequence[Message], tools: Tools, *, generation: bool = True
    ) -> NDArray[np.bool_]:
        """`[len(text) + 1]`: which characters of a rendering are messages' own, not assistant's."""
        mark = next(chr(code) for code in MARKS if chr(code) not in text)  # a policy may say any
        skeleton = self._skeleton(messages, tools, mark, generation=generation)
        pieces = re.split(f"{mark}([0-9]+){mark}", skeleton)
        mask, position = np.zeros(len(text) + 1, bool), 0
        for lead, number, tail in zip(pieces[:-1:2], pieces[1::2], pieces[2::2], strict=True):
            position += len(lead)
            length = written_length(text, position, messages[int(number)].content, tail)
            mask[position : position + length] = True
            position += length
        return mask

    def _skeleton(
        self, messages: Sequence[Message], tools: Tools, mark: str, *, generation: bool
    ) -> str:
        """The rendering with marks in the place of what is not the assistant's."""
        marked = tuple(
            message._replace(content=f"{mark}{number}{mark}")
            if message.role != "assistant" and message.content.strip()
            else message
            for number, message in enumerate(messages)
        )
        long = sum(len(m.content) for m in marked) > KEPT or any(m.call for m in marked)
        if long or tools:  # what hardly comes again
            return self.render(marked, tools=tools, generation=generation)
        if (marked, generation) not in self._skeletons:
            if len(self._skeletons) > KEPT:
                self._skeletons.clear()
            self._skeletons[marked, generation] = self.render(marked, generation=generation)
        return self._skeletons[marked, generation]

    def spans(self, text: str, owned: NDArray[np.bool_], *, behind: str = "") -> tuple[Span, ...]:
        """Tokenise once; tokens that overlap a message's own text are ENV, the others TEMPLATE.

        `behind` is the token that stands in front of `text`; it decides how the first character is
        tokenised and is cut off again.
        """
        encoded = self._encode(behind + text)
        ids, offsets = list(encoded.ids)[bool(behind) :], list(encoded.offsets)[bool(behind) :]
        before = np.concatenate([np.zeros(len(behind) + 1, np.int64), owned.cumsum()])
        whole = behind + text
        runs: list[tuple[bool, list[int]]] = []
        for token, (a, b) in zip(ids, offsets, strict=True):
            env, meant = bool(before[b] > before[a]), [token]
            if env and token in self.special:
                at = max(a, whole.find(self.spelling(token), a, b))
                env = bool(before[at + 1] > before[at])  # one of the template's may reach in
                meant = self._literally(whole[a:b]) if env else meant
            if not runs or runs[-1][0] is not env:
                runs.append((env, []))
            runs[-1][1].extend(meant)
        return tuple(
            Span(ids=np.array(run, np.int64), source=Source.ENV if env else Source.TEMPLATE)
            for env, run in runs
            if run
        )

    def _literally(self, text: str) -> list[int]:
        """The ids of a control token's spelling that is meant as text."""
        if self._literal is None:
            self._literal = copy.deepcopy(self.tokenizer.backend_tokenizer)
            self._literal.encode_special_tokens = True
        encoded = self._literal.encode(text, add_special_tokens=False)
        prefixed = encoded.tokens[:1] == ["\u2581"] and not text.startswith(" ")
        return list(encoded.ids)[prefixed:]

    def _encode(self, text: str) -> Any:
        return self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)

    def encode(self, text: str) -> Ids:
        """A text's ids as the tokenizer alone makes them."""
        return np.array(self._encode(text).ids, np.int64)


def written_length(text: str, position: int, content: str, tail: str) -> int:
    """Characters that a content takes at a place of a rendering, as it stands, trimmed or escaped.

    What fits is followed by `tail`; if nothing does, all up to the next `tail` is the content's.
    """
    escaped = (json.dumps(content)[1:-1], json.dumps(content, ensure_ascii=False)[1:-1])
    for form in (content, content.strip(), content.rstrip(), content.lstrip(), *escaped):
        if text.startswith(form, position) and text.startswith(tail, position + len(form)):
            return len(form)
    return max(0, text.find(tail, position) - position) if tail else len(text) - position


def as_mapping(message: Message) -> dict[str, Any]:
    """A message in the form that chat templates read."""
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        found |= {"reasoning_content": message.thinking, "thinking": message.thinking}
    if message.calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.calls
        ]
    if message.name:
        found["name"] = message.name
    if message.call:
        found["tool_call_id"] = message.call
    return found
