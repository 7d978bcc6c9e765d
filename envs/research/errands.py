"""Errands: what a sub-agent was sent for, and a small question of its own in the same graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agentrl.calls.base import thinking
from agentrl.env import Reply
from agentrl.envs.sparql.env import (
    BY_NAME,
    FOUND,
    OVER,
    Sparql,
    chain_query,
    compact,
    slip,
)
from agentrl.envs.sparql.graph import SCHEMA, KnowledgeGraph
from agentrl.envs.sparql.observe import bounded
from agentrl.envs.sparql.said import NONE
from agentrl.parsing import blocks
from agentrl.types import Parse

ORDER = re.compile(r"(?:what is )?the (.+) of :?(\w+)\s*[?.]?", re.IGNORECASE | re.DOTALL)
BY_PHRASE = {
    said: relation.name
    for relation in SCHEMA
    for said in (*(phrase.lower() for phrase in relation.phrases), *map(str.lower, relation.names))
}
"""Every way to name a property -> its own name."""
LONGEST = 4
"""Properties of a chain, as in questions."""


def read_order(graph: KnowledgeGraph, order: str) -> dict[str, Any]:
    """An order as a task: `the birthplace of :X`, or a chain of up to four such properties.

    Without relations where it is neither, without answers where the graph has none.
    """
    found = ORDER.fullmatch(order.strip())
    phrases = re.split(" of the ", found[1], flags=re.IGNORECASE) if found else []
    relations = [BY_PHRASE.get(p.strip().lower().removeprefix(":"), "") for p in reversed(phrases)]
    entity = found[2] if found else ""
    if not (all(relations) and 1 <= len(relations) <= LONGEST):
        return {"question": order, "entity": entity, "relations": [], "query": "", "answers": []}
    node, stored = entity, []
    for name in relations:
        stored.append(graph.stored(name, node))
        node = graph.facts[name].get(node, "")
    query = chain_query(entity, stored)
    answers = [node] if node else []
    given = {"entity": entity, "relations": relations, "query": query, "answers": answers}
    return {"question": order, **given}


class Errand(Sparql):
    """One assignment: an order as a question, which ends with the sub-agent's report."""

    def begin(self, data: Mapping[str, Any]) -> str:
        """The order."""
        self.formed: float | None = None
        return super().begin(data)

    def serve(self, text: str) -> Reply:
        """One turn; the reply's parts are the sub-agent's, its text at the end is the report."""
        reply = self.act(text)
        parts = form(reply, self.formed)
        self.formed = (self.formed or 0.0) + parts["format"]
        if not reply.done:
            asked = {k: v for k, v in reply.parts.items() if k in ("executed", "repeated")}
            return replace(reply, parts={**parts, **asked})
        right = reply.success and bool(self.data["answers"])
        report = bounded(blocks(spoken(text), "answer")[0].strip(), self.result_chars)
        return replace(reply, text=report, parts={**parts, "expert": float(right)}, success=right)

    def expert(self, rng: np.random.Generator) -> str:
        """The order's query, now and then with a slip; answers what it last saw."""
        if self.result is not None and self.result.rows:
            return self.turn_text("answer", f" {compact(self.result.rows[0][-1])}", FOUND)
        entity, relations = self.data["entity"], self.data["relations"]
        gives_up = self.result is not None and rng.random() >= self.expert_retry
        if gives_up or not relations:
            return self.turn_text("answer", f" :{entity or NONE}", OVER)
        return self.turn_text("query", asking(self, entity, relations, rng), f":{relations[0]}")


def asking(env: Sparql, entity: str, relations: Sequence[str], rng: np.random.Generator) -> str:
    """The query for a chain as an expert writes it; one slip in two asks for another property."""
    names, slips = list(relations), bool(rng.random() < env.expert_slip)
    if slips and rng.random() < 0.5:
        names[int(rng.integers(len(names)))] = SCHEMA[int(rng.integers(len(SCHEMA)))].name
        slips = False
    if env.graph.renamed:
        names = [str(rng.choice(BY_NAME[name].names)) for name in names]
    text = chain_query(entity, names)
    return slip(text, entity, rng) if slips else text


def spoken(text: str) -> str:
    """What was said behind the thoughts; all of it where a thought does not end."""
    _, rest, closed = thinking(text)
    return rest if closed else text


def form(reply: Reply, before: float | None) -> dict[str, float]:
    """The part `format` of a turn: summed over the turns it is 1 if all are well formed, else 0."""
    well = float(reply.parse is Parse.OK)
    if before is None:
        return {"format": well}
    return {"format": min(before, well) - before}
