"""Annotations: the columns that an algorithm's parts ask for, made without gradient.

old, entropy, value   the policy before the step (`entropy` of the whole vocabulary, in nats)
ref                   the reference model
teacher               the model of `learner.teacher`
tempered              the policy at the temperature that the asking part names
masked                the policy with the environment's replies blotted out
text                  no column: `Table.texts`, each row's token as text
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from agentrl.table import Table

if TYPE_CHECKING:
    from agentrl.learner import Learner

POLICY = {"old", "entropy", "value"}
"""Columns of one pass of the policy itself."""


def annotate(learner: Learner, table: Table) -> Table:
    """The table with every column that the learner's algorithm needs."""
    asked = learner.algorithm.needs
    if not learner.on_policy or asked & POLICY:
        table = by_policy(learner, table, asked)
    if "text" in asked:
        table = with_texts(learner, table)
    made = {name: make(learner, table) for name, make in MAKERS.items() if name in asked}
    return table.with_columns(**made)


def by_policy(learner: Learner, table: Table, asked: set[str]) -> Table:
    """`old`, and of the same pass `entropy` and `value`."""
    entropy, values = "entropy" in asked, "value" in asked
    found = learner.run(table, learner.model, entropy=entropy, values=values)
    elsewhere = table.off_policy > 0
    made = {"old": torch.where(elsewhere, table.behaviour, found.logprobs)}
    made |= {} if found.entropy is None else {"entropy": found.entropy}
    made |= {} if found.values is None else {"value": found.values}
    return table.with_columns(**made)


def by_reference(learner: Learner, table: Table) -> torch.Tensor:
    """Log-probs of the reference model."""
    with learner.reference_policy() as model:
        return learner.run(table, model).logprobs


def by_teacher(learner: Learner, table: Table) -> torch.Tensor:
    """Log-probs of the teacher."""
    return learner.run(table, learner.teacher).logprobs


def at_temperature(learner: Learner, table: Table) -> torch.Tensor:
    """Log-probs of the policy at the asking part's `temperature` times the run's."""
    pieces = (piece for p in learner.algorithm.parts.values() for piece in p.family())
    factor = next(piece.live.temperature for piece in pieces if hasattr(piece.live, "temperature"))
    return learner.run(table, learner.model, temperature=learner.temperature * factor).logprobs


def without_replies(learner: Learner, table: Table) -> torch.Tensor:
    """Log-probs of the policy when it cannot read what the environment replied."""
    config = learner.model.config
    known = (config.pad_token_id, config.eos_token_id)
    blot = next((token for token in known if isinstance(token, int)), 0)
    samples = []
    for sample in table.samples:
        ids = sample.ids.copy()
        ids[sample.observed] = blot
        samples.append(replace(sample, ids=ids))
    return learner.run(replace(table, samples=tuple(samples)), learner.model).logprobs


MAKERS: dict[str, Callable[[Learner, Table], torch.Tensor]] = {
    "masked": without_replies,
    "ref": by_reference,
    "teacher": by_teacher,
    "tempered": at_temperature,
}


def with_texts(learner: Learner, table: Table) -> Table:
    """The table with each row's token as text; needs the run's tokenizer."""
    if learner.decode is None:
        raise ValueError("the learner has no tokenizer: set learner.decode to one id's text")
    known, places = torch.unique(table.ids, return_inverse=True)
    words = [learner.decode(int(token)) for token in known]
    return replace(table, texts=tuple(words[place] for place in places.tolist()))
