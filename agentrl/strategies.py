"""Strategies: which attempts a group is made of, and what the papers' own strategies share.

A strategy sees the environment's own rewards, before any shaping. Attempt numbers fix the draws, so
every further attempt at a task takes a new number; the group numbers its members anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentrl.direction import PLAIN, Direction
from agentrl.errors import EnvError, PolicyError
from agentrl.protocols import Play
from agentrl.types import Episode, Group, Message, Task, Trajectory


async def independent(task: Task, attempts: int, play: Play) -> Group:
    """`attempts` independent episodes.

    Formula: G independent attempts
    """
    return grouped(task, await together(task, range(attempts), play))


async def demonstrated(
    task: Task, attempts: int, play: Play, *, script: str = "oracle", every_task: bool = False
) -> Group:
    """A group without any success gets one demonstration by the environment's own player.

    The demonstration is an off-policy member that nobody sampled: its behaviour log-probs are 0,
    so the ratio is the policy's probability, and a weight that compares trainer and sampler has no
    meaning on it.

    Formula: G attempts and, where none succeeds (every task: {every_task}), one of the {script}
    """
    group = await independent(task, attempts, play)
    if not (every_task or unsolved(group.episodes)):
        return group
    shown = await play(task, attempts, Direction(script=script, level=1))
    return grouped(task, [*group.episodes, replace(shown, off_policy=True)])


demonstrated.without_behaviour = True  # type: ignore[attr-defined]


class HorizonCurriculum:
    """Short episodes first; the turn limit rises a stage whenever success passes a bound.

    Success is a running mean over groups. A step's groups are played at once, so they all have the
    limit that earlier steps led to. Behind the last stage there is only the environment's limit.

    Formula: turns <= {stages}[s]; s rises once the mean success over groups (decay {decay}) is at
    least {bound}
    """

    def __init__(
        self, *, stages: tuple[int, ...] = (1, 2, 4, 8), bound: float = 0.6, decay: float = 0.9
    ) -> None:
        self.stages = stages
        self.bound = bound
        self.decay = decay
        self.stage = 0
        self.success = 0.0
        self.pending: list[tuple[int, str, float]] = []
        """Step, task and success of groups that are not in the mean yet."""

    async def __call__(self, task: Task, attempts: int, play: Play) -> Group:
        """Independent attempts under the stage's limit."""
        due = sorted(seen for seen in self.pending if seen[0] < play.step)
        self.pending = [seen for seen in self.pending if seen[0] >= play.step]
        for _, _, rate in due:  # in an order that no timing can change
            self.observe(rate)
        limit = self.stages[self.stage] if self.stage < len(self.stages) else None
        direction = Direction(max_turns=limit)
        group = grouped(task, await together(task, range(attempts), play, direction))
        self.pending.append((play.step, task.id, success_rate(group.episodes)))
        return group

    def observe(self, rate: float) -> None:
        """Move the running mean, and to the next stage where it passes the bound."""
        self.success = self.decay * self.success + (1 - self.decay) * rate
        if self.success >= self.bound and self.stage < len(self.stages):
            self.stage, self.success = self.stage + 1, 0.0

    def state_dict(self) -> dict[str, Any]:
        """Stage, running mean, and what is not in it yet."""
        pending = [list(seen) for seen in self.pending]
        return {"stage": self.stage, "success": self.success, "pending": pending}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.stage, self.success = int(state["stage"]), float(state["success"])
        self.pending = [(int(step), str(task), float(r)) for step, task, r in state["pending"]]


# Playing and putting together


async def together(
    task: Task, numbers: Iterable[int], play: Play, direction: Direction = PLAIN
) -> list[Episode]:
    """The attempts of these numbers, all under one direction."""
    return list(await asyncio.gather(*(play(task, number, direction) for number in numbers)))


def grouped(task: Task, episodes: Sequence[Episode], **notes: float) -> Group:
    """The episodes as a group, numbered in their order."""
    numbered = tuple(replace(episode, attempt=i) for i, episode in enumerate(episodes))
    return Group(task=task, episodes=numbered, notes=notes)


def live(episodes: Sequence[Episode]) -> list[Episode]:
    """Those that did not fail."""
    return [episode for episode in episodes if not episode.main.status.failed]


def success_rate(episodes: Sequence[Episode]) -> float:
    """The share of successes among those that did not fail; 0 without any."""
    played = live(episodes)
    return sum(episode.main.success for episode in played) / max(1, len(played))


def unsolved(episodes: Sequence[Episode], most: float = 0.0) -> bool:
    """Whether something was played and at most the share `most` of it succeeded."""
    return bool(live(episodes)) and success_rate(episodes) <= most


def best(rewards: Sequence[float]) -> int:
    """The place of the largest reward, the first of equal ones."""
    return max(range(len(rewards)), key=rewards.__getitem__)


def beside(group: Group, place: int, trajectory: Trajectory) -> Group:
    """The group with one more trajectory in the episode at `place`."""
    episode = group.episodes[place]
    cast = (*episode.trajectories, trajectory)
    return with_member(group, place, replace(episode, trajectories=cast))


def with_member(group: Group, place: int, episode: Episode) -> Group:
    """The group with another episode at `place`."""
    members = (*group.episodes[:place], episode, *group.episodes[place + 1 :])
    return replace(group, episodes=members)


def with_main(episode: Episode, **changes: Any) -> Episode:
    """The episode with fields of its main trajectory changed."""
    main = replace(episode.main, **changes)
    return replace(episode, trajectories=(main, *episode.trajectories[1:]))


# Help


async def hints_of(task: Task, play: Play) -> Mapping[str, Sequence[str]]:
    """The environment's hints by tier; none where it broke while it was asked.

    Raises:
        EnvError: the environment has no hints at all.
    """
    try:
        hints: Mapping[str, Sequence[str]] = await play.ask(task, "hints")
    except EnvError as error:  # one that hangs or breaks costs this group its help, not the run
        if isinstance(error.__cause__, NotImplementedError):
            raise
        return {}
    return hints


def rungs(hints: Mapping[str, Sequence[str]], tiers: Sequence[str]) -> list[str]:
    """Hints of rising strength: tier by tier, in each one item more at a time."""
    present = [hints[tier] for tier in tiers if tier in hints]
    return ["\n".join(items[: i + 1]) for items in present for i in range(len(items))]


async def scaffolded(
    task: Task,
    attempts: int,
    play: Play,
    *,
    warmup_steps: int = 50,
    tiers: tuple[str, ...] = ("knowledge", "planning", "solution"),
    replace_index: int | None = None,
    plain_training: bool = False,
) -> Group:
    """Replace one failed attempt of an unsolved group by the least hinted success.

    `plain_training` trains it under the prompt without the hint, which the paper found unstable.

    Formula: from step {warmup_steps}, G failures: one (index {replace_index}; none: drawn) becomes
    the first success over hints of {tiers}, added up in a tier (trained plainly: {plain_training})
    """
    group = await independent(task, attempts, play)
    if play.step < warmup_steps or not unsolved(group.episodes):
        return group
    for level, hint in enumerate(rungs(await hints_of(task, play), tiers), start=1):
        direction = Direction(hint=hint, level=level, plain_training=plain_training)
        helped = await play(task, attempts + level - 1, direction)
        if helped.main.success:
            failures = [e.attempt for e in group.episodes if not e.main.status.failed]
            place = int(play.rng.choice(failures)) if replace_index is None else replace_index
            return with_member(group, place, replace(helped, attempt=place))
    return group


HINT_PROMPT = """{task}

A solution:
{solution}

Write {strength} for somebody who has to solve this alone. Do not give the answer away."""
STRENGTHS = ("a slight hint", "a helpful hint", "a detailed plan")


async def self_hinted(
    task: Task,
    attempts: int,
    play: Play,
    *,
    levels: int = 3,
    prompt: str = HINT_PROMPT,
    hint_tokens: int = 256,
) -> Group:
    """Whole groups under stronger and stronger self-written hints, until one has a success.

    Formula: levels 0 (no hint) to {levels}, each a hint of at most {hint_tokens} tokens and G
    attempts, up to the first success
    """
    for level in range(levels + 1):
        episodes = await self_hinted_attempts(task, attempts, play, level, prompt, hint_tokens)
        if not unsolved(episodes):
            break
    return grouped(task, episodes, useful=mixed_chance(success_rate(episodes), attempts))


async def self_hinted_attempts(
    task: Task, attempts: int, play: Play, level: int, prompt: str, hint_tokens: int
) -> list[Episode]:
    """Attempts under a hint that the policy wrote from the solution; level 0 has none.

    `prompt` holds the places `{task}`, `{solution}` and `{strength}`.
    """
    hint = await written_hint(task, play, level, prompt, hint_tokens) if level else ""
    direction = Direction(hint=hint, level=level) if hint else PLAIN
    return await together(task, range(level * attempts, (level + 1) * attempts), play, direction)


async def written_hint(task: Task, play: Play, level: int, prompt: str, hint_tokens: int) -> str:
    """What the policy writes as a hint of this level, empty where asking or writing broke."""
    solution = "\n".join((await hints_of(task, play)).get("solution", ()))
    strength = STRENGTHS[min(level, len(STRENGTHS)) - 1]
    try:
        shown = str(await play.ask(task, "render"))
        asked = prompt.format(task=shown, solution=solution, strength=strength)
        written = await play.write([Message("user", asked)], level, hint_tokens)
    except (EnvError, PolicyError):  # costs this group its hint, not the run
        return ""
    return written.completion.text.strip()


def pass_chance(rate: float, size: int) -> float:
    """How likely at least one of `size` attempts succeeds (pass@size)."""
    return 1 - (1 - rate) ** size


def mixed_chance(rate: float, size: int) -> float:
    """How likely a group of `size` attempts has both outcomes: the use of a hint."""
    return pass_chance(rate, size) - rate**size


def transcript(trajectory: Trajectory) -> str:
    """What was said in a trajectory, the environment's replies in between."""
    said = [text for turn in trajectory.turns for text in (turn.completion.text, turn.reply)]
    return "\n".join(text for text in said if text)
