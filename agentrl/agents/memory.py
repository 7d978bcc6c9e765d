"""Agents that read less than everything: a window of the last turns, or a summary of their own.

    window      [task, "...", the reply before the window] [turn] [turn] [turn]
    summary     [task, summary, the last reply] [turn] [turn] [question] -> the next summary

A context that drops turns begins a new sample (`samples.py`). Kept turns stay in the ids that were
sampled: they are followed again, never rendered from text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from agentrl.agents.chat import ChatAgent, Exchange, Limits, Memory, asking
from agentrl.errors import ConfigError
from agentrl.protocols import Chat

QUESTION = "Summarise what matters for the task so far."


class Window(Memory):
    """The task and the last `turns` turns."""

    def __init__(self, chat: Chat, text: str, info: Mapping[str, Any], *, turns: int) -> None:
        super().__init__(chat, text, info)
        self.turns = turns
        self.past: list[Exchange] = []

    def take(self, exchange: Exchange) -> None:
        """Go on, and let the oldest turn go where there are too many."""
        self.past.append(exchange)
        if len(self.past) <= self.turns:
            return super().take(exchange)
        dropped, *kept = self.past[-self.turns - 1 :]
        count = len(self.past) - len(kept)
        note = f"... {count} {'turn' if count == 1 else 'turns'} left out ...\n\n{dropped.text}"
        self.dialogue = self.chat.opening(asking(self.first, note), self.tools)
        for turn in kept:
            self.dialogue = turn.continued(self.chat, self.dialogue)
        return None


class Summary(Memory):
    """The task, what the policy wrote of the turns so far, and the turns since."""

    def __init__(
        self, chat: Chat, text: str, info: Mapping[str, Any], *, every: int, asked: str
    ) -> None:
        super().__init__(chat, text, info)
        self.every = every
        self.asked = asked
        self.past: list[Exchange] = []

    def take(self, exchange: Exchange) -> None:
        """Go on; ask for a summary after every so many turns."""
        self.past.append(exchange)
        self.question = self.asked if len(self.past) % self.every == 0 else ""
        self.dialogue = exchange.continued(self.chat, self.dialogue, self.question)

    def answered(self, text: str) -> None:
        """Begin anew behind the summary."""
        self.question = ""
        written = f"Summary of the first {len(self.past)} turns:\n{text.strip()}"
        opening = asking(self.first, f"{written}\n\n{self.past[-1].text}")
        self.dialogue = self.chat.opening(opening, self.tools)

    def recited(self) -> str:
        """What was said so far, one line a turn."""
        return "\n".join(turn.completion.text.strip() for turn in self.past)


class WindowAgent(ChatAgent):
    """Reads the task and the last `turns` turns; earlier ones are left out, and it is told so.

    Raises:
        ConfigError: a window without turns.
    """

    def __init__(self, limits: Limits, *, turns: int = 4) -> None:
        super().__init__(limits)
        self.memory = partial(Window, turns=at_least_one("turns", turns))


class SummaryAgent(ChatAgent):
    """Summarises after `every` turns; the summary stands for them from then on.

    Summaries are sampled and trained like any other turn: they earn nothing by themselves, and
    what the episode earns is theirs too. Scripted players recite what was said instead.

    Raises:
        ConfigError: no turns between two summaries, or an empty question.
    """

    def __init__(self, limits: Limits, *, every: int = 4, question: str = QUESTION) -> None:
        super().__init__(limits)
        if not question.strip():
            raise ConfigError(f"question is {question!r}: ask for a summary", "question")
        self.memory = partial(Summary, every=at_least_one("every", every), asked=question)


def at_least_one(name: str, value: int) -> int:
    """A count of turns. Raises: ConfigError."""
    if value < 1:
        raise ConfigError(f"{name} is {value}: give at least 1 turn", name)
    return value
