"""Parts and records: a component is a function whose keyword-only arguments are its configuration.

`part(clipped, clip_high=0.28)` checks names and types against the signature, once, for Python, YAML
and the command line alike. An algorithm is a record of parts, a paper a difference between records:

    DAPO = GRPO.but(loss=part(clipped, clip_high=0.28))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from agentrl.signature import checked_arguments, parameters


@dataclass(frozen=True, slots=True)
class Part:
    """A component with its configuration; calling it calls the component."""

    function: Callable[..., Any]
    """A function, or a class if the component has memory."""
    arguments: Mapping[str, Any]
    live: Any = None
    """The object with the memory, once `started`."""

    def __call__(self, *inputs: Any, **more: Any) -> Any:
        """Call the component with its configuration: its live object once it is started."""
        if self.live is not None:
            return self.live(*inputs, **more)
        return self.function(*inputs, **self.arguments, **more)

    def started(self, *given: Any) -> Part:
        """The part of one run: classes are built from `given` and their configuration."""
        arguments = {**self.arguments, **{k: p.started() for k, p in self.inner.items()}}
        live = self.function(*given, **arguments) if isinstance(self.function, type) else None
        return replace(self, arguments=arguments, live=live)

    @property
    def inner(self) -> dict[str, Part]:
        """The parts that this one is configured with, defaults included."""
        return {name: value for name, value in self.settings.items() if isinstance(value, Part)}

    def family(self) -> list[Part]:
        """This part and all inner ones."""
        return [self, *(part for inner in self.inner.values() for part in inner.family())]

    def state_dict(self) -> dict[str, Any]:
        """The memory of this part and of its inner ones; JSON-serialisable, empty without any."""
        inner = {name: state for name, p in self.inner.items() if (state := p.state_dict())}
        own = {"memory": self.live.state_dict()} if hasattr(self.live, "state_dict") else {}
        return {**own, **inner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        if "memory" in state:
            self.live.load_state_dict(state["memory"])
        for name, part in self.inner.items():
            part.load_state_dict(state.get(name, {}))

    @property
    def name(self) -> str:
        """The component's name."""
        return self.function.__name__

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that `annotate` must make before this part runs."""
        inner = [column for part in self.inner.values() for column in part.needs]
        return tuple(dict.fromkeys([*getattr(self.function, "needs", ()), *inner]))

    @property
    def prepare(self) -> Callable[[Any], Mapping[str, Any]] | None:
        """`(view) -> coefficient columns`, over the whole optimiser step, if the part has it."""
        function = getattr(self.function, "prepare", None)
        return None if function is None else partial(function, **self.arguments)

    @property
    def settings(self) -> dict[str, Any]:
        """Every argument with its value, defaults included."""
        given = {p.name: p.default for p in parameters(self.function).values() if not p.required}
        return {**given, **self.arguments}

    def but(self, **changes: Any) -> Part:
        """The same component, configured differently."""
        return part(self.function, **{**self.arguments, **changes})


def part(function: Callable[..., Any], /, **arguments: Any) -> Part:
    """Configure a component.

    Raises:
        ConfigError: an unknown name (with the closest known one) or a value of the wrong type.
    """
    known = parameters(function)
    inner = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, Part) and name in known and known[name].type is Part
    }
    others = {name: value for name, value in arguments.items() if name not in inner}
    checked = checked_arguments(function, others) | inner
    return Part(function, {name: checked[name] for name in arguments})


def needs(*columns: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the columns that a part reads and `annotate` must make: `ref`, `entropy`, `old`."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        function.needs = columns  # type: ignore[attr-defined]
        return function

    return declare


def prepares(prepare: Callable[..., Mapping[str, Any]]) -> Callable[..., Any]:
    """Declare what a loss or penalty must know of the whole optimiser step.

    `prepare(view, **the part's arguments) -> columns [M]` runs once, without gradient, at the
    current parameters, before the step is split. The part then reads the columns from its view:
    a loss that is no sum over tokens returns `coefficient * view.logprobs`, whose gradient is the
    exact one.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        function.prepare = prepare  # type: ignore[attr-defined]
        return function

    return declare


def refuses(reason: Callable[[Any, Part], str | None]) -> Callable[..., Any]:
    """Declare what a part cannot be combined with: `reason(record, part)` is why, or None.

    For what is mathematically wrong, not for what is unusual: a run with it is refused.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        function.refuses = reason  # type: ignore[attr-defined]
        return function

    return declare


def on_policy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a loss without a ratio: right only for one optimiser step per batch."""
    function.on_policy = True  # type: ignore[attr-defined]
    return function


def declare(
    *, makes: tuple[str, ...] = (), reads: tuple[str, ...] = (), by_std: bool = False
) -> Callable[..., Any]:
    """Declare columns that an advantage makes and another part reads, or a division by a std."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.makes, function.reads, function.by_std = makes, reads, by_std  # type: ignore[attr-defined]
        return function

    return mark


def every_group(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a loss that also trains, or counts, groups whose credit is zero everywhere."""
    function.every_group = True  # type: ignore[attr-defined]
    return function


def divides_by_std(advantage: Part) -> bool:
    """Whether a part or one of its inner ones scales by a std."""
    return any(
        piece.settings.get("scale") == "std" or getattr(piece.function, "by_std", False)
        for piece in advantage.family()
    )


def shuffled() -> Part:
    """The default sampler: every task once, in a new order each epoch."""
    from agentrl.samplers import Shuffled

    return part(Shuffled)


def independently() -> Part:
    """The default strategy: independent attempts."""
    from agentrl.strategies import independent

    return part(independent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Algorithm:
    """A record of parts, one per slot."""

    advantage: Part
    """`(table, groups) -> credit [M]`, or a mapping of columns with `advantage` among them."""
    weighting: Part
    """`(table) -> weights [M]` that hold the normaliser."""
    loss: Part
    """`(view) -> [m]`, minimised."""
    penalty: Part | None = None
    """`(view) -> [m]`, added to the loss under the same weights; off while its `coef` is 0."""
    shape: Part | None = None
    """`(groups) -> groups` with other rewards."""
    keep: Part | None = None
    """`(group) -> bool`, judged on rewards; what it refuses is sampled again."""
    sampler: Part = field(default_factory=shuffled)
    """A class built from `(pool, seed)`: which tasks a step attempts, and how often each."""
    strategy: Part = field(default_factory=independently)
    """`async (task, attempts, play) -> Group`: which attempts a group is made of."""
    penalty_weighting: Part | None = None
    """`(table) -> weights [M]` of the penalty; None takes the loss's."""
    reference: Part | None = None
    """`(reference, policy, step)` moves the reference model; None leaves it where it began."""
    keeps_scale: bool = False
    """Whether the size of rewards is part of the method, so that no std may divide them."""

    def but(self, **slots: Any) -> Algorithm:
        """The same algorithm with other parts: the whole difference a paper makes."""
        return replace(self, **slots)

    @property
    def parts(self) -> dict[str, Part]:
        """The slots that are filled."""
        filled = {slot.name: getattr(self, slot.name) for slot in fields(self)}
        return {name: value for name, value in filled.items() if isinstance(value, Part)}

    @property
    def live_penalty(self) -> Part | None:
        """The penalty if it is switched on."""
        on = self.penalty is not None and self.penalty.settings.get("coef", 1.0) != 0
        return self.penalty if on else None

    @property
    def live_parts(self) -> tuple[Part, ...]:
        """What runs on the live model: the loss, and the penalty if it is switched on."""
        return (self.loss,) if self.live_penalty is None else (self.loss, self.live_penalty)

    @property
    def needs(self) -> set[str]:
        """Columns that must be made before the step; live parts see the live entropy instead."""
        early = [part for name, part in self.parts.items() if name not in ("loss", "penalty")]
        asked = {column for p in early for column in p.needs}
        return asked | {c for p in self.live_parts for c in p.needs if c != "entropy"}

    def refusals(self) -> dict[str, str]:
        """Why this combination of parts is wrong, by slot; empty for a sound record."""
        found = {}
        if self.keeps_scale and divides_by_std(self.advantage):
            found["advantage"] = (
                "must not be divided by a std: this method compares rewards by their size, and the "
                "std would undo it; set algorithm.advantage.scale to none"
            )
        family = self.advantage.family()
        made = {column for piece in family for column in getattr(piece.function, "makes", ())}
        for slot, whole in self.parts.items():
            for piece in whole.family():
                missing = set(getattr(piece.function, "reads", ())) - made
                if missing:
                    columns = ", ".join(sorted(missing))
                    found[slot] = (
                        f"{piece.name} reads {columns}, which this advantage does not make"
                    )
                check = getattr(piece.function, "refuses", None)
                reason = check(self, piece) if check is not None else None
                if reason is not None:
                    found[slot] = f"{piece.name} {reason}"
        return found

    def started(self, pool: Sequence[Any] = (), seed: int = 0) -> Algorithm:
        """The record of one run: parts with memory are built; the sampler if there is a pool."""
        parts = {name: p.started() for name, p in self.parts.items() if name != "sampler"}
        if pool:
            parts["sampler"] = self.sampler.started(pool, seed)
        return self.but(**parts)

    def credit(self, table: Any, groups: Sequence[Any]) -> Any:
        """The table with its credit: the column `advantage` and whatever the part adds."""
        found = self.advantage(table, groups)
        return table.with_columns(**(found if isinstance(found, Mapping) else {"advantage": found}))

    def state_dict(self) -> dict[str, Any]:
        """The memories of all parts; JSON-serialisable."""
        return {name: state for name, p in self.parts.items() if (state := p.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        for name, part in self.parts.items():
            part.load_state_dict(state.get(name, {}))

    @property
    def wants_live_entropy(self) -> bool:
        """Whether the loss or the penalty differentiates through the entropy."""
        return any("entropy" in part.needs for part in self.live_parts)
