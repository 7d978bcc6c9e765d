"""What the modules of a flow read and write: their prompts, a planner's plan, the memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PROMPTS: Mapping[str, str] = {
    "analyst": "Task: {task}\n\nSay briefly what the task asks and which skills it needs.",
    "planner": "Plan the next step of solving a task with tools. Write four lines:\n"
    "Justification: why this step\nContext: all that the tool needs to know\n"
    "Sub-Goal: what the step is to reach\nTool Name: one of the tools\n\nTools:\n{tools}\n\n"
    "Task: {task}\n{analysis}\nSteps so far:\n{memory}",
    "executor": "Write the command for the tool {tool}, and nothing else.\n\n{about}\n\n"
    "Task: {task}\nSub-goal: {sub_goal}\nContext: {context}",
    "verifier": "Judge whether the steps suffice to answer the task. End with STOP or CONTINUE."
    "\n\nTask: {task}\n{analysis}\nSteps so far:\n{memory}",
    "generator": "Write the final answer to the task.\n\nTask: {task}\n{analysis}\n"
    "Steps taken:\n{memory}",
}
FIELDS: Mapping[str, tuple[str, ...]] = {
    "analyst": ("task",),
    "planner": ("task", "tools", "analysis", "memory"),
    "executor": ("task", "tool", "about", "sub_goal", "context"),
    "verifier": ("task", "analysis", "memory"),
    "generator": ("task", "analysis", "memory"),
}
LINES = {"context": "context", "sub-goal": "sub_goal", "tool name": "tool", "tool": "tool"}
LABEL = re.compile(r"^[*#\s]*([A-Za-z][A-Za-z -]*?)\**\s*:\**\s*(.*)$")
Module = Literal["analyst", "planner", "executor", "verifier", "generator"]


class Plan(NamedTuple):
    """What a planner decided; empty where it did not say."""

    tool: str = ""
    sub_goal: str = ""
    context: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One action step as the memory keeps it; neither justifications nor verdicts are."""

    tool: str
    sub_goal: str
    command: str
    result: str


@dataclass(kw_only=True)
class FlowMemory:
    """The evolving memory of one episode: its steps, deterministically written down."""

    entry: str
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        """All steps, oldest first."""
        return "\n".join(
            self.entry.format(
                number=number,
                tool=step.tool,
                sub_goal=step.sub_goal,
                command=step.command,
                result=step.result,
            )
            for number, step in enumerate(self.steps, 1)
        )


def read_plan(text: str) -> Plan:
    """The labelled lines of a structured plan; a value goes on until the next label."""
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        match = LABEL.match(line)
        if match and match[1].strip().lower() in (*LINES, "justification"):
            label = LINES.get(match[1].strip().lower(), "")
            found[label] = match[2].strip()
        elif label:
            found[label] = f"{found[label]}\n{line}".strip()
    found.pop("", None)
    return Plan(**found)


def plain(name: str) -> str:
    """A tool's name without case, spaces, underscores and marks around it."""
    return re.sub(r"[\s_`*\"'.]+", "", name).lower()
