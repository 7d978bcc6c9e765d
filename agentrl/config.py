"""A run as data: YAML and `key=value` -> parts, checked against signatures before anything loads.

    env         the environment's constructor
    held_out    arguments of it that differ where held-out tasks come from
    model       `tiny`, or a path, with its loader's arguments
    engine      what samples: `hf`, `vllm` or `server`
    policies    those that play beside `main`, by name: members.Member
    chat        how the model writes conversations: chat.TemplateChat
    agent       a name in agents.AGENTS, with its arguments
    algorithm   a name, or a record with changed slots
    warm_start  warmstart.warm_start, or null
    rollout     rollout.Plan            limits   agents.chat.Limits
    learner     learner.Learner         train    config.Schedule
    journal     journal.place.Place         exchange partnership.Partnership

Every section is the signature of what it configures: there is no second list of keys to fall
behind. What the parts refuse together is in `combinations.py`, reading text in `yamlfile.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from agentrl.agents import AGENTS
from agentrl.agents.chat import Limits
from agentrl.algorithms.base import Algorithm, Part, part
from agentrl.combinations import check_combinations
from agentrl.env import TextEnv, env_class, make
from agentrl.errors import ConfigError, suggestion
from agentrl.journal.place import Place
from agentrl.members import MAIN, Member, alone, build_members
from agentrl.slots import SLOTS, about, build_algorithm, described, keyed, mapping, named, text
from agentrl.yamlfile import locate, plain, read_tree

SECTIONS = (
    *("env", "held_out", "model", "engine", "policies", "chat", "agent", "algorithm"),
    *("rollout", "limits", "learner", "train", "warm_start", "journal", "exchange"),
)
TARGETS = {
    "chat": "agentrl.chat:TemplateChat",
    "rollout": "agentrl.rollout:Plan",
    "limits": "agentrl.agents.chat:Limits",
    "learner": "agentrl.learner:Learner",
    "train": "agentrl.config:Schedule",
    "journal": "agentrl.journal.place:Place",
    "exchange": "agentrl.partnership:Partnership",
}
"""Sections that are one component's arguments."""
SCALARS = ("seed", "out", "threads", "only")


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
    held_out: Mapping[str, Any]
    model_name: str
    model: Part
    engine_name: str
    engine: Part
    policies: Mapping[str, Member]
    chat: Part
    agent_name: str
    agent: Part
    algorithm_name: str
    algorithm: Algorithm
    rollout: Part
    limits: Part
    learner: Part
    train: Part
    journal: Part
    exchange: Part
    warm_start: Part | None = None
    seed: int = 0
    out: str = "runs/run"
    threads: int = 0
    """Torch threads; 0 leaves torch's choice."""
    only: str = ""
    """The one policy that this process trains; it meets the others' trainers in the journal."""

    @property
    def follows(self) -> bool:
        """Whether it trains another policy than `main`, on what `main`'s trainer plays."""
        return self.only not in ("", MAIN)

    @property
    def folder(self) -> Path:
        """Where this process writes."""
        return Path(self.out, self.only)

    @property
    def place(self) -> Place:
        """Where its journal is: of trainers that meet there, beside their folders."""
        place: Place = self.journal()
        if place.url or not self.only:
            return place
        return Place(url=place.of(Path(self.out)))

    def make_env(self) -> TextEnv:
        """A new environment of this run."""
        return make(self.env_id, **self.env.arguments)

    def sources(self, env: TextEnv) -> dict[str, TextEnv]:
        """Which environment each split's tasks come from; both are played by such as `env`."""
        if not self.held_out:
            return {"train": env, "test": env}
        changed = self.env.but(**self.held_out)
        return {"train": env, "test": make(self.env_id, **changed.arguments)}

    def resolved(self) -> dict[str, Any]:
        """Every setting, defaults included; `load_run` reads it back to the same run."""
        names = ("rollout", "limits", "learner", "train", "exchange")
        sections = {name: getattr(self, name) for name in names}
        parts = self.algorithm.parts
        slots = {slot: (slot in parts and described(slot, parts[slot])) or None for slot in SLOTS}
        return {
            "env": {"id": self.env_id, **plain(self.env.settings)},
            "held_out": plain(self.held_out),
            "model": {"name": self.model_name, **plain(self.model.settings)},
            "engine": {"name": self.engine_name, **plain(self.engine.settings)},
            "policies": {name: member.described() for name, member in self.policies.items()},
            "chat": plain(self.chat.settings),
            "agent": {"name": self.agent_name, **plain(self.agent.settings)},
            "warm_start": self.warm_start and plain(self.warm_start.settings),
            "algorithm": {"name": self.algorithm_name, **slots},
            **{name: plain(section.settings) for name, section in sections.items()},
            "journal": asdict(self.place),
            **{name: getattr(self, name) for name in SCALARS},
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
    for key in mapping(tree, ""):
        if key not in known:
            raise ConfigError(f"unknown key {key!r}: {suggestion(key, known)}", key)
    if "env" not in tree:
        raise ConfigError("env is missing: name an environment, for example agentrl/Sparql-v0")
    env_id, env = _env(tree["env"])
    model_name, model = _model(tree.get("model", "tiny"))
    engines = _entry("agentrl.backends.engines:ENGINES")
    engine_name, engine = _choice("engine", tree.get("engine", {}), engines)
    agent_name, agent = _choice("agent", tree.get("agent", {}), AGENTS)
    with keyed("agent"):
        agent(Limits())  # its own constructor knows what cannot be
    algorithm_name, algorithm = build_algorithm(tree.get("algorithm", "grpo"))
    sections: dict[str, Any] = {
        name: _section(name, tree.get(name), _entry(path)) for name, path in TARGETS.items()
    }
    warm, imitate = tree.get("warm_start"), _entry("agentrl.warmstart:warm_start")
    run = Run(
        env_id=env_id,
        env=env,
        held_out=_held_out(tree.get("held_out", {}), env),
        model_name=model_name,
        model=model,
        engine_name=engine_name,
        engine=engine,
        policies=build_members(tree.get("policies", {})),
        agent_name=agent_name,
        agent=agent,
        algorithm_name=algorithm_name,
        algorithm=algorithm,
        **sections,
        warm_start=None if warm is None else _section("warm_start", warm, imitate),
        **{name: _scalar(name, tree[name]) for name in SCALARS if name in tree},
    )
    check_combinations(run)
    return alone(run, run.only) if run.follows else run


def _env(value: Any) -> tuple[str, Part]:
    arguments = named("env", value, "id")
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


def _held_out(value: Any, env: Part) -> dict[str, Any]:
    changes = mapping(value, "held_out")
    if changes:  # an environment may load much: it is not made for nothing
        with keyed("held_out"):
            env.but(**changes)()
    return changes


def _model(value: Any) -> tuple[str, Part]:
    arguments = named("model", value)
    name = arguments.pop("name", "tiny")
    source = "tiny" if name == "tiny" else "pretrained"
    with keyed("model"):
        if name != "tiny":
            with about("model.name"):
                _entry("agentrl.backends.load:check_path")(name)
        return str(name), part(_entry(f"agentrl.backends.load:{source}"), **arguments)


def _choice(section: str, value: Any, known: Mapping[str, Any]) -> tuple[str, Part]:
    """One of several components by its `name`, by default the first."""
    arguments = named(section, value)
    name = text(section, arguments.pop("name", next(iter(known))))
    with keyed(section):
        if name not in known:
            raise ConfigError(
                f"unknown {section} {name!r}: {suggestion(name, list(known))}", "name"
            )
        found = known[name]
        return name, part(_entry(found) if isinstance(found, str) else found, **arguments)


def _section(name: str, value: Any, target: Any) -> Part:
    with keyed(name):
        section = part(target, **mapping({} if value is None else value, name))
        if is_dataclass(target):
            section()  # it checks its own values
        return section


def _scalar(name: str, value: Any) -> Any:
    words = {"out": "a path", "only": "a policy's name"}
    wanted = str if name in words else int
    if not isinstance(value, wanted) or isinstance(value, bool) or (name, value) == ("out", ""):
        raise ConfigError(f"{name} is {value!r}: give {words.get(name, 'a whole number')}", name)
    return value


def _entry(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
