"""The environment `agentrl/CallStep-v0`: one thought, then the calls that the reference has.

    user       Write to Ann: "Lunch is on me"
    assistant  <think>I need her address.</think><tool_call>{"name": "find_address", ...

One step of a dialogue, with the dialogue so far; nothing is run. Parts of the reward, each 0 or 1:

- `format`: exactly one thought block, first, then calls, and nothing else.
- `match`: the calls equal the reference.
- `strict`: both; the only part that is paid unless `reward_weights` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from agentrl.env import SPLITS, Reply, check_split
from agentrl.envs.functions.expert import Guesser, heard
from agentrl.envs.functions.matching import (
    THINK,
    defaults_of,
    same_text,
    same_values,
    well_formed,
)
from agentrl.envs.functions.office import Office
from agentrl.envs.functions.xlam import read
from agentrl.errors import ConfigError, DataError
from agentrl.functions import Tool
from agentrl.spaces import weighted_range
from agentrl.toolenv import ToolEnv
from agentrl.types import Parse, Task, ToolCall

PROMPT = (
    "Think first, as <think>...</think>, once. Then write the calls of tools that come next, and "
    "nothing else."
)


class CallStep(ToolEnv):
    """Steps from a file, or cut out of generated office dialogues; each has its reference calls.

    Args:
        file: path of a file in the format of xlam-function-calling-60k (`xlam`); None generates.
        office: arguments of `Office` for the generator, for example its requests and wording.
        match: `ast` compares names and arguments by value, parallel calls in any order; `string`
            compares the text of the calls but for white space.
        opened: whether the model's chat template opens the thought itself.
        prompt: whether the system prompt explains the form.
        reward_weights: weight of each part in the reward; None is `{"strict": 1.0}`.
        **settings: those of every `ToolEnv`: calls, listing and so on.

    Raises:
        ConfigError: a value that cannot run.
        DataError: a file that is not what it should be.
    """

    def __init__(
        self,
        *,
        file: str | None = None,
        office: Mapping[str, Any] | None = None,
        match: Literal["ast", "string"] = "ast",
        opened: bool = False,
        prompt: bool = True,
        reward_weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if file is not None and office is not None:
            raise ConfigError("env.file and env.office: give one of them, not both", "office")
        self.file = file
        self.match = match
        self.opened = opened
        self.max_turns = 1
        self.system_prompt = PROMPT if prompt else ""
        self.reward_weights = {"strict": 1.0} if reward_weights is None else reward_weights
        self.reward_range = weighted_range(self.reward_weights, ("format", "match", "strict"))
        shared = {"result_chars": self.result_chars, "listing": self.listing}
        self.office = made_office({**shared, **(office or {})})
        if file is not None:
            read_once(file)

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Generated steps, judged both ways; files have their rows' difficulty."""
        halves = {"format": 0.5, "match": 0.5}
        loose = {"calls": "llama_pythonic", "match": "string", "reward_weights": halves}
        return {"": {}, "string": loose}

    # ---- tasks ----

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` tasks: of the file's, in an order drawn by `seed`, or generated ones."""
        if self.file is None:
            return super().tasks(split, count, seed)
        check_split(split)
        pool = pools(self.file, self.id)[split]
        if not pool:
            raise DataError(f"{self.file} has no row in the split {split!r}: give a longer file")
        return [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))[:count]]

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A random row of the file, or a random step of a random dialogue."""
        if self.file is not None:
            rows = read_once(self.file)
            return from_row(rows[int(rng.integers(len(rows)))])
        found: list[dict[str, Any]] = []
        while not found:
            found = list(steps(self.office, self.office.new_task(rng)))
        return found[int(rng.integers(len(found)))]

    # ---- play ----

    def begin(self, data: Mapping[str, Any]) -> str:
        """The dialogue so far: the user's words alone, or lines of who said what."""
        self.reference = [ToolCall(*call) for call in data["calls"]]
        self.defaults = defaults_of(data["tools"])
        if len(data["dialogue"]) == 1:
            return str(data["dialogue"][0][1])
        return "\n".join(f"{role}: {self._shown(said)}" for role, said in data["dialogue"])

    def offered(self) -> Sequence[Tool]:
        """The step's tools, which nobody runs."""
        return [
            Tool(name=one["name"], schema={"type": "function", "function": one}, call=dict)
            for one in self.data["tools"]
        ]

    def act(self, text: str) -> Reply:
        """Judge the text; one text is all there is."""
        text = THINK + text if self.opened else text
        self.heard = self.form.parse(text)
        form = well_formed(text, self.heard)
        match = self.heard.status is Parse.OK and self._matches(text)
        strict = form and match
        parts = {"format": float(form), "match": float(match), "strict": float(strict)}
        return Reply(parts=parts, done=True, success=strict, parse=self.heard.status)

    def _matches(self, text: str) -> bool:
        if self.match == "string":
            return same_text(text, self.reference, self.form)
        return same_values(self.heard.calls, self.reference, self.defaults)

    def _shown(self, said: Any) -> str:
        """Words as they are, calls as the model writes them."""
        return said if isinstance(said, str) else self.form.write([ToolCall(*c) for c in said])

    # ---- players ----

    def oracle(self) -> str:
        """The reference, with a thought that names its tools."""
        return self._thought(self.reference)

    def expert(self, rng: np.random.Generator) -> str:
        """A thought and calls of any tool, with any of the values that could be its arguments."""
        return self._thought(self._guess(rng))

    def corpus(self) -> Iterator[str]:
        """What the office's words are, where dialogues are generated."""
        return iter(()) if self.file is not None else iter(self.office.corpus())

    def _thought(self, calls: Sequence[ToolCall]) -> str:
        names = dict.fromkeys(call.name for call in calls)
        text = self.write(calls, thinking=f"Call {' and '.join(names)}.")
        return text.removeprefix(THINK) if self.opened else text

    def _guess(self, rng: np.random.Generator) -> list[ToolCall]:
        known = [(sort, value) for sort, value in self.data["known"]]
        if calls := Guesser(self.offered(), known, rng).calls(known):
            return calls
        values = [value for call in self.reference for value in call.arguments.values()]
        tool = self.data["tools"][int(rng.integers(len(self.data["tools"])))]
        names = tool["parameters"].get("required", ()) if values else ()
        return [ToolCall(tool["name"], {n: values[int(rng.integers(len(values)))] for n in names})]


def made_office(settings: Mapping[str, Any]) -> Office:
    """The office that dialogues are played in. Raises: ConfigError."""
    try:
        return Office(**settings)
    except TypeError as error:  # an unknown argument, which Python itself words well
        raise ConfigError(f"env.office: {error}", "office") from None


def steps(office: Office, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps of a dialogue that are calls, each with what was said before it."""
    office.reset(options={"task": data})
    before: list[list[Any]] = [["user", data["turns"][0]["says"]]]
    for turn in data["turns"]:
        known = [*turn["known"]]
        for step in turn["steps"]:
            tools = [offer.schema["function"] for offer in office.offered()]
            yield {"tools": tools, "dialogue": [*before], "calls": step, "known": [*known]}
            outcomes = office.run([ToolCall(*call) for call in step])
            known += [list(pair) for pair in heard(outcomes)]
            before.append(["assistant", step])
            before += [["tool", outcome.text] for outcome in outcomes]
            office.called(outcomes)
        closing = office.oracle()
        before += [["assistant", closing], ["user", office.said(closing).text]]


def from_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a file as a task's data."""
    dialogue = [["user", row["query"]]]
    return {"tools": row["tools"], "dialogue": dialogue, "calls": row["calls"], "known": []}


@lru_cache(maxsize=4)
def read_once(file: str) -> list[dict[str, Any]]:
    """The rows of a file, read once per process. Raises: DataError."""
    return read(file)


@lru_cache(maxsize=4)
def pools(file: str, env: str) -> Mapping[str, Sequence[Task]]:
    """A file's tasks by split, each once."""
    tasks = {
        task.id: task for row in read_once(file) if (task := Task(env=env, data=from_row(row)))
    }
    return {split: [task for task in tasks.values() if task.split == split] for split in SPLITS}
