"""The environment `agentrl/ReasoningGym-v0`: reasoning-gym's generated questions, one turn each.

A task names its data set and the seed of its one question, so tasks are as many as seeds. The score
of the library is the named part `score`, in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from agentrl.envs.adapters.base import Adapter, Moved
from agentrl.envs.adapters.library import known, load
from agentrl.errors import ConfigError, EnvError
from agentrl.parsing import answer_in
from agentrl.types import Parse

ASKS = {
    "text": "Say the answer and nothing else.",
    "answer": "Write the answer as <answer>...</answer>.",
    "boxed": "Write the answer as \\boxed{...}.",
}
WRITES = {"text": "%s", "answer": "<answer>%s</answer>", "boxed": "\\boxed{%s}"}


class ReasoningGym(Adapter):
    """A question of one of reasoning-gym's data sets; `success` is the least score that solves it.

    The oracle says the library's own answer. Where that is none (`graph_color`, `rubiks_cube`,
    `boxnet`, `rush_hour`, `propositional_logic`) it refuses, naming the data set.

    Args:
        dataset: a name, or several with weights: each task draws one of them.
        config: the data set's own settings; of several, each one's settings by its name.
        read: where the answer stands: the last `answer` tag, the last `boxed`, or the whole `text`.
        prompt: `full` says how to answer; `short` shows the question alone, for tiny models.

    Raises:
        ConfigError: an unknown data set or setting.
        MissingDependencyError: reasoning-gym is not installed.
    """

    reward_range: tuple[float, float] = (0.0, 1.0)
    part: ClassVar[str] = "score"

    def __init__(
        self,
        *,
        dataset: str | Mapping[str, float] = "leg_counting",
        config: Mapping[str, Any] | None = None,
        read: Literal["answer", "boxed", "text"] = "answer",
        prompt: Literal["full", "short"] = "full",
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        if read not in ASKS or prompt not in ("full", "short"):
            raise ConfigError(
                f"read={read!r}, prompt={prompt!r}: give one of {list(ASKS)}, and full or short"
            )
        self.weights = {dataset: 1.0} if isinstance(dataset, str) else dict(dataset)
        self.what = ", ".join(self.weights)
        self.read, self.prompt = read, prompt
        with self.foreign("import"):
            names = load("reasoning_gym.factory", "reasoning-gym", "reasoning-gym").DATASETS
        for name in self.weights:
            known("data set", name, names, "dataset")
        if not self.weights or not all(0 < one < np.inf for one in self.weights.values()):
            raise ConfigError(f"dataset={dataset!r}: give weights above 0", "dataset")
        single = isinstance(dataset, str)
        self._config = {self.what: dict(config or {})} if single else dict(config or {})
        for name in self._config:
            known("data set", name, self.weights, "config")
        for name in self.weights:
            self.built(partial(self._made, name, 0))

    def _made(self, name: str, seed: int) -> Any:
        """A data set of one question."""
        settings = {"size": 1, **self._config.get(name, {}), "seed": seed}
        library = load("reasoning_gym", "reasoning-gym", "reasoning-gym")
        if name == "composite":  # whose parts are objects, which no YAML file can hold
            part = load("reasoning_gym.composite", "reasoning-gym", "reasoning-gym").DatasetSpec
            parts = [{"weight": 1, "config": {}, **each} for each in settings.get("datasets", ())]
            settings["datasets"] = [part(**each) for each in parts]
        return library.create_dataset(name, **settings)

    def new_task(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """A data set by its weight, and a seed."""
        shares = np.array(list(self.weights.values()), float)
        name = list(self.weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]
        return {"game": name, "seed": int(rng.integers(2**31))}

    def plays(self, game: Any) -> bool:
        """Whether it is one of the data sets."""
        return game in self.weights

    def own_turns(self) -> int:
        """A question has one answer."""
        return 1

    def start(self, data: Mapping[str, Any]) -> Any:
        """The question."""
        self._dataset = self._made(data["game"], data["seed"])
        self._entry = self._dataset[0]
        question = self._entry["question"]
        return question if self.prompt == "short" else f"{question}\n{ASKS[self.read]}"

    def move(self, text: str) -> Moved:
        """Score the answer."""
        answer = answer_in(text, self.read)
        score = 0.0 if answer is None else float(self._scored(answer))
        return Moved(
            text="right" if score >= self.success else "wrong",
            reward=score,
            terminated=True,
            parse=Parse.NO_CALL if answer is None else Parse.OK,
            answer=answer,
        )

    def _scored(self, answer: str) -> float:
        return self._dataset.score_answer(answer, self._entry)  # type: ignore[no-any-return]

    def oracle(self) -> str:
        """The library's own answer. Raises: EnvError where its own scorer does not take it."""
        game, answer = self.data["game"], self._entry["answer"]
        with self.foreign("score_answer"):
            right = isinstance(answer, str) and self._scored(answer.strip()) >= self.success
        if not right:
            raise EnvError(
                f"{game} has no oracle: its scorer does not accept its own answer {answer!r:.60}; "
                "set warm_start: null and play without hints"
            )
        return str(WRITES[self.read] % answer)

    def expert(self, rng: np.random.Generator) -> str:
        """The answer to another question of the same data set."""
        with self.foreign("another question"):
            other = self._made(self.data["game"], int(rng.integers(2**31)))[0]["answer"]
        return WRITES[self.read] % (other if isinstance(other, str) and other.strip() else "0")

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """A few data sets, alone and mixed."""
        mixed = {"dataset": {"leg_counting": 1.0, "spell_backward": 2.0}}
        return {
            "leg_counting": {"dataset": "leg_counting"},
            "basic_arithmetic": {"dataset": "basic_arithmetic"},
            "mixed": mixed,
        }
