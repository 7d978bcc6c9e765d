"""BFCL as an environment: one call for one text, or a conversation over simulated services."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from agentrl.env import SPLITS, Reply, check_split
from agentrl.envs.bfcl import possible
from agentrl.envs.bfcl.data import UNSOLVABLE, Entry, chosen, entries, entry
from agentrl.envs.bfcl.judge import Trial, judged
from agentrl.envs.bfcl.package import ast_checker
from agentrl.envs.bfcl.prompts import (
    more_functions,
    prompting,
    steps,
    system_text,
    told_results,
    user_text,
)
from agentrl.envs.bfcl.report import scores
from agentrl.envs.bfcl.results import Result, as_result, export
from agentrl.envs.bfcl.schemas import arguments, hinted, schema
from agentrl.envs.bfcl.services import FAILED
from agentrl.errors import ConfigError, DataError, EmptySplitError
from agentrl.functions import Tool
from agentrl.toolenv import Listing, Outcome, ToolEnv
from agentrl.types import Group, Parse, Task, ToolCall

STYLES = ("tools", "prompt")
DECLINED = "None of these functions can do that."
FINISHED = "Done."


class Bfcl(ToolEnv):
    """The Berkeley Function Calling Leaderboard; the package bfcl-eval alone decides what is right.

    In single-turn categories the first text is the answer: its calls are compared with the possible
    answers and never run. Where a text that is no well-formed call declines, as in irrelevance, the
    package counts that as right, and so does this. In multi-turn categories calls run on the
    episode's own services until a text without well-formed calls ends the user's turn; the task is
    solved if all user turns are, which is told to nobody before the end. The part `turns` is the
    share of user turns that are right; it has no weight unless `reward_weights` gives it one.

    The splits are disjoint by id, like those of every environment: an eighth of the entries, by a
    hash of their content, is `test`. The four multi-turn variants of one scenario are in the same
    split. A benchmark is both splits together. Entries of which the package's checker refuses every
    answer (`data.UNSOLVABLE`) are no tasks.

    The oracle says the data set's own answers. In relevance there are none: it declines where
    declining is right, and calls the first function with made-up arguments where a call is. A
    player that says nothing is right in `irrelevance` and `live_irrelevance`, and nowhere else.

    Args:
        categories: names of categories and of groups, such as `simple` or `multi_turn` (`data.py`).
        result_name: under which result files are written; the official command line evaluates only
            names of models that it knows, such as `gpt-4o-2024-11-20-FC`. Default: the player's.
        style: `tools` offers schemas, with underscores for the dots in names; `prompt` tells of
            functions in the package's own system prompt, which wants `[f(a=1)]` in every model.
        calls: the format of calls for models whose template teaches none.
        listing: how agents learn of their tools, as in every `ToolEnv`.
        max_calls: in one text; with more of them none is run.
        result_chars: of one result; the longest that a gold call prints has 32,000.
        tool_seconds: as in every `ToolEnv`; nothing here waits.
        render_mode: as Gymnasium has it.

    Raises:
        ConfigError: a category that is unknown or does not run, with the reason.
        MissingDependencyError: no bfcl-eval.
    """

    reward_weights: ClassVar[Mapping[str, float]] = {"solved": 1.0}  # type: ignore[misc]
    reward_range = (0.0, 1.0)

    def __init__(
        self,
        *,
        categories: str | Sequence[str] = "all",
        result_name: str = "",
        style: Literal["tools", "prompt"] = "tools",
        calls: str = "hermes",
        listing: Listing = "template",
        max_calls: int = 64,
        result_chars: int = 40_000,
        tool_seconds: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        if style not in STYLES:
            raise ConfigError(f"unknown style {style!r}: choose {' or '.join(STYLES)}", "style")
        self.dots = style == "prompt"
        super().__init__(
            calls="llama_pythonic" if self.dots else calls,
            listing="none" if self.dots else listing,
            max_calls=max_calls,
            result_chars=result_chars,
            tool_seconds=tool_seconds,
            render_mode=render_mode,
        )
        ast_checker()  # says what is missing before anything is played
        self.categories = chosen(categories)
        self.result_name = result_name
        self.entry: Entry
        self.trial: Trial | None = None
        self.said_so_far: list[list[Result]] = []
        """Per user turn what the texts came to."""
        self._pool: dict[str, list[Task]] = {}

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Categories in which something must be said; in irrelevance silence is right."""
        asked = ("simple", "parallel", "live_relevance", "multi_turn")
        prompt = {"prompt": {"categories": "multi_turn", "style": "prompt"}}
        return {name: {"categories": name} for name in asked} | prompt

    def secrets(self) -> Sequence[str]:
        """The data set's own calls of a conversation."""
        return [text for turn in self.entry.gold for text in turn if "=" in text and self.trial]

    # ---- tasks ----

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` entries of a split, shuffled by `seed`."""
        check_split(split)
        if not self._pool:
            self._pool = {name: [] for name in SPLITS}
            for one in self._playable():
                task = task_of(one, self.id)
                self._pool[task.split].append(task)
        found = self._pool[split]
        if not found:
            raise EmptySplitError(
                f"{self.id} has no task in the split {split!r} of {self.categories}"
            )
        order = np.random.default_rng(seed).permutation(len(found))
        return [found[place] for place in order[:count]]

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A random entry."""
        category = self.categories[int(rng.integers(len(self.categories)))]
        known = [one for one in entries(category).values() if one.id not in UNSOLVABLE]
        return task_of(known[int(rng.integers(len(known)))], self.id).data

    def _playable(self) -> list[Entry]:
        found = [one for category in self.categories for one in entries(category).values()]
        return [one for one in found if one.id not in UNSOLVABLE]

    # ---- play ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode; the style `prompt` keeps its own format of calls."""
        more = {**(options or {}), "calls": "plain"} if self.dots else options
        return super().reset(seed=seed, options=more)

    def begin(self, data: Mapping[str, Any]) -> str:
        """Look the entry up, and start its services. Raises: DataError, MissingDependencyError."""
        self.entry = entry(str(data.get("id")))
        self.trial = Trial(self.entry) if self.entry.multi_turn else None
        self.said_so_far = [[]]
        self.max_turns = len(self.entry.question) * (steps() + 1) if self.trial else 1
        system = system_text(self.entry.question[0])
        self.system_prompt = prompting(self.entry.functions, system) if self.dots else system
        return user_text(self.entry.question[0])

    def offered(self) -> list[Tool]:
        """The entry's functions; some come only in a later user turn."""
        late = self.entry.missed.items()
        added = [one for turn, held in late if turn <= self._turn for one in held]
        documents = [*map(hinted, self.entry.functions), *added]
        schemas = [schema(one, self.dots) for one in documents]
        return [
            Tool(name=name, schema=one, call=partial(self._run, name))
            for one in schemas
            if (name := one["function"]["name"])
        ]

    @property
    def _turn(self) -> int:
        return self.trial.turn if self.trial else 0

    def _run(self, name: str, given: Mapping[str, Any]) -> str:
        return self.trial.run([ToolCall(name, given)])[0] if self.trial else ""

    def act(self, text: str) -> Reply:
        """Judge a single turn; in a conversation run the calls, or let the user go on."""
        self.heard = self.form.parse(text)
        parse = Parse.MALFORMED if self.heard.status is Parse.MALFORMED else Parse.OK
        if self.trial and len(self.heard.calls) > self.max_calls:
            return self._refused(text)
        self.said_so_far[-1].append(as_result(self.heard.calls, text))
        if self.trial is None:
            verdict = judged(self.entry, self.heard.calls, self.dots)
            return self._ended(bool(verdict["valid"]), {}, parse)
        if self.heard.calls:
            return self._called(self.trial)
        self.trial.close()
        return self._next(self.trial, parse)

    def _refused(self, text: str) -> Reply:
        self.said_so_far[-1].append(text)
        count = f"{len(self.heard.calls)} calls in one text, at most {self.max_calls} are run"
        return Reply(text=f"Error: {count}: none was", parse=Parse.MALFORMED)

    def _called(self, trial: Trial) -> Reply:
        results = trial.run(self.heard.calls)
        outcomes = [
            Outcome(call=call, value=result, text=self._cut(result), error=failed(result))
            for call, result in zip(self.heard.calls, results, strict=True)
        ]
        if len(self.said_so_far[-1]) >= steps():
            trial.close()
            return self._conversed(trial, Parse.OK)
        if not self.dots:
            return self._answered(outcomes, Reply())
        names = [self.form.write([one.call])[1:-1] for one in outcomes]
        return Reply(text=told_results(names, [one.text for one in outcomes]))

    def _next(self, trial: Trial, parse: Parse) -> Reply:
        """The user's next turn."""
        if trial.over:
            return self._conversed(trial, parse)
        self.said_so_far.append([])
        text = user_text(self.entry.question[trial.turn])
        if late := self.entry.missed.get(trial.turn):
            told = late if self.dots else json.dumps([schema(one, False) for one in late])
            text = more_functions(told)
        return Reply(text=text, parse=parse)

    def _conversed(self, trial: Trial, parse: Parse) -> Reply:
        held = sum(bool(verdict["valid"]) for verdict in trial.verdicts)
        parts = {"turns": held / len(self.entry.question)}
        return self._ended(bool(trial.verdict["valid"]), parts, parse)

    def _ended(self, success: bool, parts: Mapping[str, float], parse: Parse) -> Reply:
        said: Any = self.said_so_far if self.trial else self.said_so_far[0][0]
        answer = json.dumps(said)
        return Reply(done=True, success=success, parts=parts, parse=parse, answer=answer)

    # ---- players ----

    def oracle(self) -> str:
        """The data set's own answer."""
        if self.trial:
            left = self.trial.left()
            return self.write(left[: self.max_calls]) if left else FINISHED
        if "relevance" not in self.entry.category:
            return self.write(possible.calls(self.entry, self.dots))
        if not self.entry.wants_calls:
            return DECLINED
        first = self.offered()[0]
        told = first.schema["function"]["parameters"]
        return self.write([ToolCall(first.name, arguments(told, np.random.default_rng(0)))])

    def expert(self, rng: np.random.Generator) -> str:
        """A call of some function with arguments that its schema allows, or none."""
        tools = self.offered()
        if not tools or rng.random() < 0.25:
            return DECLINED
        one = tools[int(rng.integers(len(tools)))]
        told = one.schema["function"]["parameters"]
        try:
            return self.write([ToolCall(one.name, arguments(told, rng))])
        except DataError:  # a parameter that this format of calls has no way to name
            return DECLINED

    # ---- the benchmark ----

    def scores(self, groups: Sequence[Group]) -> Mapping[str, Any]:
        """Accuracy per category, and the package's own means where all their categories ran."""
        return scores(groups, self.categories)

    def export(self, groups: Sequence[Group], folder: Path, player: str) -> list[Path]:
        """The package's own result and score files, under `result` and `score`."""
        return export(groups, folder, self.result_name or player)


def failed(result: str) -> bool:
    """Whether what a call printed is an error."""
    return result.startswith((FAILED, '{"error"'))


def task_of(one: Entry, env: str) -> Task:
    """An entry as a task; `twin` moves the variants of one scenario to the same split."""
    task = Task(env=env, data={"id": one.id, "question": [list(turn) for turn in one.question]})
    if not one.multi_turn or one.category == "multi_turn_base":
        return task
    scenario = f"multi_turn_base_{one.id.rpartition('_')[2]}"
    wanted, twin = task_of(entry(scenario), env).split, 0
    while task.split != wanted:
        twin += 1
        task = replace(task, data={**task.data, "twin": twin})
    return task
