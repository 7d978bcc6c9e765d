"""What `eval` and `baselines` share: a player in a run's environment, measured and told."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentrl.backends.http.endpoint import SCHEME
from agentrl.backends.scripted import SCRIPTS
from agentrl.config import Run
from agentrl.env import SPLITS, TextEnv, check_split
from agentrl.errors import ConfigError, EmptySplitError
from agentrl.protocols import Choice
from agentrl.yamlfile import apply_override

if TYPE_CHECKING:
    from agentrl.remote import Remote, Scripted
    from agentrl.rollout import Cast
    from agentrl.session import Session
    from agentrl.types import Group, Task

PLAYERS = ("policy", *SCRIPTS)
EVERY = 2**62
"""More tasks than any finite pool has."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the player."""

    split: str
    """A split, or `all` for every task of a finite pool."""
    tasks: int
    """At most so many; 0 for all."""
    attempts: int
    temperature: float
    seed: int

    def choose(self, sources: Mapping[str, TextEnv]) -> list[Task]:
        """The tasks to play, of the environment that each split comes from. Raises: DataError."""
        if self.split != "all":
            check_split(self.split)
            return sources[self.split].tasks(self.split, self.tasks or EVERY, self.seed)
        found = [task for split in SPLITS for task in _split(sources[split], split, self.seed)]
        if not self.tasks:
            return found
        return random.Random(self.seed).sample(found, min(self.tasks, len(found)))


def _split(env: TextEnv, split: str, seed: int) -> list[Task]:
    """A split's tasks; a small pool may have none in one of them."""
    try:
        return env.tasks(split, EVERY, seed)
    except EmptySplitError:  # the other split may hold them all
        return []


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a served model is asked."""

    endpoint: Sequence[str]
    """`key=value` of `backends.http.endpoint.Endpoint`."""
    key_variable: str


def seated(model: str, player: Literal["policy"] | str) -> tuple[str, str]:
    """Model and player, where a script may be named as either. Raises: ConfigError."""
    if player not in PLAYERS:
        raise ConfigError(f"unknown player {player!r}: choose {', '.join(PLAYERS)}")
    if model in SCRIPTS:
        if player not in ("policy", model):
            raise ConfigError(f"--model {model} and --player {player}: leave out one of the two")
        return "", model
    return model, player


def remote(run: Run, model: str, serving: Serving, player: str) -> Remote | None:
    """The run with a served model, None for any other. Raises: ConfigError."""
    if not model.startswith(SCHEME):
        if serving.endpoint:
            raise ConfigError("--served tells how a served model is asked: give --model openai:URL")
        return None
    if player != "policy":
        raise ConfigError(f"--model {model} plays as --player policy: leave out one of the two")
    from agentrl.algorithms.base import part
    from agentrl.backends.http.endpoint import Address, Endpoint
    from agentrl.backends.http.policy import HTTPPolicy
    from agentrl.remote import Remote

    settings: dict[str, Any] = {}
    for setting in serving.endpoint:
        apply_override(settings, {}, setting)
    endpoint = part(Endpoint, **settings)()
    key = serving.key_variable
    policy = HTTPPolicy(Address.of(model), endpoint, key_variable=key, chat=run.chat)
    return Remote(run, policy)


def measured(
    live: Session | Scripted, question: Question, player: str
) -> tuple[dict[str, Any], list[Group]]:
    """The answer to a question as JSON has it, and every group that was played."""
    from agentrl.evaluate import evaluate

    played: list[Group] = []
    cast = _cast(live, player, question.temperature)

    def play(tasks: Sequence[Task], attempts: int) -> list[Group]:
        choices = [Choice(task, attempts) for task in tasks]
        played.extend(live.play(choices, cast, f"eval/{question.seed}", strategy=live.tested))
        return played

    tasks = question.choose(live.sources)
    result = evaluate(play, tasks, attempts=question.attempts, kind=live.env.kind)
    answer = {
        "task": live.env.id,
        "split": question.split,
        "success": result.success,
        "interval": list(result.interval),
        "n": result.n,
        "seed": question.seed,
        "model": player,
        "skipped": result.skipped,
    }
    if result.kinds:
        answer["kinds"] = result.kinds
    if question.attempts > 1:
        answer["pass_at"] = {str(k): value for k, value in result.pass_at.items()}
    return answer, played


def _cast(live: Session | Scripted, player: str, temperature: float) -> Cast:
    if player == "policy":
        return live.cast(temperature)
    return SCRIPTS[player](live.chat)


def served(answer: Mapping[str, Any], live: Remote, played: Sequence[Group]) -> dict[str, Any]:
    """The answer with what a served model took and left unplayed."""
    account = live.policy.account
    more = {"unplayed": account.refused, "reason": reason(played), "usage": account.as_dict()}
    return {**answer, "model": live.policy.address.text, **more}


def reason(played: Sequence[Group]) -> str:
    """Why the first attempt failed that did, empty if none did."""
    failed = (e.main.error for group in played for e in group.episodes if e.main.status.failed)
    return next(failed, "")


def line(answer: Mapping[str, Any]) -> str:
    """An answer for people."""
    low, high = answer["interval"]
    text = (
        f"{answer['task']} {answer['split']}: success {answer['success']:.3f} "
        f"[{low:.3f}, {high:.3f}], {answer['n']} tasks, seed {answer['seed']}, "
        f"model {answer['model']}"
    )
    more = [f"pass@{k} {value:.3f}" for k, value in answer.get("pass_at", {}).items()]
    more += [_skipped(answer)] if answer["skipped"] else []
    more += [_usage(answer["usage"])] if "usage" in answer else []
    return ", ".join([text, *more])


def _skipped(answer: Mapping[str, Any]) -> str:
    """How many attempts do not count, and why."""
    unplayed = answer.get("unplayed", 0)
    failed = answer["skipped"] - unplayed
    told = [f"{unplayed} for the cost limit"] if unplayed else []
    told += [f"{failed} failed" if unplayed else "failed"] if failed else []
    reason = f": {answer['reason']}" if answer.get("reason") and failed else ""
    return f"{answer['skipped']} attempts skipped ({', '.join(told)}{reason})"


def _usage(usage: Mapping[str, Any]) -> str:
    """What a served model took."""
    dollars = usage["dollars"]
    cost = "cost unknown (no prices given)" if dollars is None else f"${dollars:.4f}"
    tokens = f"{usage['prompt_tokens']} + {usage['completion_tokens']} tokens"
    return f"{usage['requests']} requests, {tokens}, {cost}"


def records(played: Sequence[Group]) -> list[str]:
    """Every attempt as a line of JSON."""
    from agentrl.episodes import episode_record

    return [
        json.dumps(episode_record(0, episode, number)) + "\n"
        for number, group in enumerate(played)
        for episode in group.episodes
    ]
