"""Environments out of any MCP tool server: its tools, and tasks from a JSONL file.

    {"question": "How many are left?", "answer": "3"}
    {"question": "Order two.", "check": {"tool": "orders", "arguments": {}, "expect": "2"}}

A line holds `question` and what makes it solved: an `answer` that the last text must be (or a list
of them), a `check` whose tool must then say what it expects, or both. It may hold `setup`, calls
before the first turn; `solution`, calls and a last text that solve it, which is the oracle; and
`split`. A server of a command belongs to one environment; one of a URL is shared by all.
"""

from __future__ import annotations

import inspect
import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agentrl.env import Reply
from agentrl.errors import DataError, EnvError
from agentrl.functions import Tool
from agentrl.toolenv import Outcome, ToolEnv
from agentrl.tools.mcp import McpServer
from agentrl.types import ToolCall

KEYS = ("question", "answer", "check", "setup", "solution", "split")
NEEDED = "a question and an answer or a check"


class Mcp(ToolEnv):
    """Questions that the tools of an MCP server help to answer, or whose state they change.

    Args:
        tasks: path of the JSONL file.
        command: program and arguments of a server on standard input and output.
        url: address of a server over HTTP; give this or `command`.
        variables: environment variables of `command`.
        hidden: names of tools that agents are not offered, such as those that reset and judge.
        fresh: start a server of a command anew for every episode.
        system: the system prompt.
        max_turns: of an episode.
        reward_weights: weight of each part (`answer`, `state`, `solved`) in the reward; None is
            `{"solved": 1.0}`.
        **settings: those of every `ToolEnv`: calls, listing and so on.

    Raises:
        ConfigError: not one of command and URL, or a value that cannot run.
        DataError: a file that is not what it should be.
        MissingDependencyError: mcp is not installed.
    """

    pickles = False  # a running server and its connection stay in the process that made them

    def __init__(
        self,
        *,
        tasks: str = "",
        command: Sequence[str] = (),
        url: str = "",
        variables: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
        fresh: bool = False,
        system: str = "",
        max_turns: int = 16,
        reward_weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.server = McpServer(command=command, url=url, variables=variables)
        weakref.finalize(self, self.server.close)  # nobody else knows that its process may end
        self.records = read(tasks)
        self.hidden = frozenset(hidden)
        self.fresh = fresh
        self.system_prompt = system
        self.max_turns = max_turns
        self.reward_weights = dict({"solved": 1.0} if reward_weights is None else reward_weights)

    def offered(self) -> Sequence[Tool]:
        """The server's tools but for the hidden ones. Raises: ToolError."""
        return [tool for tool in self.server.tools() if tool.name not in self.hidden]

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A line of the file."""
        return self.records[int(rng.integers(len(self.records)))]

    def begin(self, data: Mapping[str, Any]) -> str:
        """Make the calls that prepare the task; its question. Raises: DataError, EnvError."""
        checked(data, "the task")
        if self.fresh:
            self.server.close()
        for told in data.get("setup", ()):
            outcome = self.ask(told)
            if outcome.error:
                raise EnvError(f"the set-up call {told!r:.100} failed: {outcome.text}")
        return str(data["question"])

    def said(self, text: str) -> Reply:
        """The last text: compare it, and ask the judging tool."""
        parts: dict[str, float] = {}
        if (answer := self.data.get("answer")) is not None:
            right = [answer] if isinstance(answer, str) else answer
            parts["answer"] = float(canonical(text) in map(canonical, right))
        if check := self.data.get("check"):
            outcome = self.ask(check)
            found = not outcome.error and canonical(outcome.text) == canonical(check["expect"])
            parts["state"] = float(found)
        success = all(parts.values())
        return Reply(parts=parts, done=True, success=success, answer=canonical(text))

    def ask(self, told: Mapping[str, Any]) -> Outcome:
        """Make a call that a task writes, to any tool of the server."""
        tools = {tool.name: tool for tool in self.server.tools()}
        call = ToolCall(told["tool"], told.get("arguments", {}))
        outcomes = [self._outcome(call, tools)]
        if inspect.isawaitable(outcomes[0].value):
            self._finish(outcomes, {0: outcomes[0].value})
        return outcomes[0]

    def oracle(self) -> str:
        """The task's own solution, step by step."""
        return self._written(self.data)

    def expert(self, rng: np.random.Generator) -> str:
        """The step that some task's solution would take here."""
        solved = [record for record in self.records if "solution" in record]
        if not solved:
            raise NotImplementedError("no task has a `solution`: write some, or warm_start: null")
        return self._written(solved[int(rng.integers(len(solved)))])

    def _written(self, data: Mapping[str, Any]) -> str:
        if "solution" not in data:
            raise NotImplementedError(f"the task {data['question']!r:.60} has no `solution`")
        step = data["solution"][min(self.turn, len(data["solution"]) - 1)]
        if isinstance(step, str):
            return step
        return self.write([ToolCall(step["tool"], step.get("arguments", {}))])

    def close(self) -> None:
        """End the server of a command, and the connection to any."""
        super().close()
        self.server.close()


def canonical(text: str) -> str:
    """A text for comparing: lower case, single spaces, no full stop at the end."""
    return " ".join(text.casefold().split()).removesuffix(".")


def read(path: str) -> Sequence[Mapping[str, Any]]:
    """The tasks of a JSONL file; read once. Raises: DataError."""
    file = Path(path).expanduser()
    if not path or not file.is_file():
        raise DataError(f"tasks={path!r} is no file: give a JSONL file, {NEEDED} a line")
    found = _read(str(file), file.stat().st_mtime_ns)
    if not found:
        raise DataError(f"{path} holds no task: write {NEEDED} a line")
    return found


@lru_cache(maxsize=16)
def _read(path: str, _: int) -> Sequence[Mapping[str, Any]]:
    return tuple(_lines(Path(path)))


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                yield checked(json.loads(line), f"{file}:{number}")
            except json.JSONDecodeError as error:
                raise DataError(f"{file}:{number} is no JSON: {error}") from error


def checked(record: Any, where: str) -> Mapping[str, Any]:
    """A task that can be played. Raises: DataError."""
    if not isinstance(record, Mapping) or not isinstance(record.get("question"), str):
        raise DataError(f"{where} is no task: write {NEEDED}")
    if unknown := sorted(set(record) - set(KEYS)):
        raise DataError(f"{where} has the key {unknown[0]!r}: known are {', '.join(KEYS)}")
    answer, check = record.get("answer"), record.get("check")
    if answer is None and check is None:
        raise DataError(f"{where} says nothing that solves it: write an answer or a check")
    if answer is not None and not (
        isinstance(answer, str) or (isinstance(answer, list) and all(map(_is_text, answer)))
    ):
        raise DataError(f"{where} has the answer {answer!r:.60}: write a text or a list of them")
    if check is not None and not (_is_call(check) and isinstance(check.get("expect"), str)):
        raise DataError(f"{where} has the check {check!r:.60}: write tool, arguments and expect")
    wrong = [step for step in record.get("setup", ()) if not _is_call(step)]
    wrong += [s for s in record.get("solution", ()) if not (_is_text(s) or _is_call(s))]
    if wrong:
        raise DataError(f"{where} has the step {wrong[0]!r:.60}: write tool and arguments")
    return record


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_call(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("tool"), str)
        and isinstance(value.get("arguments", {}), Mapping)
    )
