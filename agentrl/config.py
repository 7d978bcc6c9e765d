"""A run as data: YAML and `key=value` -> parts, checked against signatures before anything loads.

    env         the environment's constructor
    model       `tiny`, or a path, with its loader's arguments
    algorithm   a name, or a record with changed slots
    warm_start  warmstart.warm_start, or null
    rollout     rollout.Plan            limits   agents.chat.Limits
    learner     learner.Learner         train    config.Schedule

Every section is the signature of what it configures: there is no second list of keys to fall
behind. What the parts refuse together is in `combinations.py`, reading text in `yamlfile.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from agentrl.agents.chat import Limits
from agentrl.algorithms import algorithm as named_algorithm
from agentrl.algorithms.base import Algorithm, Part, part
from agentrl.combinations import check_combinations
from agentrl.env import TextEnv, env_class
from agentrl.errors import ConfigError, suggestion
from agentrl.rollout import Plan
from agentrl.yamlfile import locate, plain, read_tree

SLOTS = {
    "advantage": "agentrl.advantages",
    "weighting": "agentrl.weightings",
    "loss": "agentrl.losses",
    "penalty": "agentrl.penalties",
    "shape": "agentrl.rewards",
    "keep": "agentrl.rewards",
}
"""Where each slot's components are looked up by name; `module:function` takes one from anywhere."""

SECTIONS = ("env", "model", "algorithm", "rollout", "limits", "learner", "train", "warm_start")
SCALARS = ("seed", "out", "threads")


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How long a run is and how often it looks up."""

    steps: int = 100
    """Optimisation steps after the warm start."""
    train_tasks: int = 4096
    """Size of the pool of training tasks."""
    eval_tasks: int = 256
    """Held-out tasks per evaluation, and as many seen ones."""
    eval_every: int = 0
    """Steps between evaluations on held-out tasks; 0 evaluates before and after only."""
    checkpoint_every: int = 25
    """Steps between checkpoints; one is always written at the end and after the warm start."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides what a run does; its resolved form repeats it."""

    env_id: str
    env: Part
    model_name: str
    model: Part
    algorithm_name: str
    algorithm: Algorithm
    rollout: Part
    limits: Part
    learner: Part
    train: Part
    warm_start: Part | None = None
    seed: int = 0
    out: str = "runs/run"
    threads: int = 0
    """Torch threads; 0 leaves torch's choice."""

    def make_env(self) -> TextEnv:
        """A new environment of this run."""
        from agentrl.env import make

        return make(self.env_id, **self.env.arguments)

    def resolved(self) -> dict[str, Any]:
        """Every setting, defaults included; `load_run` reads it back to the same run."""
        sections = {name: getattr(self, name) for name in ("rollout", "limits", "learner", "train")}
        parts = self.algorithm.parts
        slots = {
            slot: {"name": slot_name(slot, parts[slot]), **plain(parts[slot].settings)}
            if slot in parts
            else None
            for slot in SLOTS
        }
        return {
            "env": {"id": self.env_id, **plain(self.env.settings)},
            "model": {"name": self.model_name, **plain(self.model.settings)},
            "warm_start": self.warm_start and plain(self.warm_start.settings),
            "algorithm": {"name": self.algorithm_name, **slots},
            **{name: plain(section.settings) for name, section in sections.items()},
            "seed": self.seed,
            "out": self.out,
            "threads": self.threads,
        }


def load_run(source: str | Path, overrides: Sequence[str] = ()) -> Run:
    """A run from a YAML file, a run's folder or a shipped name, and `key=value` overrides.

    Raises:
        ConfigError: anything that cannot run, with file and line, or the override it came from.
    """
    tree, places, path = read_tree(source, overrides)
    try:
        return build_run(tree)
    except ConfigError as error:  # the parts know the key, this file knows where it was written
        raise ConfigError(f"{locate(places, error.key, path)}: {error}", error.key) from None


def build_run(tree: Mapping[str, Any]) -> Run:
    """A checked run from nested mappings. Raises: ConfigError whose `key` is the dotted place."""
    known = [*SECTIONS, *SCALARS]
    for key in _mapping(tree, ""):
        if key not in known:
            raise ConfigError(f"unknown key {key!r}: {suggestion(key, known)}", key)
    if "env" not in tree:
        raise ConfigError("env is missing: name an environment, for example agentrl/Sparql-v0")
    env_id, env = _env(tree["env"])
    model_name, model = _model(tree.get("model", "tiny"))
    algorithm_name, algorithm = _algorithm(tree.get("algorithm", "grpo"))
    warm, imitate = tree.get("warm_start"), _entry("agentrl.warmstart:warm_start")
    run = Run(
        env_id=env_id,
        env=env,
        model_name=model_name,
        model=model,
        algorithm_name=algorithm_name,
        algorithm=algorithm,
        rollout=_section("rollout", tree.get("rollout"), Plan),
        limits=_section("limits", tree.get("limits"), Limits),
        learner=_section("learner", tree.get("learner"), _entry("agentrl.learner:Learner")),
        train=_section("train", tree.get("train"), Schedule),
        warm_start=None if warm is None else _section("warm_start", warm, imitate),
        **{name: _scalar(name, tree[name]) for name in SCALARS if name in tree},
    )
    check_combinations(run)
    return run


def _env(value: Any) -> tuple[str, Part]:
    arguments = _named("env", value, "id")
    name = arguments.pop("id", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"env.id is {name!r}: name an environment, for example agentrl/Sparql-v0", "env.id"
        )
    with keyed("env"):
        with about("env.id"):
            environment = env_class(name)
        checked = part(environment, **arguments)
        checked()  # its own constructor knows what cannot be
    return name, checked


def _model(value: Any) -> tuple[str, Part]:
    arguments = _named("model", value)
    name = arguments.pop("name", "tiny")
    source = "tiny" if name == "tiny" else "pretrained"
    with keyed("model"):
        if name != "tiny":
            with about("model.name"):
                _entry("agentrl.backends.load:check_path")(name)
        return str(name), part(_entry(f"agentrl.backends.load:{source}"), **arguments)


def _algorithm(value: Any) -> tuple[str, Algorithm]:
    slots = _named("algorithm", value)
    name = slots.pop("name", "grpo")
    with keyed("algorithm"):
        with about("algorithm.name"):
            record = named_algorithm(_text("algorithm", name))
        for slot in slots:
            if slot not in SLOTS:
                raise ConfigError(f"unknown slot {slot!r}: {suggestion(slot, list(SLOTS))}", slot)
        changes = {slot: _slot(record, slot, given) for slot, given in slots.items()}
        for slot in ("advantage", "weighting", "loss"):
            if slot in changes and changes[slot] is None:
                raise ConfigError(f"the slot {slot} cannot be null: every algorithm has one", slot)
        return name, record.but(**changes)


def _slot(record: Algorithm, slot: str, value: Any) -> Part | None:
    """A slot's part: null empties it, a name replaces it, other keys change its arguments."""
    if value is None:
        return None
    arguments = _named(slot, value)
    name, current = arguments.pop("name", None), record.parts.get(slot)
    with keyed(slot):
        if current is not None and name in (None, current.name, slot_name(slot, current)):
            return current.but(**arguments)
        if name is None:
            raise ConfigError(f"the slot {slot} is empty in this algorithm: give it a name", slot)
        return part(component(slot, _text(slot, name)), **arguments)


def slot_name(slot: str, value: Part) -> str:
    """What `component` finds a part by: its name, or `module:function` if it is not one of ours."""
    home = value.function.__module__
    return value.name if home == SLOTS[slot] else f"{home}:{value.name}"


def component(slot: str, name: str) -> Any:
    """A slot's component by name or as `module:function`. Raises: ConfigError."""
    module, _, attribute = name.rpartition(":")
    home = _import(module or SLOTS[slot])
    ours = {n: f for n, f in vars(home).items() if callable(f)}
    if not module:  # what the module only imports is no component of its own
        ours = {n: f for n, f in ours.items() if f.__module__ == home.__name__}
    if attribute not in ours:
        raise ConfigError(f"unknown {slot} {name!r}: {suggestion(attribute, list(ours))}", "name")
    return ours[attribute]


def _section(name: str, value: Any, target: Any) -> Part:
    with keyed(name):
        section = part(target, **_mapping({} if value is None else value, name))
        if is_dataclass(target):
            section()  # it checks its own values
        return section


def _scalar(name: str, value: Any) -> Any:
    wanted = str if name == "out" else int
    if not isinstance(value, wanted) or isinstance(value, bool) or value == "":
        raise ConfigError(
            f"{name} is {value!r}: give {'a path' if wanted is str else 'a whole number'}", name
        )
    return value


def _named(section: str, value: Any, key: str = "name") -> dict[str, Any]:
    """A section's arguments; a text alone is its name."""
    return {key: value} if isinstance(value, str) else _mapping(value, section)


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is {value!r}: give a mapping of keys", name)
    for key in value:
        if not isinstance(key, str):  # YAML reads `on`, `no` and `1` as something else
            raise ConfigError(f"the key {key!r} is no text: write it in quotes", name)
    return dict(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name}.name is {value!r}: give a name", "name")
    return value


def _entry(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"cannot import {module!r}: {error}", "name") from error


@contextmanager
def keyed(section: str) -> Iterator[None]:
    """Errors from inside get this section's name in front of their key."""
    try:
        yield
    except ConfigError as error:
        if not f"{error.key}.".startswith(f"{section}."):
            error.key = f"{section}.{error.key}" if error.key else section
        raise


@contextmanager
def about(key: str) -> Iterator[None]:
    """Errors from inside are about this key, whatever they say."""
    try:
        yield
    except ConfigError as error:
        error.key = key
        raise
