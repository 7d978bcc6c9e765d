"""Experiences: short lessons in the prompt that a language model writes by comparing attempts.

The policy's weights stay; what changes is a pool of texts behind the first observation. Attempts at
a task are summarised, compared, and turned into operations on the pool; one more call merges the
operations of all tasks of a batch into a plan, which code applies.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from agentrl.direction import PLAIN, Direction
from agentrl.errors import PolicyError
from agentrl.protocols import Play
from agentrl.types import Episode, Group, Message, Task

Found = TypeVar("Found")

HEADING = "Experiences from earlier attempts, to be used where they fit:"

SUMMARISE = """Summarise this attempt at a task step by step: what was tried, what came back, and \
where it went right or wrong.

Task: {task}
Reward: {reward:g}
{transcript}"""

COMPARE = """Several attempts at one task are summarised below, with their rewards. Find out what \
the better ones did that the worse ones did not. Write at most {most} lessons that would help with \
other tasks of this kind, each one short sentence. The pool already says:
{pool}

Task: {task}
{summaries}

Answer with a JSON list of texts, nothing else."""

OPERATE = """Fit new lessons into a pool of experiences. The pool:
{pool}

New lessons:
{lessons}

Answer with a JSON list, one operation per lesson:
{{"op": "ADD", "text": ...}} for something new,
{{"op": "UPDATE", "id": "G0", "text": ...}} to improve an experience,
{{"op": "DELETE", "id": "G0", "text": reason}} for a wrong one,
{{"op": "NONE"}} for what the pool already says."""

MERGE = """Operations on one pool of experiences were proposed independently. Merge them into one \
plan without repetitions or contradictions. The pool:
{pool}

Proposed:
{operations}

Answer with a JSON list of operations in the same form, nothing else."""


class Operation(NamedTuple):
    """One change of the pool."""

    op: str
    """ADD, UPDATE, DELETE or NONE."""
    text: str = ""
    """The new text; of a DELETE the reason. An operation without it is skipped."""
    id: str = ""
    """`G` and the place in the pool as it was shown."""


def apply_plan(pool: Sequence[str], plan: Sequence[Operation]) -> list[str]:
    """The pool after a plan; ids are places in the pool before it, whatever the plan did so far.

    UPDATE of a missing id is an ADD, DELETE of one is nothing, and what has no text is skipped.
    """
    kept = {f"G{place}": text for place, text in enumerate(pool)}
    for number, change in enumerate(plan):
        if not change.text.strip():
            continue
        if change.op == "DELETE":
            kept.pop(change.id, None)
        elif change.op == "UPDATE" and change.id in kept:
            kept[change.id] = change.text
        elif change.op in ("ADD", "UPDATE"):
            kept[f"new {number}"] = change.text
    return list(kept.values())


def parse_list(text: str) -> list[Any] | None:
    """The JSON list that an answer holds, words around it or not; None if there is none."""
    found = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        value = json.loads(found.group()) if found else None
    except json.JSONDecodeError:  # what a model writes is data
        return None
    return value if isinstance(value, list) else None


def parse_lessons(text: str) -> list[str] | None:
    """A list of texts; None if the answer is something else."""
    found = parse_list(text)
    return found if found is not None and all(isinstance(item, str) for item in found) else None


def parse_plan(text: str) -> list[Operation] | None:
    """A list of operations; None if the answer is something else."""
    found = parse_list(text)
    if found is None or not all(is_operation(item) for item in found):
        return None
    return [Operation(item["op"], item.get("text", ""), item.get("id", "")) for item in found]


def is_operation(item: Any) -> bool:
    """Whether a JSON value is an operation: a known name, and texts otherwise."""
    if not isinstance(item, Mapping) or item.get("op") not in ("ADD", "UPDATE", "DELETE", "NONE"):
        return False
    return all(isinstance(item.get(name, ""), str) for name in ("text", "id"))


def partly_right(group: Group) -> bool:
    """Whether a group's attempts can be told apart, for rewards between 0 and 1.

    Formula: 0 < mean r < 1
    """
    rewards = [episode.main.reward for episode in group.live]
    return bool(rewards) and 0 < sum(rewards) / len(rewards) < 1


def numbered(pool: Sequence[str]) -> str:
    """The pool as the model sees it."""
    return "\n".join(f"[G{place}] {text}" for place, text in enumerate(pool)) or "(empty)"


def transcript(episode: Episode) -> str:
    """What the agent said and what the environment answered."""
    pairs = [(turn.completion.text, turn.reply) for turn in episode.main.turns]
    return "\n".join(f"Agent: {said}\nEnvironment: {reply}" for said, reply in pairs)


async def ask(
    play: Play, text: str, parse: Callable[[str], Found | None], *, tries: int, max_tokens: int
) -> Found | None:
    """The policy's answer, parsed; None if no try could be."""
    for attempt in range(tries):
        try:
            turn = await play.write([Message("user", text)], attempt, max_tokens)
        except PolicyError:  # too long to read, for example: the pool stays as it is
            continue
        found = parse(turn.completion.text)
        if found is not None:
            return found
    return None


class Experiences:
    """Attempts with a pool of experiences in the prompt, which each batch edits.

    All tasks of one round are one batch: the last to finish merges. The policy itself writes; what
    it is told of a task is the environment's record (`Task.data`), gold answer included if there.

    Formula: attempts read the pool; groups that are {lessons} give up to {most} lessons each; one
    plan per batch; {retries} retries of an answer that is not JSON
    """

    def __init__(
        self,
        *,
        most: int = 2,
        lessons: Literal["mixed", "all"] = "mixed",
        retries: int = 3,
        max_tokens: int = 1024,
    ) -> None:
        self.most = most
        self.lessons = lessons
        self.limits = {"tries": 1 + retries, "max_tokens": max_tokens}
        self.pool: list[str] = []
        self.proposed: dict[str, list[Operation]] = {}
        self.playing = 0

    async def __call__(self, task: Task, attempts: int, play: Play) -> Group:
        """Play, propose, and merge if no other task of the batch is still in play."""
        self.playing += 1
        try:
            group = await self.attempted(task, attempts, play)
            if self.lessons == "all" or partly_right(group):
                self.proposed[task.id] = await self.propose(group, play)
        finally:
            self.playing -= 1
        if not self.playing:
            await self.merge(play)
        return group

    async def attempted(self, task: Task, attempts: int, play: Play) -> Group:
        """Independent attempts that read the pool and leave it: what an evaluation plays."""
        hint = f"{HEADING}\n{numbered(self.pool)}"
        direction = Direction(hint=hint) if self.pool else PLAIN
        episodes = await asyncio.gather(*(play(task, i, direction) for i in range(attempts)))
        return Group(task=task, episodes=tuple(episodes))

    async def propose(self, group: Group, play: Play) -> list[Operation]:
        """Summaries of the attempts -> lessons of their comparison -> operations on the pool."""
        task, limits = json.dumps(dict(group.task.data), ensure_ascii=False), self.limits
        told = [(e.main.reward, transcript(e)) for e in group.live]
        asked = [SUMMARISE.format(task=task, reward=r, transcript=text) for r, text in told]
        answers = await asyncio.gather(*(ask(play, text, str, **limits) for text in asked))
        summaries = "\n\n".join(
            f"Attempt {number}, reward {reward:g}:\n{answer or text}"
            for number, ((reward, text), answer) in enumerate(zip(told, answers, strict=True))
        )
        pool = numbered(self.pool)
        text = COMPARE.format(most=self.most, pool=pool, task=task, summaries=summaries)
        lessons = await ask(play, text, parse_lessons, **limits)
        if not lessons:
            return []
        listed = "\n".join(lessons[: self.most])
        text = OPERATE.format(pool=pool, lessons=listed)
        return await ask(play, text, parse_plan, **limits) or []

    async def merge(self, play: Play) -> None:
        """Apply the batch's plan, in the tasks' order by id, whichever finished first."""
        proposed = [op for _, plan in sorted(self.proposed.items()) for op in plan]
        self.proposed = {}
        if all(change.op == "NONE" for change in proposed):
            return
        listed = "\n".join(json.dumps(op._asdict(), ensure_ascii=False) for op in proposed)
        text = MERGE.format(pool=numbered(self.pool), operations=listed)
        plan = await ask(play, text, parse_plan, **self.limits)
        self.pool = apply_plan(self.pool, plan or [])

    def state_dict(self) -> dict[str, Any]:
        """The pool; nothing is in play between steps."""
        return {"pool": list(self.pool)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with that pool."""
        self.pool = list(state["pool"])
