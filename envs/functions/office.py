"""The environment `agentrl/Office-v0`: serve a user of a small office, over several turns.

    user       Write to Ann: "Lunch is on me"      assistant  find_address(name="Ann")
    tool       ann@oak.org                         assistant  send_mail(to="ann@oak.org", text=...)
    tool       sent                                assistant  Done.
    user       Move the file notes.                assistant  Which folder?
    user       archive, please.                    ...

A text without calls ends the user's turn; the next one follows, whatever it said, unless `patience`
is false. What is judged, and how:

- `state`: 1 if at the end the office is as the right calls leave it: nothing is missing, nothing
  else was changed. Earned in the last turn of a dialogue that came to its end.
- `response`: share of the user's turns whose last text was right (`manners` has the rules). Where
  something is missing, it is right to ask for it, or to decline, before anything is changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from agentrl.env import Reply
from agentrl.envs.functions.calendar import DAYS, HOURS
from agentrl.envs.functions.desk import Desk, comparable
from agentrl.envs.functions.dialogues import MAX_TEXTS, REQUESTS, Plan, Turn, dialogue
from agentrl.envs.functions.expert import SLIP, Guesser, heard
from agentrl.envs.functions.manners import DECLINED, DONE, QUESTIONS, fits
from agentrl.envs.functions.words import (
    DOMAINS,
    FILES,
    FOLDERS,
    NAMES,
    PHONES,
    TEXTS,
    TITLES,
    Pick,
)
from agentrl.errors import ConfigError, suggestion
from agentrl.functions import Tool
from agentrl.spaces import weighted_range
from agentrl.toolenv import Outcome, ToolEnv
from agentrl.types import ToolCall

PROMPT = (
    "You work in the office of one user and have tools for contacts, mail, calendar and files. Do "
    "what the user asks for by calling tools, and nothing else; then answer, or say that it is "
    "done, in a text without calls. If the user leaves out something that you need, ask for it. "
    "If no tool can do it, say that you cannot. Hours are whole numbers from 9 to 16."
)
MAX_REQUESTS = 4
MIN_VOCABULARY = 8
"""Of each list; so many that no request runs out of names."""


class Office(ToolEnv):
    """Dialogues with the user of a simulated office.

    Args:
        requests: kinds of requests, names in `dialogues.REQUESTS`; None is all of them.
        turns: requests of a dialogue: fewest and most, or one number.
        tools: tools that are offered, needed ones included; those beyond are distractors.
        missing_argument: chance that a request lacks something that it cannot be done without;
            the user says it in the next turn.
        missing_tool: chance that a request, one of a dialogue at most, lacks its tool.
        offered_later: chance that the user then offers the tool and asks again.
        wording: `rich` has several wordings; `plain` has one, with values as Python literals.
        vocabulary: how many names, files, texts and so on there are; 0 is all.
        prompt: whether the system prompt explains the work.
        patience: whether a turn that ends with a wrong text lets the dialogue go on.
        max_turns: assistant's texts until truncation; None is half as many again as the oracle
            may need.
        expert_skill: chance that the expert's next text is the oracle's.
        expert_close: chance that the expert ends a turn after results.
        reward_weights: weight of each part in the reward; None is `{"solved": 1.0}`.
        **settings: those of every `ToolEnv`: calls, listing, max_calls and so on.

    Raises:
        ConfigError: a value that cannot run.
    """

    def __init__(
        self,
        *,
        requests: Sequence[str] | None = None,
        turns: int | tuple[int, int] = (1, 3),
        tools: int = 12,
        missing_argument: float = 0.15,
        missing_tool: float = 0.15,
        offered_later: float = 0.5,
        wording: Literal["rich", "plain"] = "rich",
        vocabulary: int = 0,
        prompt: bool = True,
        patience: bool = True,
        max_turns: int | None = None,
        expert_skill: float = 0.0,
        expert_close: float = 0.5,
        reward_weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        fewest, most = (turns, turns) if isinstance(turns, int) else turns
        self.plan = checked(
            Plan(
                requests=tuple(REQUESTS if requests is None else requests),
                turns=(fewest, most),
                tools=tools,
                missing_argument=missing_argument,
                missing_tool=missing_tool,
                offered_later=offered_later,
                plain=wording == "plain",
                vocabulary=vocabulary,
            )
        )
        self.expert_skill = chance("expert_skill", expert_skill)
        self.expert_close = chance("expert_close", expert_close)
        self.patience = patience
        self.max_turns = enough(max_turns, MAX_TEXTS * most)
        self.system_prompt = PROMPT if prompt else ""
        self.reward_weights = {"solved": 1.0} if reward_weights is None else reward_weights
        self.reward_range = weighted_range(self.reward_weights, ("solved", "state", "response"))
        self.desk, self.right_desk = Desk(), Desk()
        self.known: list[tuple[str, Any]] = []
        """What was heard since the user's request, by sort."""
        self.news: list[tuple[str, Any]] = []
        """What the last calls returned of it."""
        self.made: list[ToolCall] = []
        """The calls since the user's request."""

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Dialogues as they come, and short ones for small models."""
        small = {"turns": 1, "wording": "plain", "listing": "names", "patience": False}
        return {"": {}, "small": small, "prompted": {"listing": "prompt", "missing_tool": 0.5}}

    def secrets(self) -> Sequence[str]:
        """The right calls, as the agent writes them."""
        steps = [step for turn in self.data["turns"] for step in turn["steps"]]
        return [self.write([ToolCall(*call) for call in step]) for step in steps]

    # ---- play ----

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A random office and a dialogue in it."""
        return dialogue(rng, self.plan)

    def begin(self, data: Mapping[str, Any]) -> str:
        """Furnish the office and say the user's first words."""
        self.desk.load(data["office"])
        self.right_desk.load(data["office"])
        for turn in data["turns"]:
            for step in turn["steps"]:
                self.right_desk.run(step)
        self.place, self.num_right = 0, 0
        return self._user_says()

    def offered(self) -> Sequence[Tool]:
        """The tools of the first turn, and those that the user has offered since."""
        said = self.data["turns"][: self.place + 1]
        names = [*self.data["tools"], *(name for turn in said for name in turn["new"])]
        return [self.desk.tools[name] for name in names]

    def called(self, outcomes: Sequence[Outcome]) -> Reply:
        """Keep what the players look at: how far the turn is, what was called and heard."""
        self.texts += 1
        self.made += [ToolCall(one.call.name, one.call.arguments) for one in outcomes]
        self.failed = all(one.error for one in outcomes)
        self.news = heard(outcomes)
        self.known += [pair for pair in self.news if pair not in self.known]
        return Reply()

    def said(self, text: str) -> Reply:
        """Judge the end of the user's turn; go on with the next one, or judge the office."""
        turns = self.data["turns"]
        right = self._right(text)
        self.num_right += right
        self.place += 1
        parts = {"response": right / len(turns)}
        if self.place < len(turns) and (right or self.patience):
            return Reply(text=self._user_says(), parts=parts)
        finished = self.place == len(turns)
        self.place = min(self.place, len(turns) - 1)  # tools may be asked for after the end
        parts["state"] = float(finished and self._as_wanted())
        success = parts["state"] == 1.0 and self.num_right == len(turns)
        return Reply(parts=parts, done=True, success=success)

    def _user_says(self) -> str:
        """The user's words of this turn, with the schemas of tools that are new in it."""
        turn = self.data["turns"][self.place]
        self.texts, self.before = 0, json.dumps(self.desk.state())
        self.known = [(sort, value) for sort, value in turn["known"]]
        self.news, self.made, self.failed = [], [], False
        described = turn["new"] if self.listing in ("template", "prompt") else ()
        schemas = [json.dumps(self.desk.tools[name].schema["function"]) for name in described]
        return "\n".join([turn["says"], *schemas])

    def _right(self, text: str) -> bool:
        """Whether a text is the right end of this turn."""
        wanted = self.data["turns"][self.place]["wanted"]
        early = (
            wanted["kind"] in ("ask", "decline") and json.dumps(self.desk.state()) != self.before
        )
        return not early and fits(text, wanted)

    def _as_wanted(self) -> bool:
        """Whether the office is as the right calls leave it."""
        return comparable(self.desk.state()) == comparable(self.right_desk.state())

    # ---- players ----

    def oracle(self) -> str:
        """The right calls, step by step, then the right words."""
        turn: Turn = self.data["turns"][self.place]
        if self.texts < len(turn["steps"]):
            return self.write([ToolCall(*call) for call in turn["steps"][self.texts]])
        wanted = turn["wanted"]
        words = {"done": DONE, "decline": DECLINED}
        if wanted["kind"] == "ask":
            return QUESTIONS[wanted["value"]]
        return str(words.get(wanted["kind"]) or wanted["value"])

    def expert(self, rng: np.random.Generator) -> str:
        """A guess in the right form, see `Guesser`."""
        if rng.random() < self.expert_skill:
            return self.oracle()
        slips = not self.made and rng.random() < SLIP
        tools = list(self.desk.tools.values()) if slips else self.offered()
        guesser = Guesser(tools, self.known, rng)
        if self.failed or not self.made:
            guess = guesser.opening()
        else:
            guess = guesser.going_on(self.news, self.made, self.expert_close)
        return guess if isinstance(guess, str) else self.write(guess)

    def corpus(self) -> Iterator[str]:
        """Every word that requests, calls and results are made of."""
        used = Pick(np.random.default_rng(0), self.plan.vocabulary)
        for words in (NAMES, DOMAINS, PHONES, FOLDERS, FILES, TEXTS, TITLES):
            yield " ".join(map(repr, used.words(words)))
        yield " ".join(map(repr, (*DAYS, *HOURS)))
        yield from (DONE, DECLINED, *(f" {text}" for text in QUESTIONS.values()))


def checked(plan: Plan) -> Plan:
    """A plan that can run. Raises: ConfigError."""
    for name in plan.requests:
        if name not in REQUESTS:
            raise ConfigError(
                f"env.requests holds {name!r}: {suggestion(name, list(REQUESTS))}", "requests"
            )
    fewest, most = plan.turns
    if not plan.requests or not 1 <= fewest <= most <= MAX_REQUESTS:
        raise ConfigError(
            f"env.turns is {[fewest, most]} and env.requests {list(plan.requests)}: give 1 to "
            f"{MAX_REQUESTS} turns, the fewest first, and a kind of request",
            "turns",
        )
    if plan.vocabulary and plan.vocabulary < MIN_VOCABULARY:
        raise ConfigError(
            f"env.vocabulary is {plan.vocabulary}: give {MIN_VOCABULARY} or more, or 0 for all",
            "vocabulary",
        )
    for name in ("missing_argument", "missing_tool", "offered_later"):
        chance(name, getattr(plan, name))
    if plan.missing_argument + plan.missing_tool > 1:
        raise ConfigError(
            f"env.missing_argument and env.missing_tool are {plan.missing_argument} and "
            f"{plan.missing_tool}: together they are chances, 1 at most",
            "missing_tool",
        )
    return plan


def chance(name: str, value: float) -> float:
    """A probability. Raises: ConfigError."""
    if not 0 <= value <= 1:
        raise ConfigError(f"env.{name} is {value}: give a chance from 0 to 1", name)
    return value


def enough(max_turns: int | None, needed: int) -> int:
    """Turns in which the oracle can finish; None is half as many again. Raises: ConfigError."""
    if max_turns is not None and max_turns < needed:
        raise ConfigError(
            f"env.max_turns is {max_turns}: give at least {needed}, {MAX_TEXTS} for each request",
            "max_turns",
        )
    return needed * 3 // 2 if max_turns is None else max_turns
