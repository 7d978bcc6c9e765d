"""Prompts made anew for every turn: a template holds the task, the last turns, and what is now.

Every turn is a sample of its own, as in verl-agent, so its context does not grow with the episode.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from string import Formatter
from typing import Any, NamedTuple

from agentrl.agents.chat import ChatAgent, Exchange, Limits, Memory
from agentrl.calls import thinking
from agentrl.errors import ConfigError, suggestion
from agentrl.protocols import Chat

FIRST = "{observation}{admissible}"
PROMPT = "{task}\n\nTurn {turn}. What was said and seen last:\n{history}{admissible}"
ENTRY = "> {action}\n{observation}"


class Template(NamedTuple):
    """How prompts are written; each is a format string with the names that `FIELDS` lists."""

    prompt: str
    first: str
    entry: str
    choices: str


FIELDS = {
    "prompt": {"task", "turn", "history", "observation", "admissible"},
    "first": {"observation", "admissible"},
    "entry": {"action", "observation"},
    "choices": {"admissible"},
}


class Stepwise(Memory):
    """The prompt of now, and what it is made from."""

    def __init__(
        self,
        chat: Chat,
        text: str,
        info: Mapping[str, Any],
        *,
        template: Template,
        history: int,
    ) -> None:
        self.template, self.history = template, history
        self.task = text
        self.past: list[Exchange] = []
        prompt = template.first.format(observation=text, admissible=self._choices(info))
        super().__init__(chat, prompt, info)

    def take(self, exchange: Exchange) -> None:
        """Write the next prompt."""
        self.past.append(exchange)
        entry = self.template.entry
        shown = self.past[-self.history :] if self.history else []
        prompt = self.template.prompt.format(
            task=self.task,
            turn=len(self.past) + 1,
            history="\n".join(
                entry.format(action=spoken(turn.completion.text), observation=turn.text)
                for turn in shown
            ),
            observation=exchange.text,
            admissible=self._choices(exchange.info),
        )
        message = self.first[-1]._replace(content=prompt)
        self.dialogue = self.chat.opening([*self.first[:-1], message], self.tools)

    def _choices(self, info: Mapping[str, Any]) -> str:
        admissible = info.get("admissible")
        if not admissible or not self.template.choices:
            return ""
        return self.template.choices.format(admissible=", ".join(admissible))


class StepwiseAgent(ChatAgent):
    """Writes a prompt for every turn.

    Args:
        limits: of tokens and seconds.
        history: how many of the last turns the prompt shows.
        prompt: from the second turn on, with `{task}` (the first observation), `{turn}`,
            `{history}`, `{observation}` (the last) and `{admissible}`.
        first: the first turn's, with `{observation}` and `{admissible}`.
        entry: one turn of the history, with `{action}` (without its thoughts) and `{observation}`.
        choices: what `{admissible}` becomes where the environment says what may be done (in
            `info["admissible"]`); empty leaves it out.

    Raises:
        ConfigError: a name in braces that there is not, or a negative history.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        history: int = 2,
        prompt: str = PROMPT,
        first: str = FIRST,
        entry: str = ENTRY,
        choices: str = "\n\nYou may: {admissible}",
    ) -> None:
        super().__init__(limits)
        if history < 0:
            raise ConfigError(f"history is {history}: give 0 or more turns", "history")
        template = Template(prompt, first, entry, choices)
        for name, text in template._asdict().items():
            check_names(name, text, FIELDS[name])
        self.memory = partial(Stepwise, template=template, history=history)


def check_names(name: str, text: str, known: Collection[str]) -> None:
    """Refuse a template with other names than the known ones. Raises: ConfigError."""
    try:
        used = [field for _, field, _, _ in Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise ConfigError(f"{name} is {text!r}: {error}; write {{{{ for a brace", name) from error
    for field in used:
        if field not in known:
            close = suggestion(field, sorted(known))
            raise ConfigError(
                f"{name} has no {{{field}}}: {close}; write {{{{ for a brace",
                name,
            )
    try:
        text.format(**dict.fromkeys(known, "") | {"turn": 1})
    except (ValueError, LookupError) as error:  # what follows a colon or an exclamation mark
        raise ConfigError(f"{name} is {text!r}: {error}; write {{{{ for a brace", name) from error


def spoken(text: str) -> str:
    """What was said without the thoughts before it."""
    return thinking(text)[1].strip()
