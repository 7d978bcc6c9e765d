"""The environment `agentrl/AlfWorld-v0`: household tasks in text, one command a turn.

    user       You are in the middle of a room. ... Your task is to: put a clean mug in shelf.
    assistant  go to countertop 1                 user  On the countertop 1, you see a mug 2 ...
    assistant  take mug 2 from countertop 1       user  You pick up the mug 2 ...

The games are generated here (`source: generated`) or ALFWorld's own (`source: official`); the
rules, the texts and the admissible commands are those of ALFWorld's text engine in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, get_args

import numpy as np

from agentrl.env import SPLITS, Reply, TextEnv, check_split
from agentrl.envs.alfworld import arguments, official
from agentrl.envs.alfworld.arguments import CHOICES, Goals, Size, Source, Test, Texts, one_of
from agentrl.envs.alfworld.expert import Explorer
from agentrl.envs.alfworld.game import TASKS, Game
from agentrl.envs.alfworld.planner import plan, stage, stages
from agentrl.envs.alfworld.results import games, reward_range, task_type
from agentrl.envs.alfworld.rooms import make_game
from agentrl.envs.alfworld.said import PROMPT, brief, brief_opening, read_command
from agentrl.envs.alfworld.world import World
from agentrl.errors import ConfigError, DataError
from agentrl.types import Group, Parse, Task

SEEDS = 1 << 31
CORPUS = 32


class AlfWorld(TextEnv):
    """A household task: find an object, treat it where the task says so, bring it to its place.

    A text's command is what its last `<action>` holds, else its first line; thoughts are skipped.
    Parts, as increments over the turns:
    - `solved`: 1 when the task is done, which ends the episode.
    - `progress`: share of the sub-goals reached so far (object in hand, treated or lamp on,
      placed), [0, 1].
    - `invalid`: minus the share of `max_turns` spent on texts after which nothing happens, [-1, 0].
    ALFWorld's own reward of 10 is `reward_weights={"solved": 10.0}`.

    Args:
        source: where games come from: the generator, or ALFWorld's `official` data.
        types: task types that are played; None for all six.
        size: of generated households, from about 5 receptacles (`tiny`) to 35 (`official`).
        folder: of the official data; None is what the variable ALFWORLD_DATA names.
        test: which official split `test` is; `train` is the official one.
        goals: the goal in the game's words, or in those of the people who annotated the official
            data: one of their sentences, for a game always the same.
        max_turns: turns until truncation; ALFWorld's papers allow 50.
        admissible: whether every observation lists the commands that do something. The info's
            `admissible` always does.
        texts: the game's own texts, or `short` ones for tiny models: names, place, hand.
        prompt: whether the system prompt explains the commands.
        reward_weights: weight of each part in the reward; None is `{"solved": 1.0}`.
        expert_noise: probability that the expert says any admissible command instead.
        render_mode: `ansi` or None.

    Raises:
        ConfigError: a value that cannot run.
        DataError: official data that is not there, or not what it should be.
    """

    observation_chars = 1 << 14

    def __init__(
        self,
        *,
        source: Source = "generated",
        types: Sequence[str] | None = None,
        size: Size = "small",
        folder: str | None = None,
        test: Test = "valid_unseen",
        goals: Goals = "template",
        max_turns: int = 50,
        admissible: bool = False,
        texts: Texts = "full",
        prompt: bool = True,
        reward_weights: Mapping[str, float] | None = None,
        expert_noise: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        self.types = tuple(TASKS if types is None else types)
        self.size = size
        self.test = test
        self.goals = goals
        self.max_turns = max_turns
        self.admissible = admissible
        self.texts = texts
        self.system_prompt = PROMPT if prompt else ""
        self.reward_weights = dict({"solved": 1.0} if reward_weights is None else reward_weights)
        self.reward_range = reward_range(self.reward_weights)
        self.expert_noise = expert_noise
        self.source = source
        self._check()
        self.release = official.data_folder(folder) if source == "official" else None

    def _check(self) -> None:
        """Refuse values that cannot run. Raises: ConfigError."""
        arguments.check_weights(self.reward_weights or {})
        for kind in self.types:
            one_of("types", kind, TASKS)
        if not self.types:
            raise ConfigError(f"types: give at least one of {', '.join(TASKS)}, or none for all")
        for name, choice in CHOICES.items():
            one_of(name, getattr(self, name), get_args(choice))
        if self.max_turns < 1:
            raise ConfigError(f"max_turns={self.max_turns!r}: give at least 1")
        if not 0 <= self.expert_noise <= 1:
            raise ConfigError(f"expert_noise={self.expert_noise!r}: give a probability from 0 to 1")
        if self.goals == "human" and self.source == "generated":
            raise ConfigError("goals='human': only source: official has people's goals")

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Generated households with the game's texts and with short ones; the official data."""
        return {
            "generated": {},
            "short": {"size": "tiny", "texts": "short", "prompt": False, "max_turns": 20},
            "listed": {"admissible": True},
            "official": {"source": "official"},
        }

    @classmethod
    def baselines(cls) -> Mapping[str, Mapping[str, Any]]:
        """With and without the list of admissible commands."""
        return {"commands not listed": {"admissible": False}, "listed": {"admissible": True}}

    # ---- tasks ------------------------------------------------------------------------------

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A household to generate, or a game of the official data."""
        if self.release is None:
            kind = self.types[int(rng.integers(len(self.types)))]
            return {"task": kind, "size": self.size, "seed": int(rng.integers(SEEDS))}
        here = [split for split in SPLITS if (self.release / self._official(split)).is_dir()]
        trials = self._trials(here[int(rng.integers(len(here)))] if here else "train")
        return trials[int(rng.integers(len(trials)))]

    def tasks(self, split: str, count: int, seed: int) -> list[Task]:
        """At most `count` tasks; the official data is enumerated, in an order drawn by `seed`."""
        check_split(split)
        if self.release is None:
            return super().tasks(split, count, seed)
        trials = self._trials(split)
        order = np.random.default_rng(seed).permutation(len(trials))[:count]
        return [Task(env=self.id, data=trials[index]) for index in order]

    def collection(self, split: str) -> official.Collection:
        """The official games of `train` or `test`, and why others were left out.

        Raises: DataError.
        """
        if self.release is None:
            raise DataError("source: generated has no collection of games: it makes them")
        return official.collect(self.release, self._official(split), self.types)

    def _official(self, split: str) -> str:
        return "train" if split == "train" else self.test

    def _trials(self, split: str) -> list[dict[str, Any]]:
        """The data of every official task of a split."""
        return [{"game": id, "split": split} for id in self.collection(split).trials]

    def corpus(self) -> Iterator[str]:
        """What is said in households of the types that are not played but may be tested."""
        others = [kind for kind in TASKS if kind not in self.types and self.release is None]
        for kind in others:
            for seed in range(CORPUS):
                game = make_game(kind, seed, self.size)
                things = [one.name for one in game.items] + [one.name for one in game.receptacles]
                yield f"{game.sentence}\nsee {' '.join(things)}"

    # ---- the game ---------------------------------------------------------------------------

    def begin(self, data: Mapping[str, Any]) -> str:
        """The room and the task."""
        self.game = self._load(data)
        self.world = World(self.game)
        opening = self.world.reset()
        self.explorer = Explorer(self.game, opening)
        self.start = self.best = stage(self.game, self.world)
        goal = self._goal(data)
        if self.texts == "short":
            return self._shown(brief_opening(opening, goal))
        return self._shown(opening.replace(self.game.sentence, goal))

    def _load(self, data: Mapping[str, Any]) -> Game:
        """The game of a task's data. Raises: DataError."""
        if "game" not in data:
            return make_game(*arguments.household(data))
        if self.release is None:
            raise DataError(
                f"the game {data['game']!r} is ALFWorld's: play it with source: official"
            )
        return official.load(self.release, str(data["game"]))

    def _goal(self, data: Mapping[str, Any]) -> str:
        """The goal's sentence, without its full stop."""
        if self.goals == "template" or self.release is None:
            return self.game.sentence
        trial = official.trial(self.release, data["game"], self.types)
        sentences = trial.annotations or (self.game.sentence,)
        return sentences[sum(trial.id.encode()) % len(sentences)].rstrip(".")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """As `TextEnv` has it; the info also holds `admissible` and `state`."""
        text, info = super().reset(seed=seed, options=options)
        return text, info | self._known()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """As `TextEnv` has it; the info also holds `admissible` and `state`."""
        text, reward, terminated, truncated, info = super().step(action)
        return text, reward, terminated, truncated, info | self._known()

    def _known(self) -> dict[str, Any]:
        """What agents may show and algorithms compare: the commands, the state's identity."""
        world = self.world
        items = [(sorted(world.inside[name]), sorted(world.states[name])) for name in world.items]
        told = repr((world.spot, world.in_hands, sorted(world.open), items))
        state = blake2b(told.encode(), digest_size=8).hexdigest()
        return {"admissible": world.admissible(), "state": state}

    def act(self, text: str) -> Reply:
        """Obey one command."""
        command = read_command(text)
        step = self.world.step(command or "")
        if command and step.valid:
            self.explorer.hear(command, step.text)
        reached = max(self.best, stage(self.game, self.world))
        share = (reached - self.best) / max(1, stages(self.game) - self.start)
        self.best = reached
        return Reply(
            text=self._shown(self._told(step.text)),
            parts={
                "solved": float(step.won),
                "progress": share,
                "invalid": 0.0 if step.valid else -1.0 / self.max_turns,
            },
            done=step.won,
            success=step.won,
            parse=Parse.MALFORMED if command is None else Parse.OK,
        )

    def _told(self, text: str) -> str:
        """A reply of the game in the texts that were asked for."""
        return text if self.texts == "full" else brief(text, self.world.here, self.world.held)

    def _shown(self, text: str) -> str:
        """A text with the admissible commands, where they are listed."""
        if not self.admissible:
            return text
        return f"{text}\nYou can: {', '.join(self.world.admissible())}"

    # ---- players ----------------------------------------------------------------------------

    def oracle(self) -> str:
        """The first command of a shortest recipe from the whole state."""
        return next(iter(plan(self.game, self.world)), "look")

    def expert(self, rng: np.random.Generator) -> str:
        """The hand-coded explorer, which knows no hidden state; or, as noise, any command."""
        command, known = self.explorer.choose(rng), self.world.admissible()
        noise = command == "look" or rng.random() < self.expert_noise
        return known[int(rng.integers(len(known)))] if noise else command

    # ---- what is reported -------------------------------------------------------------------

    def kind(self, task: Task) -> str:
        """The task type."""
        return task_type(task.data)

    def scores(self, groups: Sequence[Group]) -> Mapping[str, Any]:
        """Success by game, and the setting without which numbers cannot be compared."""
        splits = sorted({self._official(group.task.split) for group in groups})
        left_out = {
            split: dict(official.collect(self.release, split, self.types).skipped)
            for split in (splits if self.release else ())
        }
        return {
            "setting": {
                "source": self.source,
                "games_of": splits if self.release else [f"{self.size} households"],
                "max_turns": self.max_turns,
                "admissible": self.admissible,
                "goals": self.goals,
            },
            "left_out": left_out,
            "games": games(groups),
        }
