"""Every extension point on one screen. Read this first.

A component is any callable of the shape below; its keyword-only arguments are its configuration
(`algorithms/base.py`). Data flows left to right; a part that needs another one's result asks for it
as an argument.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from agentrl.types import Completion, Episode, Floats, Group, Message, Sampling, Span, Task, Turn

if TYPE_CHECKING:
    import numpy as np
    import torch

    from agentrl.chat import Dialogue
    from agentrl.direction import Direction
    from agentrl.env import Reply
    from agentrl.table import Table, View

    Keep = Callable[[Group], bool]
    """Reward-only filter of groups; what it refuses is sampled again."""
    Shape = Callable[[Sequence[Group]], list[Group]]
    """Groups of a step -> the same groups with other rewards and parts."""
    Advantage = Callable[[Table, Sequence[Group]], torch.Tensor]
    """-> credit `[M]`."""
    Weighting = Callable[[Table], torch.Tensor]
    """-> weights `[M]` that hold the normaliser; made once for a whole optimiser step."""
    Loss = Callable[[View], torch.Tensor]
    """-> per-token loss `[M]`, minimised. `Penalty` has the same shape and is added."""


class Policy(Protocol):
    """A model that can be sampled from, token ids in and token ids out."""

    name: str
    version: int

    @property
    def chat(self) -> Chat:
        """How this policy's model writes conversations as tokens."""

    async def complete(self, context: Sequence[Span], sampling: Sampling) -> Completion:
        """Sample once after `context`. Raises: PolicyError."""

    def seat(self) -> AbstractContextManager[None]:
        """Held while an episode is in play: an engine learns how many requests to wait for."""


class TrainedPolicy(Policy, Protocol):
    """A policy whose weights a learner trains."""

    figures: Mapping[str, float]
    """Metrics of the last `load`."""
    window: int
    """Positions that the model has, in tokens."""

    def load(self, *, version: int | None = None) -> int:
        """Take the learner's weights as they are now; the version that later completions carry.

        `version` says which it is, by default the next.

        Raises: SyncError when the engine does not serve them afterwards.
        """

    def rest(self) -> None:
        """Leave the accelerator to the learner until the next `load` or `complete`."""

    def close(self) -> None:
        """Give everything back."""


class Chat(Protocol):
    """Messages to token ids; sampled ids are never rendered again."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an assistant's turn."""

    @property
    def call_format(self) -> str:
        """How the model writes tool calls: a name in `calls.FORMATS`, `plain` if it never does."""

    def opening(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Dialogue:
        """The conversation before the first completion; `tools` are JSON schemas."""

    def follow(
        self, dialogue: Dialogue, completion: Completion, messages: Sequence[Message]
    ) -> Dialogue:
        """The conversation after a completion and the environment's messages."""

    def length(self, spans: Sequence[Span]) -> int:
        """Tokens that the model reads there, as far as they are known."""

    def decode(self, ids: Any) -> str:
        """Sampled ids as text without the end token."""

    def encode(self, text: str) -> Any:
        """Scripted text as ids with the end token: for demonstrations, never for sampled text."""


class Player(Protocol):
    """A policy seated in one episode: temperature and seeds are settled."""

    @property
    def chat(self) -> Chat:
        """The policy's chat format."""

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """Sample the next completion of this episode."""

    def again(self, place: int) -> Player:
        """The same policy in another role of the episode, with draws of its own."""


@runtime_checkable
class Reciter(Protocol):
    """A player that reads from a script, so an agent answers its own questions itself."""

    script: Callable[[], Awaitable[str]]
    """What the script says next."""

    async def recite(self, text: str, max_tokens: int) -> Completion:
        """This text as a completion."""


class Stage(Protocol):
    """An environment seated in one episode; calls have deadlines, foreign errors are `EnvError`."""

    @property
    def seconds(self) -> float:
        """Time spent inside the environment so far."""

    async def reset(self, task: Task, calls: str = "plain") -> tuple[str, Mapping[str, Any]]:
        """Start the task for an agent that writes tool calls so; first observation and info."""

    async def step(self, text: str) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
        """Gymnasium's five words: observation, reward, terminated, truncated, info."""

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call another method of the environment, for example its oracle."""


class Workplace(Protocol):
    """What agents that delegate need of an environment; none of it touches its own episode.

    Assignments are of the episode that `reset` began, any number of them at once.
    """

    def assign(self, kind: str, order: str) -> tuple[str, str, Mapping[str, Any]]:
        """Begin an assignment for an agent of a kind.

        Its id, what that agent hears first, and an info that may hold `system` and `tools`.
        """

    def work(self, assignment: str, text: str) -> Reply:
        """Take a text of that agent's. Once done, the reply's text is its report.

        The parts are that agent's; `format` (1 if all was well formed) and `expert` (how good the
        report is, from 0 to 1) have a meaning in `teams.agent_rewards`.
        """

    def cue(self, assignment: str) -> None:
        """Let `oracle` and `expert` speak for that agent next, for the main one if it is empty."""


Agent = Callable[[Task, Stage, Mapping[str, Player]], Awaitable[Episode]]
"""How policies meet an environment."""


class Play(Protocol):
    """What a strategy can do with one task in one step."""

    step: int
    """The training step."""
    rng: np.random.Generator
    """Draws that follow from the run's seed, the step and the task."""

    async def __call__(self, task: Task, attempt: int, direction: Direction = ...) -> Episode:
        """Play one attempt. Each attempt number draws anew, and the same one draws the same."""

    async def ask(self, task: Task, method: str) -> Any:
        """What a method of the environment answers at the task's beginning. Raises: EnvError."""

    async def write(self, messages: Sequence[Message], attempt: int, max_tokens: int) -> Turn:
        """One completion of the policy outside of any environment."""

    async def render(self, text: str) -> tuple[Span, ...]:
        """A text as the policy's tokens, without an end: what a head goes on with."""


Strategy = Callable[[Task, int, Play], Awaitable[Group]]
"""Which attempts a group is made of."""


class Choice(NamedTuple):
    """A sampler's decision: how many attempts at which task, and what it believed of the task."""

    task: Task
    attempts: int
    notes: Mapping[str, float] = MappingProxyType({})


Score = Callable[[Sequence[Episode]], "list[Floats]"]
"""Log-probs of the episodes' sampled tokens under the weights of now, one array per episode."""


class Sampler(Protocol):
    """Which tasks a step attempts, and how often each. Built from the pool and the run's seed."""

    def choose(self, count: int, attempts: int) -> list[Choice]:
        """`count` tasks and about `count * attempts` attempts between them."""

    def observe(self, groups: Sequence[Group], score: Score) -> None:
        """Learn from what the chosen tasks earned, refused groups included."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
