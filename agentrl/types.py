"""The nouns of the straight line: what one attempt at one task produced, exactly as it happened.

    Task -> Episode( Trajectory( Turn( Span..., Completion ), ... ), ... ) -> Group

Legend, used throughout the library:
    M       rows of the token table (tokens that a policy sampled)
    T       tokens of one sample or context
    nats    unit of every log-probability and entropy
    tokens  unit of every length and limit
One alignment everywhere: `logprobs[t] = log p(ids[t] | ids[<t])`.

Everything here is frozen, holds numpy arrays and needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


class Source(Enum):
    """Who wrote a token: the policy, the environment, or the chat template around them."""

    SAMPLED = "sampled"
    ENV = "env"
    TEMPLATE = "template"


class Finish(Enum):
    """Why a completion ended: its end token, its token limit, or a caller that gave up on it."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"


class Parse(Enum):
    """What a parser made of an assistant's text; never a bool, so that a reason can be told."""

    OK = "ok"
    NO_CALL = "no_call"
    MALFORMED = "malformed"


class Status(Enum):
    """Why a trajectory ended, whatever its score."""

    COMPLETED = "completed"
    TURN_LIMIT = "turn_limit"
    TOKEN_LIMIT = "token_limit"
    CONTEXT_LIMIT = "context_limit"
    TIME_LIMIT = "time_limit"
    ENV_FAILED = "env_failed"
    TOOL_FAILED = "tool_failed"
    POLICY_FAILED = "policy_failed"

    @property
    def truncated(self) -> bool:
        """True when a limit ended it: the attempt stays in its group and keeps its reward."""
        return self.name.endswith("_LIMIT")

    @property
    def failed(self) -> bool:
        """True when something broke: counted, but left out of statistics and training."""
        return self.name.endswith("_FAILED")


class ToolCall(NamedTuple):
    """One call of a tool, as the model asked for it."""

    name: str
    arguments: Mapping[str, Any]
    """JSON values by parameter name."""
    id: str = ""
    """What the tool's result refers to, where the format has ids."""


class Message(NamedTuple):
    """One message of a conversation; `role` is system, user, assistant or tool."""

    role: str
    content: str
    thinking: str = ""
    """What the assistant thought before `content`."""
    calls: tuple[ToolCall, ...] = ()
    """The tools that the assistant called."""
    name: str = ""
    """Of the tool whose result this is."""
    call: str = ""
    """Id of the call whose result this is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One problem of one environment; its identity is its content, so held out stays held out."""

    env: str
    """Registered environment id, for example `agentrl/Sudoku-v0`."""
    data: Mapping[str, Any]
    """The environment's own record; JSON-serialisable."""
    seed: int = 0
    """Seed of the environment's own randomness; not part of the identity."""
    id: str = field(init=False)
    """16 hex digits of SHA-256 over the environment id and the data."""

    def __post_init__(self) -> None:
        content = json.dumps([self.env, dict(self.data)], sort_keys=True, ensure_ascii=False)
        object.__setattr__(self, "id", hashlib.sha256(content.encode()).hexdigest()[:16])

    @property
    def split(self) -> str:
        """What the data names as its `split`, else `test` for one identity in eight, or `train`."""
        return str(self.data.get("split", "test" if int(self.id[:8], 16) % 8 == 0 else "train"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A run of token ids with one provenance: the token ledger's unit."""

    ids: Ids
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How one completion is drawn."""

    temperature: float = 1.0
    """Of the softmax; 0 is greedy. Log-probs are tempered too, unless greedy."""
    max_tokens: int = 256
    """Completion length at which `Finish.LENGTH` ends it."""
    seed: int = 0
    """Fixes the draws whatever else is in the batch."""


class Usage(NamedTuple):
    """Tokens of a completion's context, tokens sampled and cost, by a server's own count."""

    prompt: int = 0
    completion: int = 0
    dollars: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a policy sampled in one call, exactly."""

    ids: Ids
    """The sampled ids, end token included when there is one."""
    logprobs: Floats
    """`[len(ids)]` nats under the distribution that was sampled from."""
    text: str
    """The ids decoded, without the end token: a view for environments, never a source of ids."""
    finish: Finish
    policy: str = "main"
    version: int = 0
    """Version of the weights that sampled it."""
    head: tuple[Span, ...] = ()
    """Tokens that the completion was made to begin with: context for the model, `text` for the
    environment, never sampled here."""
    versions: Ids | None = None
    """`[len(ids)]`, each token's own version where weights changed in the middle."""
    usage: Usage | None = None
    """What a server counted that keeps its tokens to itself."""

    @property
    def num_tokens(self) -> int:
        """Sampled tokens, as the model counts them."""
        return len(self.ids) if self.usage is None else self.usage.completion


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One call of a policy and what came back."""

    spans: tuple[Span, ...]
    """The exact context the completion was sampled from."""
    completion: Completion
    reward: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    """The reward's named parts before composition."""
    reply: str = ""
    """The environment's text that followed."""
    parse: Parse = Parse.OK
    train_spans: tuple[Span, ...] | None = None
    """The context to train under, where that is another one; sampled spans may not change."""
    trained: bool = True
    """Whether its tokens are rows; a branch's copy of a turn that has rows elsewhere is context."""
    state: str | None = None
    """What it was sampled in, where that is not the reply before it: equal states are compared."""

    @property
    def context(self) -> tuple[Span, ...]:
        """The context that training sees."""
        return self.spans if self.train_spans is None else self.train_spans


class Parent(NamedTuple):
    """The call that started a sub-agent: indices of trajectory, turn and (parallel) call."""

    trajectory: int
    turn: int
    call: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """One agent's turns in one episode."""

    agent: str = "main"
    parent: Parent | None = None
    turns: tuple[Turn, ...] = ()
    reward: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    """Named reward parts, summed over the turns."""
    status: Status = Status.COMPLETED
    success: bool = False
    """Whether the task was solved: apart from the shaped reward, and what evaluations report."""
    answer: str | None = None
    """The final answer in the environment's canonical form, where there is one."""
    error: str = ""
    """The message behind a failed status."""
    seconds: float = 0.0
    env_seconds: float = 0.0
    """Part of `seconds` spent inside the environment."""

    @property
    def num_tokens(self) -> int:
        """Sampled tokens."""
        return sum(turn.completion.num_tokens for turn in self.turns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """Everything one attempt produced: the main agent's trajectory first, sub-agents' after."""

    task: Task
    attempt: int = 0
    trajectories: tuple[Trajectory, ...]
    hint: int = 0
    """Strength of the help it was given, 0 for none: a hinted success is no success of its own."""
    off_policy: bool = False
    """Whether it is trained under another distribution: ratios are then to the sampler's."""
    values: Mapping[int, float] = field(default_factory=dict)
    """What a strategy estimated for the main trajectory: keys are places among its sampled tokens,
    -1 the prompt; what the numbers are, the strategy's own advantage knows."""

    @property
    def main(self) -> Trajectory:
        """The trajectory whose status, reward and success are the attempt's."""
        return self.trajectories[0]

    @property
    def num_tokens(self) -> int:
        """Sampled tokens of all agents."""
        return sum(trajectory.num_tokens for trajectory in self.trajectories)


class Cost(NamedTuple):
    """What a group took to play, everything included that is not in it any more."""

    episodes: int = 0
    tokens: int = 0
    """Sampled tokens."""
    seconds: float = 0.0
    """Of all episodes together; they overlap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The attempts at one task that are compared with each other."""

    task: Task
    episodes: tuple[Episode, ...]
    step: int = 0
    """The training step that played it: what schedules read."""
    notes: Mapping[str, float] = field(default_factory=dict)
    """What the sampler believed of the task when it chose it, by name."""
    cost: Cost = field(default_factory=Cost)
    """Counted by the rollout."""

    @property
    def live(self) -> tuple[Episode, ...]:
        """The episodes that did not fail: the ones statistics and training see."""
        return tuple(episode for episode in self.episodes if not episode.main.status.failed)


def join(spans: tuple[Span, ...]) -> Ids:
    """The spans' ids in one array `[T]`."""
    return np.concatenate([span.ids for span in spans]) if spans else np.empty(0, np.int64)
