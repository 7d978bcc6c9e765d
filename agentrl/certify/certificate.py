"""A certificate for a tokenizer and its chat template: what is trained is what was sampled.

First every feature of conversations is tried once (`features.py`). Then generated conversations of
all that the template accepts go through the real line, and every property of `exactness.py` is
checked on each of them, and those of the token table on all. A template that rewrites history is
no fault: the conversation forks there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from agentrl.certify.conversations import Script, as_record, generate, reworded
from agentrl.certify.exactness import CHECKS, case, complaints, gives_back
from agentrl.certify.features import Feature, explored
from agentrl.certify.witness import Played, play
from agentrl.chat import TemplateChat
from agentrl.table import Table, build_table
from agentrl.types import Completion, Group, Ids, Source, Span
from agentrl.weightings import (
    constant_length,
    seq_mean_token_mean,
    seq_mean_token_sum,
    token_mean,
    trajectory_turn_token,
    truncated_importance,
)

BATCH = 50
"""Conversations in one table."""
AGAIN = 10
"""Of how many conversations one is played anew with other words of the environment."""
WEIGHTINGS = (
    seq_mean_token_mean,
    token_mean,
    seq_mean_token_sum,
    constant_length,
    trajectory_turn_token,
    truncated_importance,
)
ROWS, WEIGHTS = "rows", "weights"
MEANINGS = {
    **{name: str(check.__doc__).partition("\n")[0] for name, check in CHECKS.items()},
    ROWS: "Rows and log-probs are those of the sampled tokens, and nothing else is a row.",
    WEIGHTS: "Other words of the environment change no sampled token's weight.",
}
"""Every property by its name."""


class Break(NamedTuple):
    """A property that did not hold, and where."""

    complaint: str
    script: Script


@dataclass(kw_only=True, slots=True)
class Certificate:
    """What is known of one tokenizer and template."""

    name: str
    features: tuple[Feature, ...] = ()
    conversations: int = 0
    turns: int = 0
    tokens: int = 0
    """Sampled."""
    forked: int = 0
    """Conversations that the template rewrites somewhere."""
    refused: int = 0
    """Conversations that the template refuses and the library with it."""
    failed: Counter[str] = field(default_factory=Counter)
    """Conversations in which a property broke, by its name."""
    first: dict[str, Break] = field(default_factory=dict)
    """Where each property broke first."""

    @property
    def exact(self) -> bool:
        """Whether every property held in every conversation."""
        return not self.failed

    def count(self, played: Played) -> None:
        """Take a conversation into account."""
        self.conversations += 1
        self.turns += len(played.completions)
        self.tokens += sum(len(said.ids) for said in played.completions)
        self.forked += bool(played.dialogues and played.dialogues[-1].forks)
        self.refused += played.refused

    def blame(self, name: str, complaint: str, script: Script) -> None:
        """Note that a property broke."""
        self.failed[name] += 1
        self.first.setdefault(name, Break(complaint, script))

    def record(self) -> dict[str, Any]:
        """All of it in JSON types."""
        counts = ("conversations", "turns", "tokens", "forked", "refused")
        return {
            "name": self.name,
            "exact": self.exact,
            "features": [feature._asdict() for feature in self.features],
            **{key: getattr(self, key) for key in counts},
            "failed": {name: self.failed[name] for name in MEANINGS},
            "first": {
                name: {"complaint": broken.complaint, "script": as_record(broken.script)}
                for name, broken in self.first.items()
            },
        }


def certify(chat: TemplateChat, *, conversations: int = 1000, seed: int = 0) -> Certificate:
    """Try every feature, then play that many generated conversations and check them all."""
    features, repertoire = explored(chat)
    certificate = Certificate(name=chat.template.name, features=features)
    rng = np.random.default_rng(seed)
    for start in range(0, conversations, BATCH):
        count = min(BATCH, conversations - start)
        examine(chat, [generate(rng, repertoire) for _ in range(count)], certificate)
    return certificate


def examine(chat: TemplateChat, scripts: Sequence[Script], certificate: Certificate) -> None:
    """Play scripts and write into the certificate what does not hold of them."""
    exact, found = gives_back(chat), play(chat, scripts)
    for played in found:
        certificate.count(played)
        for name, complaint in complaints(case(chat, played, exact=exact)).items():
            certificate.blame(name, complaint, played.script)
    live = [played for played in found if not played.refused]
    table = build_table([played.group for played in live])
    for played, complaint in misplaced(table, live):
        certificate.blame(ROWS, complaint, played.script)
    for number, complaint in reweighted(table, build_table(said_otherwise(chat, live))):
        certificate.blame(WEIGHTS, complaint, live[number].script)


def said_otherwise(chat: TemplateChat, conversations: Sequence[Played]) -> list[Group]:
    """The same sampled tokens among other words of the environment.

    One conversation in ten is played anew with them, and may fork elsewhere then; in the others
    the environment's tokens are exchanged where they stand.
    """
    again = play(chat, [reworded(played.script) for played in conversations[::AGAIN]])
    anew = {AGAIN * i: played.group for i, played in enumerate(again) if not played.refused}
    return [anew.get(i, exchanged(played).group) for i, played in enumerate(conversations)]


def exchanged(played: Played) -> Played:
    """A conversation with other tokens, and one more, wherever the environment's stand."""

    def other(span: Span) -> Span:
        if span.source is not Source.ENV:
            return span
        return replace(span, ids=np.append(span.ids[::-1], span.ids[:1]))

    turns = [
        replace(turn, spans=tuple(other(span) for span in turn.spans))
        for turn in played.trajectory.turns
    ]
    return played._replace(trajectory=replace(played.trajectory, turns=tuple(turns)))


def misplaced(table: Table, conversations: Sequence[Played]) -> Iterator[tuple[Played, str]]:
    """Conversations whose rows are not their sampled tokens, each in its place, with its log-prob.

    `table` is of these conversations, in this order.
    """
    columns = {name: column.numpy() for name, column in table.columns.items()}
    start = 0
    for played in conversations:
        right = True
        for given, said in zip(played.contexts, played.completions, strict=True):
            rows = {name: column[start : start + len(said.ids)] for name, column in columns.items()}
            start += len(said.ids)
            right = right and _in_place(table, rows, given, said)
        if not right:
            yield played, "the table holds other rows than what was sampled"
    if start != len(table):
        yield conversations[-1], f"{len(table)} rows for {start} sampled tokens"


def _in_place(table: Table, rows: Mapping[str, Any], given: Ids, said: Completion) -> bool:
    """Whether rows are what was sampled after a context, in a sample that begins with both."""
    places, whole = np.arange(len(given), len(given) + len(said.ids)), np.append(given, said.ids)
    same = (
        np.array_equal(rows["ids"], said.ids)
        and np.array_equal(rows["behaviour"], said.logprobs)
        and np.array_equal(rows["position"], places)
    )
    samples = [table.samples[number] for number in set(rows["sample"].tolist())]
    return same and all(
        np.array_equal(sample.ids[: len(whole)], whole) and not sample.observed[places].any()
        for sample in samples
    )


def reweighted(table: Table, other: Table) -> Iterator[tuple[int, str]]:
    """Groups in which some weighting tells two tables of the same sampled tokens apart."""
    for weighting in WEIGHTINGS if len(table) else ():
        before, after = weighting(table), weighting(other)
        if len(before) != len(after):
            yield 0, f"{len(before)} tokens are weighted, and {len(after)} under other words"
            return
        for number in set(table.columns["group"][before != after].tolist()):
            yield number, f"{weighting.__name__} weighs tokens otherwise under other words"
