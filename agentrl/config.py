"""A run as data: YAML and `key=value` -> parts, checked against their signatures before anything is loaded.

    env:        the environment's constructor            model:    `tiny` or a path, with its loader's arguments
    algorithm:  a name, or a record with changed slots   rollout:  rollout.Plan       limits: agents.chat.Limits
    learner:    learner.Learner                          train:    config.Schedule    warm_start: warmstart.warm_start

Every section is the signature of what it configures; there is no second list of keys to fall behind.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentrl.agents.chat import Limits
from agentrl.algorithms import algorithm as named_algorithm
from agentrl.algorithms.base import Algorithm, Part, parameters, part
from agentrl.env import TextEnv, env_class
from agentrl.errors import ConfigError, suggestion
from agentrl.rollout import Plan

SLOTS = {
    "advantage": "agentrl.advantages",
    "weighting": "agentrl.weightings",
    "loss": "agentrl.losses",
    "penalty": "agentrl.penalties",
    "shape": "agentrl.rewards",
    "keep": "agentrl.rewards",
}
"""Where each slot's components are looked up by name; `module:function` takes one from anywhere."""


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

    def __post_init__(self) -> None:
        for name in ("train_tasks", "eval_tasks", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name} is {getattr(self, name)}: give at least 1", name)


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
        """Every setting, defaults included, in a form that `load_run` reads back to the same run."""
        sections = {name: getattr(self, name) for name in ("rollout", "limits", "learner", "train")}
        slots = {
            name: None if value is None else {"name": value.name, **plain(value.settings)}
            for name, value in ((slot, getattr(self.algorithm, slot)) for slot in SLOTS)
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


def plain(value: Any) -> Any:
    """Settings as YAML knows them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def load_run(source: str | Path, overrides: Sequence[str] = ()) -> Run:
    """A run from a YAML file (or the name of one that comes with agentrl) and `key=value` overrides.

    Raises:
        ConfigError: anything that cannot run, with file and line, or the override it came from.
    """
    path, text = read_config(source)
    tree, lines = parse_yaml(text, path)
    for override in overrides:
        apply_override(tree, lines, override)
    try:
        return build_run(tree)
    except ConfigError as error:
        raise ConfigError(f"{locate(lines, error.key, path)}: {error}", error.key) from None


def build_run(tree: Mapping[str, Any]) -> Run:
    """A checked run from nested mappings. Raises: ConfigError whose `key` is the dotted place."""
    fields = ["env", "model", "algorithm", "rollout", "limits", "learner", "train", "warm_start"]
    known = [*fields, "seed", "out", "threads"]
    for key in tree:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}: {suggestion(key, known)}", key)
    env_id, env = _env(tree.get("env"))
    model_name, model = _model(tree.get("model", "tiny"))
    algorithm_name, algorithm = _algorithm(tree.get("algorithm", "grpo"))
    warm = tree.get("warm_start")
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
        warm_start=None
        if warm is None
        else _section("warm_start", warm, _entry("agentrl.warmstart:warm_start")),
        **{name: _scalar(name, tree[name]) for name in ("seed", "out", "threads") if name in tree},
    )
    check_combinations(run)
    return run


def check_combinations(run: Run) -> None:
    """Refuse what could only waste a run. Raises: ConfigError."""
    plan, limits, learner = (s.settings for s in (run.rollout, run.limits, run.learner))
    advantage = run.algorithm.advantage
    if plan["attempts"] == 1 and advantage.settings.get("singleton") == "zero":
        raise ConfigError(
            f"rollout.attempts is 1, but {run.algorithm_name} compares the attempts of a group: every advantage "
            "would be 0; set rollout.attempts to 2 or more, or algorithm.advantage.singleton to raw",
            "rollout.attempts",
        )
    if plan["temperature"] <= 0:
        raise ConfigError(
            f"rollout.temperature is {plan['temperature']}: training samples need a temperature above 0",
            "rollout.temperature",
        )
    if limits["turn_tokens"] >= limits["context_tokens"]:
        raise ConfigError(
            f"limits.turn_tokens is {limits['turn_tokens']} but the whole context holds "
            f"limits.context_tokens = {limits['context_tokens']}: leave room for the prompt",
            "limits.turn_tokens",
        )
    if run.algorithm.loss.name == "reinforce" and learner["epochs"] * learner["minibatches"] > 1:
        raise ConfigError(
            "the loss reinforce is only right on policy: set learner.epochs and learner.minibatches to 1, "
            "or take a loss with a ratio (clipped)",
            "learner.epochs",
        )
    if run.warm_start is not None and run.env.function.expert is TextEnv.expert:  # type: ignore[attr-defined]
        raise ConfigError(
            f"warm_start imitates the environment's expert, but {run.env_id} has none: "
            "define expert(rng) or set warm_start: null",
            "warm_start",
        )


def _env(value: Any) -> tuple[str, Part]:
    if value is None:
        raise ConfigError(
            "env is missing: name an environment, for example agentrl/Sparql-v0", "env"
        )
    arguments = {"id": value} if isinstance(value, str) else _mapping(value, "env")
    name = arguments.pop("id", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"env.id is {name!r}: name an environment, for example agentrl/Sparql-v0", "env.id"
        )
    with keyed("env", {"id"}):
        environment = part(env_class(name), **arguments)
        environment()  # its own constructor knows what cannot be
        return name, environment


def _model(value: Any) -> tuple[str, Part]:
    arguments = {"name": value} if isinstance(value, str) else _mapping(value, "model")
    name = arguments.pop("name", "tiny")
    entry = _entry(
        "agentrl.backends.load:tiny" if name == "tiny" else "agentrl.backends.load:pretrained"
    )
    if name != "tiny":
        _entry("agentrl.backends.load:check_path")(name)
    with keyed("model", {"name"}):
        return str(name), part(entry, **arguments)


def _algorithm(value: Any) -> tuple[str, Algorithm]:
    slots = {"name": value} if isinstance(value, str) else _mapping(value, "algorithm")
    name = slots.pop("name", "grpo")
    with keyed("algorithm", set()):
        record = named_algorithm(name)
        for slot in slots:
            if slot not in SLOTS:
                raise ConfigError(f"unknown slot {slot!r}: {suggestion(slot, list(SLOTS))}", slot)
        return name, record.but(
            **{slot: _slot(record, slot, given) for slot, given in slots.items()}
        )


def _slot(record: Algorithm, slot: str, value: Any) -> Part | None:
    """A slot's part: null empties it, a name replaces it, other keys change its arguments."""
    if value is None:
        return None
    arguments = {"name": value} if isinstance(value, str) else _mapping(value, slot)
    name, current = arguments.pop("name", None), getattr(record, slot)
    with keyed(slot, {"name"}):
        if current is not None and name in (None, current.name):
            return current.but(**arguments)  # type: ignore[no-any-return]
        if name is None:
            raise ConfigError(f"the slot {slot} is empty in this algorithm: give it a name", slot)
        return part(component(slot, name), **arguments)


def component(slot: str, name: str) -> Any:
    """A slot's component by name or as `module:function`. Raises: ConfigError."""
    module, _, attribute = name.rpartition(":")
    home = importlib.import_module(SLOTS[slot]) if not module else _import(module)
    found = getattr(home, attribute, None)
    if not callable(found) or (not module and getattr(found, "__module__", "") != home.__name__):
        public = [
            n
            for n, f in vars(home).items()
            if inspect.isfunction(f) and f.__module__ == home.__name__
        ]
        raise ConfigError(f"unknown {slot} {name!r}: {suggestion(attribute, public)}", "name")
    return found


def _section(name: str, value: Any, target: Any) -> Part:
    with keyed(name, set()):
        section = part(target, **_mapping(value or {}, name))
        if inspect.isclass(target) and all(not p.required for p in parameters(target).values()):
            signature = inspect.signature(target)
            if all(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values()):
                section()  # a dataclass checks its own values
        return section


def _scalar(name: str, value: Any) -> Any:
    wanted = str if name == "out" else int
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ConfigError(
            f"{name} is {value!r}: give {'a path' if wanted is str else 'a whole number'}", name
        )
    return value


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is {value!r}: give a mapping of keys", name)
    return dict(value)


def _entry(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"cannot import {module!r}: {error}", "name") from error


class keyed:  # noqa: N801 - a context manager, named like one
    """Errors from inside get this section's name in front of their key; `own` keys stay as they are."""

    def __init__(self, section: str, own: set[str]) -> None:
        self.section = section

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ConfigError) and not error.key.startswith(f"{self.section}."):
            error.key = f"{self.section}.{error.key}" if error.key else self.section


def read_config(source: str | Path) -> tuple[str, str]:
    """The path and text of a configuration: a file, a run's folder, or a name that comes with agentrl."""
    path = Path(source)
    if path.is_dir() and (path / "run.yaml").exists():
        path = path / "run.yaml"
    if path.is_file():
        return str(path), path.read_text()
    from importlib.resources import files

    shipped = files("agentrl.configs")
    bundled = shipped / f"{path.name.removesuffix('.yaml')}.yaml"
    if bundled.is_file():
        return str(source), bundled.read_text()
    names = sorted(
        f.name.removesuffix(".yaml") for f in shipped.iterdir() if f.name.endswith(".yaml")
    )
    raise ConfigError(f"no configuration {str(source)!r}: {suggestion(path.stem, names)}")


def parse_yaml(text: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The mapping in a YAML text and the place of every dotted key. Raises: ConfigError."""
    lines: dict[str, str] = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} is empty or not a mapping: it needs at least `env:`")
    _walk(root, "", path, lines)
    return tree, lines


def _walk(node: Any, prefix: str, path: str, lines: dict[str, str]) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        dotted = f"{prefix}{key.value}"
        where = f"{path}:{key.start_mark.line + 1}"
        if dotted in lines:
            raise ConfigError(f"{where}: the key {dotted!r} is given twice")
        lines[dotted] = where
        _walk(value, f"{dotted}.", path, lines)


def apply_override(tree: dict[str, Any], lines: dict[str, str], override: str) -> None:
    """Set `a.b=value` in the tree; the value is read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"cannot read {override!r}: write key=value, for example learner.lr=1e-4")
    *parents, last = key.split(".")
    node = tree
    shorthand = {"env": "id", "model": "name", "algorithm": "name"}
    for depth, parent in enumerate(parents):
        inner = node.get(parent)
        if isinstance(inner, str) and depth == 0 and parent in shorthand:
            inner = {shorthand[parent]: inner}
        node[parent] = dict(inner) if isinstance(inner, dict) else {}
        node = node[parent]
    if not parents and last in shorthand and isinstance(node.get(last), dict):
        node, last = node[last], shorthand[last]
    node[last] = yaml.safe_load(text)
    lines[key] = f"command line, {override!r}"


def locate(lines: Mapping[str, str], key: str, path: str) -> str:
    """Where a dotted key, or the closest section around it, was written."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, path)
