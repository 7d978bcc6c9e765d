"""Messages <-> token ids: the only file that knows chat templates.

A conversation is only ever appended to. The opening is rendered once; after every completion the
*delta* (what closes the assistant's turn, the next message, the next turn's start) is rendered
behind a sentinel and cut out, so that sampled ids are never rendered again. `TemplateChat` proves
at construction that its template allows this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentrl.errors import PolicyError, boundary
from agentrl.types import Ids, Message, Source, Span

SENTINEL = "sentinel7"
MARK = "mark7"
PROBE = (Message("user", "first probe"), Message("user", "second probe"))


class TemplateChat:
    """A Hugging Face tokenizer with a chat template, used append-only.

    Raises:
        PolicyError: no chat template, or one that is not append-only.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise PolicyError(
                f"the tokenizer {tokenizer.name_or_path!r} has no chat template: "
                "set tokenizer.chat_template and save it"
            )
        self.tokenizer = tokenizer
        self._known_leads: dict[tuple[tuple[str, ...], bool | None], list[int]] = {}
        self.end_id, self.end_ids = self._find_ends()
        self._prove()

    def opening(self, messages: Sequence[Message]) -> tuple[Span, ...]:
        """The conversation before the first completion: spans of template and environment text."""
        text = self._render(messages, generation=True)
        roles = tuple(message.role for message in messages)
        return self._spans(text, [message.content for message in messages], self._leads(roles))

    def reply(self, message: Message, *, closed: bool) -> tuple[Span, ...]:
        """What follows a completion: its turn's rest, `message` and the next turn's start.

        `closed`: the completion sampled its end token; if it did not, the delta begins with it.
        """
        text = self._delta(message, closed=closed)
        return self._spans(text, [message.content], self._leads((message.role,), closed))

    def decode(self, ids: Ids) -> str:
        """Sampled ids as text without the end token."""
        kept = ids[:-1] if len(ids) and int(ids[-1]) in self.end_ids else ids
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))

    def encode(self, text: str) -> Ids:
        """Scripted text as the ids a policy would have sampled, end token included."""
        encoded = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return np.array([*encoded.ids, self.end_id], np.int64)

    def _render(self, messages: Sequence[Message], *, generation: bool) -> str:
        conversation = [message._asdict() for message in messages]
        with boundary(PolicyError, "the chat template refuses the conversation"):
            return str(
                self.tokenizer.apply_chat_template(
                    conversation, tokenize=False, add_generation_prompt=generation
                )
            )

    def _delta(self, message: Message, *, closed: bool) -> str:
        conversation = [PROBE[0], Message("assistant", SENTINEL), message]
        _, _, tail = self._render(conversation, generation=True).partition(SENTINEL)
        end = self.tokenizer.convert_ids_to_tokens(self.end_id)
        if not closed:
            return tail
        return tail.removeprefix(end)

    def _leads(self, roles: tuple[str, ...], closed: bool | None = None) -> list[int]:
        """Characters that the template writes before each content, in an opening or a delta.

        Without them a content such as `user` would be found in the template's own words.
        """
        if (roles, closed) not in self._known_leads:
            marked = [Message(role, MARK) for role in roles]
            text = (
                self._render(marked, generation=True)
                if closed is None
                else self._delta(marked[0], closed=closed)
            )
            self._known_leads[roles, closed] = [len(lead) for lead in text.split(MARK)[:-1]]
        return self._known_leads[roles, closed]

    def _spans(self, text: str, contents: Sequence[str], leads: Sequence[int]) -> tuple[Span, ...]:
        """Tokenise once; tokens that overlap a message's own text are ENV, the others TEMPLATE."""
        encoded = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        ids = np.array(encoded.ids, np.int64)
        owned = np.zeros(len(text) + 1, bool)
        position = 0
        for content, lead in zip(contents, leads, strict=False):
            start = text.find(content.strip(), position + lead)
            if start >= 0:
                position = start + len(content.strip())
                owned[start:position] = True
        from_env = np.array([bool(owned[a:b].any()) for a, b in encoded.offsets], bool)
        cuts = np.flatnonzero(np.diff(from_env)) + 1
        return tuple(
            Span(ids=piece, source=Source.ENV if flag[0] else Source.TEMPLATE)
            for piece, flag in zip(np.split(ids, cuts), np.split(from_env, cuts), strict=True)
            if len(piece)
        )

    def _find_ends(self) -> tuple[int, frozenset[int]]:
        """The token that ends a turn, and all that do: the template's own first, the model's too.

        They differ for base models, whose template closes a turn with another token than EOS.
        """
        text = self._render([PROBE[0], Message("assistant", SENTINEL)], generation=False)
        after = self.tokenizer.encode(text.partition(SENTINEL)[2], add_special_tokens=False)
        special = set(self.tokenizer.all_special_ids)
        ends = [end for end in (*after[:1], self.tokenizer.eos_token_id) if end in special]
        if not ends:
            raise PolicyError(
                f"the chat template of {self.tokenizer.name_or_path!r} ends an assistant's turn "
                "with no special token, so a policy could not end it: "
                "set tokenizer.eos_token to the token that ends a turn"
            )
        return ends[0], frozenset(ends)

    def _prove(self) -> None:
        """Check that opening + completion + delta is the template's rendering of the whole."""
        first, second = PROBE
        whole = self._render([first, Message("assistant", SENTINEL), second], generation=True)
        opening = self._render([first], generation=True)
        if whole != opening + SENTINEL + self._delta(second, closed=False):
            raise PolicyError(
                f"the chat template of {self.tokenizer.name_or_path!r} is not append-only: the "
                "conversation so far is rendered differently once a message follows, so sampled "
                "tokens would not be what is trained"
            )
