"""What every part of a run accepts by itself and the run as a whole does not.

Checked once a configuration is read and before anything is loaded, so that hours end at second 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentrl.env import TextEnv
from agentrl.errors import ConfigError
from agentrl.members import alone, check_members
from agentrl.slots import keyed

if TYPE_CHECKING:
    from agentrl.config import Run

LEAST = {
    "model.layers": 1,
    "model.heads": 1,
    "model.context": 1,
    "model.corpus_tasks": 1,
    "model.lora_rank": 0,
    "limits.turn_tokens": 1,
    "limits.trajectory_tokens": 1,
    "rollout.refills": 0,
    "learner.lr": 0,
    "learner.epochs": 1,
    "learner.minibatches": 1,
    "learner.token_budget": 1,
    "learner.gap_warn": 0,
    "learner.gap_stop": 0,
    "train.steps": 0,
    "train.train_tasks": 1,
    "train.eval_tasks": 1,
    "train.eval_every": 0,
    "train.checkpoint_every": 1,
    "warm_start.episodes": 1,
    "warm_start.steps": 0,
    "warm_start.batch": 1,
    "warm_start.lr": 0,
    "algorithm.shape.cache": 1,
    "seed": 0,
    "threads": 0,
}
"""The smallest value of a key, if the run has it."""

POSITIVE = ("rollout.deadline_seconds", "limits.episode_seconds")

KEEPS_MIXED = "mixed_outcomes"


def check_combinations(run: Run) -> None:
    """Refuse what could only waste a run. Raises: ConfigError whose `key` is the dotted place."""
    tree = run.resolved()
    for key, least in LEAST.items():
        value = _at(tree, key)
        if isinstance(value, (int, float)) and not value >= least:
            raise ConfigError(f"{key} is {value}: give at least {least}", key)
    for key in POSITIVE:
        if not _at(tree, key) > 0:
            raise ConfigError(f"{key} is {_at(tree, key)}: give seconds above 0", key)
    _check_model(run.model.settings)
    _check_engine(run.engine.settings, run.model.settings)
    _check_groups(run)
    _check_tokens(run.limits.settings, run.model.settings)
    _check_policy(run)
    for slot, reason in run.algorithm.refusals().items():
        raise ConfigError(f"algorithm.{slot}: {reason}", f"algorithm.{slot}")
    _check_read(run)
    check_members(run)
    for name, member in run.policies.items():
        if member.train:  # by the rules of a run that trains it alone
            with keyed(f"policies.{name}"):
                check_combinations(replace(alone(run, name), policies={}, only=""))


def _check_read(run: Run) -> None:
    """What no other part reads is a setting that would be ignored."""
    algorithm = run.algorithm
    if algorithm.penalty_weighting is not None and algorithm.live_penalty is None:
        raise ConfigError(
            "algorithm.penalty_weighting weighs a penalty, but there is none: set "
            "algorithm.penalty, or algorithm.penalty_weighting to null",
            "algorithm.penalty_weighting",
        )
    if algorithm.reference is not None and "ref" not in algorithm.needs:
        raise ConfigError(
            "algorithm.reference moves a reference model that no part reads: set it to null",
            "algorithm.reference",
        )
    teacher = run.learner.settings["teacher"]
    if bool(teacher) != ("teacher" in algorithm.needs):
        raise ConfigError(
            f"learner.teacher is {teacher!r}, but the algorithm "
            + ("reads no teacher: leave it empty" if teacher else "needs one: a folder or policy"),
            "learner.teacher",
        )


def _at(tree: Any, key: str) -> Any:
    """The value at a dotted key, None where there is none."""
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _check_model(model: dict[str, Any]) -> None:
    if "hidden_size" in model and model["hidden_size"] % (2 * model["heads"]):
        raise ConfigError(
            f"model.hidden_size is {model['hidden_size']}: make it a multiple of "
            f"2 x model.heads = {2 * model['heads']}",
            "model.hidden_size",
        )


def _check_engine(engine: dict[str, Any], model: dict[str, Any]) -> None:
    """What an engine is told must be there."""
    if "urls" in engine and not engine["urls"]:
        raise ConfigError(
            "engine.urls is empty: name the servers that `agentrl serve` started, for example "
            "engine.urls=[http://127.0.0.1:8000]",
            "engine.urls",
        )
    if engine.get("adapters") and model.get("lora_rank") == 0:
        raise ConfigError(
            "engine.adapters is true, but model.lora_rank is 0: there are no adapters; set one of "
            "them otherwise",
            "engine.adapters",
        )


def _check_groups(run: Run) -> None:
    """One attempt cannot be compared; temperature 0 makes all attempts the same."""
    plan, algorithm = run.rollout.settings, run.algorithm
    alone = [piece.settings.get("singleton") for piece in algorithm.advantage.family()]
    if plan["attempts"] == 1 and "zero" in alone:
        raise ConfigError(
            f"rollout.attempts is 1, but {run.algorithm_name} compares the attempts of a group: "
            "every advantage would be 0; set rollout.attempts to 2 or more, or "
            "algorithm.advantage.singleton to raw",
            "rollout.attempts",
        )
    if plan["attempts"] == 1 and algorithm.keep is not None and algorithm.keep.name == KEEPS_MIXED:
        raise ConfigError(
            f"rollout.attempts is 1, but algorithm.keep is {KEEPS_MIXED}, which refuses every "
            "group of one; set rollout.attempts to 2 or more, or algorithm.keep to null",
            "rollout.attempts",
        )
    if not plan["temperature"] > 0:
        raise ConfigError(
            f"rollout.temperature is {plan['temperature']}: training samples need a temperature "
            "above 0; set it to 1.0",
            "rollout.temperature",
        )


def _check_tokens(limits: dict[str, Any], model: dict[str, Any]) -> None:
    """A turn has to fit into the context, and both into a model made here."""
    rooms = {
        "limits.context_tokens": limits["context_tokens"],
        "model.context": model.get("context"),
    }
    for name, room in rooms.items():
        if room is not None and limits["turn_tokens"] >= room:
            raise ConfigError(
                f"limits.turn_tokens is {limits['turn_tokens']}, but the whole context holds "
                f"{name} = {room}: leave room for the prompt",
                "limits.turn_tokens",
            )


def _check_policy(run: Run) -> None:
    """A loss without a ratio is wrong off policy; imitation needs someone to imitate."""
    learner = run.learner.settings
    for name in ("epochs", "minibatches"):
        loss = run.algorithm.loss
        if getattr(loss.function, "on_policy", False) and learner[name] > 1:
            raise ConfigError(
                f"learner.{name} is {learner[name]}, but the loss {loss.name} is only right on "
                f"policy: set learner.{name} to 1, or take a loss with a ratio (clipped)",
                f"learner.{name}",
            )
    expert = getattr(run.env.function, "expert", None)
    if run.warm_start is not None and expert is TextEnv.expert:
        raise ConfigError(
            f"warm_start imitates the environment's expert, but {run.env_id} has none: "
            "define expert(rng) or set warm_start: null",
            "warm_start",
        )
