"""Two neighbouring dialogues of a conversation beside what the chat template writes for them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from agentrl.chat import Dialogue, TemplateChat
from agentrl.types import Completion, Finish, Ids, Span, join


class Renders:
    """Renderings of one conversation: what it holds at any time is the beginning of its end."""

    def __init__(self, chat: TemplateChat, end: Dialogue) -> None:
        self.chat = chat
        self.end = end
        self._known: dict[tuple[int, bool], str] = {}

    def __call__(self, count: int, *, generation: bool = True) -> str:
        """The template's rendering of the first `count` messages. Raises: PolicyError."""
        if (count, generation) not in self._known:
            self._known[count, generation] = self.chat.template.render(
                self.end.messages[:count], tools=self.end.tools, generation=generation
            )
        return self._known[count, generation]


class Hop:
    """From in front of one completion to in front of the next, beside the template's rendering."""

    def __init__(
        self, chat: TemplateChat, before: Dialogue, said: Completion, after: Dialogue, text: Renders
    ) -> None:
        self.chat = chat
        self.before = before
        self.said = said
        self.after = after
        self.text = text
        self.kept = np.concatenate([join(before.spans), said.ids])
        self.forked = after.forks > before.forks
        self.replies = after.messages[len(before.messages) + 1 :]

    @property
    def prompt(self) -> str:
        """The rendering in front of the completion."""
        return self.text(len(self.before.messages))

    @property
    def whole(self) -> str:
        """The rendering in front of the next completion."""
        return self.text(len(self.after.messages))

    @cached_property
    def turn(self) -> str:
        """The rendering up to the end of the assistant's turn, when nothing follows it."""
        text = self.text(len(self.before.messages) + 1, generation=False)
        stops = [text.rfind(end) + len(end) for end in self.ends if end in text]
        return text[: max(stops, default=len(text))]

    @cached_property
    def ends(self) -> list[str]:
        """Spellings of the tokens that end a turn."""
        return [self.chat.template.spelling(end) for end in self.chat.end_ids]

    @cached_property
    def verbatim(self) -> bool:
        """Whether the template writes the turn as it was sampled, now that something follows."""
        said = self.prompt + self.said.text
        return any(self.whole.startswith(said + end) for end in self.ends)

    @property
    def ended(self) -> bool:
        """Whether the turn has the end that the template writes, and not another of the model's."""
        return self.said.finish is not Finish.STOP or int(self.said.ids[-1]) == self.chat.end_id

    @cached_property
    def rewritten(self) -> bool:
        """Whether the template writes what came before otherwise, now that something follows."""
        if self.verbatim:
            return False
        return not (self.turn.startswith(self.prompt) and self.whole.startswith(self.turn))

    @property
    def added(self) -> str:
        """What the template writes behind the end of the turn; all that it writes after a fork."""
        if self.forked:
            return self.whole
        said = self.prompt + self.said.text
        stops = [len(said + end) for end in self.ends if self.whole.startswith(said + end)]
        return self.whole[max(stops, default=len(self.turn)) :]

    @property
    def fresh(self) -> tuple[Span, ...]:
        """The spans that are new: behind the completion, or all of them after a fork."""
        return self.after.spans[0 if self.forked else len(self.before.spans) + 1 :]

    @property
    def delta(self) -> Ids:
        """The new tokens, without the end of a turn that was cut."""
        closing = not self.forked and self.said.finish is not Finish.STOP
        return join(self.fresh)[1 if closing else 0 :]


def divergence(hop: Hop) -> str:
    """Where a template begins to write otherwise what it wrote before."""
    old = hop.turn if hop.whole.startswith(hop.prompt) else hop.prompt
    new = hop.whole
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(new))
    start = max(0, same - 16)
    return f"{old[start : same + 24]!r} becomes {new[start : same + 24]!r}"
