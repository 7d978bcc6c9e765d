"""The `policies` section: who plays beside the run's own policy `main`, and who of them is trained.

    policies:
      frozen: start                                  # the trained model as training began with it
      judge: openai:http://localhost:8000/v1#name    # a served model
      helper: runs/other/checkpoints/step-000100     # a folder or a hub id
      sub:                                           # weights of its own: a copy, or adapters of
        source: start                                # its own on the same base
        train: true
        learner: {lr: 1.0e-4}                        # where it differs from the run's
      large:                                         # trained on the tokens that another samples
        source: tiny                                 # or a folder
        model: {hidden_size: 128}
        train: true
        learns_from: main
        algorithm: codistill_large

A role of a program speaks with the policy that is named like it, or that its agent's settings name.
A policy is trained on the rows that it sampled, or that the one it learns from did; on no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agentrl.algorithms.base import Algorithm, Part, part
from agentrl.algorithms.grpo import GRPO
from agentrl.backends.engines import hf
from agentrl.backends.http.endpoint import SCHEME, Address
from agentrl.backends.load import check_path, pretrained, tiny
from agentrl.errors import ConfigError, suggestion
from agentrl.signature import checked_arguments
from agentrl.slots import build_algorithm, keyed, mapping

if TYPE_CHECKING:
    from agentrl.config import Run

MAIN = "main"
START = "start"
"""The source of a policy that has the weights with which training began."""
TINY = "tiny"
"""The source of a model from nothing, which the warm start teaches as it teaches `main`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One policy beside the run's own."""

    source: str
    """`start`, `tiny`, a folder or hub id, or `openai:URL#NAME`."""
    train: bool = False
    """Whether it has a learner of its own."""
    learns_from: str = ""
    """Whose tokens it is trained on, ratios being to whoever sampled them; by default its own."""
    algorithm: str | Mapping[str, Any] | None = None
    """As the section `algorithm`; by default the run's, whose credit it then shares."""
    learner: Mapping[str, Any] = field(default_factory=dict)
    """Where it differs from the section `learner`."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """How a folder is loaded, or where `tiny` differs from the run's own `model`."""
    temperature: float | None = None
    """At which it samples, also in evaluations, unless it is trained; by default as all do."""

    @property
    def served(self) -> bool:
        """Whether it is a model behind a URL."""
        return self.source.startswith(SCHEME)

    def learner_of(self, run: Run) -> Part:
        """Its learner: the run's with what differs; a teacher is nobody else's."""
        return run.learner.but(**{"teacher": "", **self.learner})

    def record(self) -> Algorithm | None:
        """Its own algorithm, if it has one."""
        return None if self.algorithm is None else build_algorithm(self.algorithm)[1]

    def described(self) -> str | dict[str, Any]:
        """As YAML has it: a source alone where there is nothing more to say."""
        return self.source if self == Member(source=self.source) else asdict(self)


def build_members(value: Any) -> dict[str, Member]:
    """The members by name, checked before anything is loaded. Raises: ConfigError."""
    members = {}
    for name, told in mapping(value, "policies").items():
        with keyed(f"policies.{name}"):
            members[name] = member(name, told)
    return members


def member(name: str, told: Any) -> Member:
    """One entry of the section. Raises: ConfigError."""
    if not re.fullmatch(r"\w[\w-]*", name):
        raise ConfigError(
            f"policies has the name {name!r}: give letters, digits, '_' and '-'; it names folders"
        )
    if name == MAIN:
        raise ConfigError("policies.main is the run's own policy: give the other another name")
    if not told or not isinstance(told, (str, Mapping)):
        raise ConfigError(
            f"policies.{name} is {told!r}: give {START}, a folder, openai:URL#NAME, or a mapping"
        )
    settings = {"source": told} if isinstance(told, str) else dict(told)
    if not settings.get("source"):
        raise ConfigError(f"policies.{name} has no source: give {START} or a folder")
    made = Member(**checked_arguments(Member, settings))
    check_source(name, made)
    return made


def check_source(name: str, made: Member) -> None:
    """Refuse what can be no policy. Raises: ConfigError."""
    if made.served:
        Address.of(made.source)
    elif made.source not in (START, TINY):
        check_path(made.source)
    if made.served and made.train:
        raise ConfigError(
            f"policies.{name} is served by {made.source}: nothing here can train it; give a folder"
        )
    if made.source == TINY and not made.train:
        raise ConfigError(f"policies.{name} begins with nothing: set policies.{name}.train to true")
    if made.model and (made.served or made.source == START):
        raise ConfigError(f"policies.{name}.model says how a folder is loaded, but it has none")
    if made.temperature is not None and (made.train or not made.temperature >= 0):
        raise ConfigError(
            f"policies.{name}.temperature is {made.temperature}: give 0 or more, and none for a "
            "trained policy, which samples at rollout.temperature"
        )
    with keyed("model"):
        checked_arguments(tiny if made.source == TINY else pretrained, made.model)
    idle = [key for key in ("learns_from", "algorithm", "learner") if getattr(made, key)]
    if idle and not made.train:
        raise ConfigError(
            f"policies.{name}.{idle[0]} would be ignored: set policies.{name}.train to true"
        )


def alone(run: Run, name: str) -> Run:
    """The run of a process that trains one member only: what is `main`'s elsewhere is its own.

    It never samples, so it needs no engine and makes no evaluation; a copy begins with the weights
    that `main`'s trainer publishes, only a model from nothing has a warm start of its own.
    """
    member = run.policies[name]
    same = member.source in (START, TINY)
    return replace(
        run,
        model_name=run.model_name if same else member.source,
        model=run.model.but(**member.model) if same else part(pretrained, **member.model),
        engine_name="hf",
        engine=part(hf),
        algorithm=member.record() or run.algorithm,
        learner=member.learner_of(run),
        train=run.train.but(eval_every=0),
        warm_start=run.warm_start if member.source == TINY else None,
    )


def check_members(run: Run) -> None:
    """What the trained ones and the run do not accept together. Raises: ConfigError."""
    trained = {name: made for name, made in run.policies.items() if made.train}
    if run.only:
        check_only(run, [MAIN, *trained])
    records = [run.algorithm]
    for name, made in trained.items():
        with keyed(f"policies.{name}"):
            records.append(check_trained(run, made))
    sampling = [name for name, made in trained.items() if made.learns_from in ("", name)]
    early = sorted({need for record in records for need in record.advantage.needs} - {"text"})
    if sampling and early:
        raise ConfigError(
            f"the advantage reads the column {early[0]} of every token before credit, but "
            f"{' and '.join([MAIN, *sampling])} are different models: take another algorithm, or "
            "one policy",
            "algorithm.advantage",
        )


def check_only(run: Run, trained: list[str]) -> None:
    """Whether a process can train one policy of these alone. Raises: ConfigError."""
    if run.only not in trained:
        raise ConfigError(
            f"only is {run.only!r}, which no learner trains: {suggestion(run.only, trained)}",
            "only",
        )
    if len(trained) == 1:
        raise ConfigError(
            "only is 'main', but nothing else is trained: set policies.NAME.train, or leave only "
            "out",
            "only",
        )
    tasks, bound = run.rollout.settings["tasks"], run.exchange.settings["bound"]
    if 0 < bound < tasks:
        raise ConfigError(
            f"exchange.bound is {bound}, but a step offers rollout.tasks = {tasks} groups: give "
            "that at least",
            "exchange.bound",
        )


def check_trained(run: Run, made: Member) -> Algorithm:
    """The algorithm that a trained member runs under. Raises: ConfigError."""
    learner = made.learner_of(run).settings
    known = [MAIN, *run.policies]
    if made.learns_from and made.learns_from not in known:
        raise ConfigError(
            f"learns_from is {made.learns_from!r}: {suggestion(made.learns_from, known)}",
            "learns_from",
        )
    if made.source == TINY and run.model_name != TINY:
        raise ConfigError(
            f"source is tiny, but the run's own model is {run.model_name}: their tokens would "
            "differ; give a folder",
            "source",
        )
    if learner["precision"] != run.learner.settings["precision"] and not run.only:
        raise ConfigError(
            f"learner.precision is {learner['precision']}, the run's another: a process has one, "
            "so train it alone (--only)",
            "learner.precision",
        )
    record = made.record() or run.algorithm
    for slot in ("sampler", "strategy"):
        if record.parts[slot].name not in (GRPO.parts[slot].name, run.algorithm.parts[slot].name):
            raise ConfigError(
                f"algorithm.{slot} is {record.parts[slot].name}, but the run's own algorithm "
                "chooses and plays the tasks: set it there",
                f"algorithm.{slot}",
            )
    return record
