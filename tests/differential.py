"""Random steps twice: as our groups and table, and as plain nested numbers for literal formulas.

A literal formula loops over attempts, turns and tokens in Python floats, so it can be read against
the paper line by line. `tests/references/` holds them by the name of the part they mirror:

    ADVANTAGES[part](step, **settings)      -> credit  [group][attempt][turn][token]
    WEIGHTINGS[part](step, **settings)      -> weights [group][attempt][turn][token]
    LOSSES[part](step, **settings)          -> token losses, same nesting; a token has logp, old,
                                               behaviour, ref, credit, weight, ...
    TOTALS[part](step, **settings)          -> one number whose derivative by each token's logp is
                                               compared, for parts that prepare over whole groups
    SHAPES[part](step, **settings)          -> rewards [group][attempt]
    ALSO[part]                              -> more settings to compare the part under

An advantage that adds columns may answer a dictionary of them, with `advantage`.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from builders import VOCABULARY, completion, draw, follow, span, table_of
from written import PARTS, TEXTS, random_data

from agentrl.types import Episode, Finish, Group, Parse, Status, Task, Trajectory, Turn

COLUMNS = ("old", "ref", "entropy", "value", "tempered", "masked", "teacher", "logp")
REPLIES = ("", "north", "south")
ANSWERS = ("a", "b", "c", None)
WORDS = ("<think>", "</think>", "so", "\n", "7", "end")


@dataclass
class Token:
    """One sampled token and every number a formula may read, in nats where it is a log-prob."""

    id: int
    text: str
    behaviour: float
    old: float
    ref: float
    entropy: float
    value: float
    tempered: float
    masked: float
    teacher: float
    logp: float
    reward: float = 0.0
    credit: float = 0.0
    weight: float = 0.0
    still: "Token | None" = None
    """The token before a difference moved it: what is held fixed (a stop-gradient) reads this."""


@dataclass
class Said:
    """One turn."""

    reward: float
    reply: str
    tokens: list = field(default_factory=list)
    text: str = ""
    stopped: bool = True
    parsed: bool = True
    parts: dict = field(default_factory=dict)


@dataclass
class Attempt:
    """One attempt with one trajectory; `tokens` are those of all turns in order."""

    reward: float
    success: bool
    answer: str | None
    parts: dict
    turns: list
    values: dict = field(default_factory=dict)
    off_policy: bool = False
    agent: str = ""

    @property
    def tokens(self):
        return [token for said in self.turns for token in said.tokens]

    @property
    def text(self):
        """What it said last."""
        return self.turns[-1].text if self.turns else ""


class Attempts(list):
    """A group: its attempts, the training step, what the task holds and what was noted of it."""

    def __init__(self, attempts=(), number=0, data=None, notes=None):
        super().__init__(attempts)
        self.number, self.data, self.notes = number, data, notes


def random_step(rng):
    """A step as `(groups, step)`: ours, and nested lists of attempts; degenerate ones included."""
    groups, step = [], []
    for number in range(rng.integers(1, 4)):
        kind = rng.choice(["binary", "binary", "real", "equal", "wrong", "right"])
        pairs = [random_attempt(rng, kind) for _ in range(rng.integers(1, 7))]
        if rng.random() < 0.1:
            broken = Trajectory(status=Status.ENV_FAILED, reward=5.0)
            pairs.append((broken, None))
        task = Task(env="test", data={"number": number, **random_data(rng)})
        episodes = [
            Episode(task=task, attempt=i, trajectories=(t,), **beside(plain))
            for i, (t, plain) in enumerate(pairs)
        ]
        now, notes = int(rng.integers(400)), random_notes(rng)
        groups.append(Group(task=task, episodes=tuple(episodes), step=now, notes=notes))
        plain = [plain for _, plain in pairs if plain is not None]
        step.append(Attempts(plain, now, task.data, notes))
    return groups, step


def beside(plain):
    """What an episode knows beside its trajectory."""
    return {"values": plain.values, "off_policy": plain.off_policy} if plain else {}


def random_notes(rng):
    """What a sampler might have noted: a value, a repeat, or nothing."""
    if rng.random() < 0.2:
        return {}
    return {"value": float(np.round(rng.random(), 2)), "repeat": float(rng.integers(3))}


def random_values(rng, count):
    """Numbers at places of an attempt's `count` tokens, from the prompt or the first one on."""
    if count < 2 or rng.random() < 0.2:
        return {}
    places = rng.choice(count - 1, rng.integers(count), replace=False)
    return {
        int(p): float(np.round(rng.normal(), 2)) for p in sorted({rng.integers(-1, 1), *places})
    }


def random_attempt(rng, kind):
    """A trajectory and its plain mirror."""
    reward = {
        "binary": float(rng.integers(2)),
        "real": float(np.round(rng.normal(), 2)),
        "equal": 0.5,
        "wrong": 0.0,
        "right": 1.0,
    }[kind]
    turns, said = [], []
    for _ in range(rng.integers(0, 4)):
        seen = draw(rng, 3)
        spans = follow(turns[-1], seen) if turns else (span(seen),)
        ids, earned = rng.integers(0, 6, rng.integers(0, 5)), float(rng.integers(2))
        reply = str(rng.choice(REPLIES))
        text = TEXTS[rng.integers(len(TEXTS))]
        stopped, parsed = bool(rng.random() < 0.7), bool(rng.random() < 0.8)
        ended = Finish.STOP if stopped else Finish.LENGTH
        chosen = completion(ids, -rng.exponential(0.5, len(ids)), text=text, finish=ended)
        parts = {"hit": float(rng.integers(2))} if rng.random() < 0.8 else {}
        parse = Parse.OK if parsed else Parse.MALFORMED
        more = {"reward": earned, "reply": reply, "parts": parts}
        turns.append(Turn(spans=spans, completion=chosen, parse=parse, **more))
        tokens = [random_token(rng, *of) for of in zip(chosen.ids, chosen.logprobs, strict=True)]
        said.append(Said(tokens=tokens, text=text, stopped=stopped, parsed=parsed, **more))
    parts = {"solved": reward, "order": float(np.round(rng.random(), 2))}
    parts |= {name: float(rng.choice(of)) for name, of in PARTS.items() if rng.random() < 0.7}
    fields = {
        "reward": reward,
        "success": reward > 0.5,
        "answer": rng.choice(ANSWERS),
        "parts": parts,
    }
    trajectory = Trajectory(turns=tuple(turns), **fields)
    values = random_values(rng, sum(len(one.tokens) for one in said))
    attempt = Attempt(turns=said, values=values, off_policy=bool(rng.random() < 0.2), **fields)
    for token in attempt.tokens if attempt.off_policy else ():
        token.old = token.behaviour
    return trajectory, with_token_rewards(attempt)


def random_token(rng, id, behaviour):
    """A token of the vocabulary whose log-probs differ a little from each other."""
    logprobs = {name: float(np.float32(behaviour + rng.normal(0, 0.2))) for name in COLUMNS}
    entropy = float(np.float32(rng.exponential(0.6)))
    return Token(
        id=int(id),
        text=WORDS[int(id)],
        behaviour=float(behaviour),
        **{**logprobs, "entropy": entropy, "value": float(rng.normal())},
    )


def with_token_rewards(attempt):
    """Turn rewards on the turns' last tokens; the rest of the attempt's on its last one."""
    spoken = [said for said in attempt.turns if said.tokens]
    left = attempt.reward
    for number, said in enumerate(attempt.turns if spoken else ()):
        before = [other for other in attempt.turns[: number + 1] if other.tokens]
        (before[-1] if before else spoken[0]).tokens[-1].reward += said.reward
        left -= said.reward
    if spoken:
        spoken[-1].tokens[-1].reward += left
    return attempt


def annotated(groups, step):
    """The table of the groups with every column that `annotate` could have made."""
    tokens = [token for group in step for attempt in group for token in attempt.tokens]
    table = table_of(groups)
    made = {
        name: torch.tensor([getattr(t, name) for t in tokens], dtype=torch.float32)
        for name in COLUMNS
    }
    return replace(table.with_columns(**made), texts=tuple(token.text for token in tokens))


def flat(nested):
    """The numbers of a nested list as one float64 vector."""
    if isinstance(nested, (list, tuple)):
        return np.concatenate([np.zeros(0), *(flat(part) for part in nested)])
    return np.array([float(nested)])


def everywhere(step, value):
    """`value(token, said, attempt, group)` of every token, nested like the step."""
    return [
        [
            [
                [value(token, said, attempt, group) for token in said.tokens]
                for said in attempt.turns
            ]
            for attempt in group
        ]
        for group in step
    ]


def broadcast(step, numbers):
    """Numbers `[group][attempt]` given to all of the attempt's tokens."""
    return [
        [
            [[number for _ in said.tokens] for said in attempt.turns]
            for attempt, number in zip(group, of, strict=True)
        ]
        for group, of in zip(step, numbers, strict=True)
    ]


def mean(values):
    """The mean; 0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def std(values, ddof):
    """The standard deviation with `ddof`; 0 where it is not defined."""
    values = list(values)
    if len(values) <= ddof:
        return 0.0
    centre = mean(values)
    return math.sqrt(sum((v - centre) ** 2 for v in values) / (len(values) - ddof))


assert len(WORDS) < VOCABULARY
