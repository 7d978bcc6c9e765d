"""Who plays an environment that is checked, and what is written down while they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NamedTuple, TypeVar

import numpy as np

from agentrl.conformance.watch import call
from agentrl.env import SPLITS, TextEnv
from agentrl.errors import EnvError
from agentrl.types import Task

T = TypeVar("T")
Make = Callable[[], TextEnv]
Speak = Callable[[TextEnv, np.random.Generator, str], str]
"""What a player says next, to the observation that it heard."""
Around = Callable[[str], AbstractContextManager[Any]]

UNICODE = "é 中 😀 \u202e \u0301"
TAGS = ("<answer>", "<query></query>", "</answer><answer></answer>", "<tool_call>{'", "%s {0} <")
CONTROL = "\x00\x1b[2J\x7f\r"
HOSTILE = ("", " \n\t", UNICODE, CONTROL, "\ud800 \udfff", "word " * 10_000, *TAGS)
"""Texts that no task asks for: none may raise, and none may succeed."""
KEYS = ("system", "parts", "success", "parse", "answer", "messages", "admissible", "player")
"""What of an info must repeat; the rest may hold anything, clocks and addresses included."""


class Skip(Exception):  # noqa: N818 - no error: a rule that cannot be tried here, and why
    """A rule has nothing to try on this environment; the message is the reason."""


class Step(NamedTuple):
    """A text and Gymnasium's five words for it; a trial's first step is the reset."""

    said: str
    text: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Mapping[str, Any] = {}
    owed: float = 0.0
    """What the weighted parts sum to."""

    @property
    def over(self) -> bool:
        """Whether it ended the episode."""
        return bool(self.terminated or self.truncated)

    @property
    def told(self) -> tuple[Any, ...]:
        """What another trial must repeat."""
        info = {key: self.info[key] for key in KEYS if key in self.info}
        return (self.said, self.text, self.reward, self.terminated, self.truncated, info)


@dataclass(kw_only=True)
class Trial:
    """One episode of one player."""

    player: str
    task: Task | None = None
    steps: list[Step] = field(default_factory=list)
    """The reset first."""
    error: str = ""
    """What the environment raised, and on which text; the trial ends with it."""
    cut: bool = False
    """Whether it was not to play all turns."""
    max_turns: int = 0
    reward_range: tuple[float, float] = (0.0, 0.0)
    longest: int = 0
    """Characters that an observation may have."""
    secrets: Sequence[str] = ()
    changed: bool = False
    """Whether playing changed the task's data."""

    @property
    def earned(self) -> float:
        """The episode's reward."""
        return float(sum(step.reward for step in self.steps if isinstance(step.reward, Real)))

    @property
    def solved(self) -> bool:
        """Whether the last step succeeded."""
        return bool(self.steps and self.steps[-1].info.get("success"))

    @property
    def alone(self) -> bool:
        """Whether it spoke for one side only: who plays both beats itself."""
        return len({step.info["player"] for step in self.steps if "player" in step.info}) <= 1

    @property
    def where(self) -> str:
        """The task, as findings name it."""
        task = f"task {self.task.id}" if self.task else "a task"
        return f"{task} in {self.max_turns} turns, earning {self.earned:g}"


def play(
    env: TextEnv,
    speak: Speak,
    seed: int,
    task: Task | None = None,
    player: str = "",
    *,
    most: int | None = None,
    around: Around = nullcontext,
) -> Trial:
    """One episode, cut where the environment must have ended it; what it raises is written down.

    `most` gives up after as many turns. `around("reset")` and `around("step")` are entered for the
    environment's own work.
    """
    trial, rng = Trial(player=player, task=task), np.random.default_rng(seed)
    written = repr(task)
    try:
        with around("reset"):
            trial.steps.append(begun(env, seed, task))
        trial.secrets = env.secrets()
        env.action_space.seed(seed)
        turns = env.max_turns if most is None else min(most, env.max_turns)
        trial.cut = turns < env.max_turns
        while len(trial.steps) <= turns and not trial.steps[-1].over:
            with call(player or "the player"):
                said = speak(env, rng, trial.steps[-1].text)
            with around("step"):
                trial.steps.append(stepped(env, said))
    except EnvError as error:
        trial.error = str(error)
    trial.max_turns, trial.longest = env.max_turns, env.observation_chars
    trial.reward_range, trial.changed = env.reward_range, repr(task) != written
    return trial


def begun(env: TextEnv, seed: int, task: Task | None = None) -> Step:
    """The reset. Raises: EnvError."""
    with call(f"reset(seed={seed})"):
        answer = env.reset(seed=seed, options={"task": task} if task else None)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping)):
        raise EnvError(f"reset answers {answer!r:.80}: give (text, info)")
    return Step("", answer[0], info=dict(answer[1]))


def stepped(env: TextEnv, said: str) -> Step:
    """One step. Raises: EnvError, also for what is not Gymnasium's five words."""
    with call(f"step({said!r:.60})"):
        answer: Any = env.step(said)
        if not (isinstance(answer, tuple) and len(answer) == 5 and isinstance(answer[4], Mapping)):
            words = "(text, reward, terminated, truncated, info)"
            raise EnvError(f"step({said!r:.60}) answers {answer!r:.80}: give {words}")
        step = Step(said, *answer[:4], dict(answer[4]))
        return step._replace(owed=TextEnv._weigh(env, step.info.get("parts", {})))


def parrot(text: str) -> Speak:
    """A player that says one text all the time."""
    return lambda env, rng, heard: text


OWN: dict[str, Speak] = {
    "oracle": lambda env, rng, heard: env.oracle(),
    "expert": lambda env, rng, heard: env.expert(rng),
}
STRANGERS: dict[str, Speak] = {
    **{f"saying {text!r:.40}": parrot(text) for text in HOSTILE},
    "repeating the observation": lambda env, rng, heard: heard,
    "saying random text": lambda env, rng, heard: env.action_space.sample(),
}
"""Players that nobody should pay; the one that says nothing is the null player."""
SAYINGS = list(STRANGERS)[1 : len(HOSTILE)]
"""Those that say one text that is not empty, for a few turns of a few tasks."""
FEW_TASKS = 2
FEW_TURNS = 8


def able(env: TextEnv) -> dict[str, Speak]:
    """The environment's own players."""
    has = [name for name in OWN if getattr(type(env), name) is not getattr(TextEnv, name)]
    return {f"the {name}": OWN[name] for name in has}


def kept(make: Callable[[Any], T]) -> T:
    """A property that is made once; without `cached_property`'s lock, which a hung call keeps."""

    def read(self: Any) -> T:
        if make.__name__ not in self.held:
            self.held[make.__name__] = make(self)
        return self.held[make.__name__]  # type: ignore[no-any-return]

    return property(read)  # type: ignore[return-value]


@dataclass(kw_only=True)
class Subject:
    """An environment under check, and what was played of it, which the rules share."""

    recipe: Make
    """Brings a new instance at every call."""
    count: int = 8
    """Tasks of each split."""
    seconds: float = 10.0
    """That a step may take, whatever it is told."""
    hung: str = ""
    """What did not come back: nothing more can be tried."""
    made: list[TextEnv] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    """What rules share, by name."""

    def make(self) -> TextEnv:
        """A new instance, which `close` closes."""
        with call("make()"):
            self.made.append(self.recipe())
        return self.made[-1]

    def close(self) -> None:
        """Close what was made so far; what was played stays."""
        while self.made:
            with suppress(EnvError), call("close()"):  # the rule `close` tells
                self.made.pop().close()

    @kept
    def tasks(self) -> list[Task]:
        """Tasks of both splits; a split that brings none is the rule `tasks`' business."""
        env, found = self.make(), list[Task]()
        for split in SPLITS:
            try:
                found += env.tasks(split, self.count, 0)
            except Exception:  # whatever it is, the rule `tasks` meets and names it
                continue
        return found

    @kept
    def trials(self) -> list[Trial]:
        """Every player's episode of every task, those of most hostile texts of the first few."""
        env = self.make()
        return [
            play(env, speak, task.seed, task, name, most=FEW_TURNS if name in SAYINGS else None)
            for number, task in enumerate(self.tasks)
            for name, speak in (able(env) | STRANGERS).items()
            if number < FEW_TASKS or name not in SAYINGS
        ]

    @kept
    def voices(self) -> dict[str, Speak]:
        """Few players that together reach most of what may differ from one episode to another."""
        env = self.make()
        return able(env) | {"saying random text": STRANGERS["saying random text"]}

    def seeds(self, most: int = 4) -> range:
        """Seeds of episodes that are played several times."""
        return range(min(self.count, most))

    def played(self, name: str) -> Iterator[Trial]:
        """The trials of one player."""
        return (trial for trial in self.trials if trial.player == name)


def same(one: Step, two: Step) -> bool:
    """Whether two steps tell the same."""
    with suppress(ValueError):  # arrays do not say whether they are equal
        if one.told == two.told:
            return True
    return repr(one.told) == repr(two.told)  # NaN is no number's equal, not even its own


def difference(first: Trial, again: Trial) -> str:
    """Where two trials that should be equal first differ, or nothing."""
    if first.error != again.error:
        return f"{first.error or 'no error'!r:.120} become {again.error or 'no error'!r:.120}"
    for one, two in zip(first.steps, again.steps, strict=False):
        if not same(one, two):
            return f"{one.told!r:.120} become {two.told!r:.120}"
    lengths = len(first.steps), len(again.steps)
    return "" if lengths[0] == lengths[1] else f"{lengths[0] - 1} turns become {lengths[1] - 1}"


def together(one: TextEnv, two: TextEnv, speak: Speak, seed: int, steps: tuple[Step, Step]) -> str:
    """Where two environments differ that are told what a player says to the first, or nothing.

    `steps` are what each said last. Raises: EnvError.
    """
    rng = np.random.default_rng(seed)
    one.action_space.seed(seed)
    for _ in range(one.max_turns + 1):
        if not same(*steps):
            return f"{steps[0].told!r:.120}, the other {steps[1].told!r:.120}"
        if steps[0].over:
            break
        with call("the player"):
            said = speak(one, rng, steps[0].text)
        steps = stepped(one, said), stepped(two, said)
    return ""
