"""The catalogue: every paper's entry, read from the docstring of the file that implements it.

A record's module says in fields what it is (`Source:`, `Tier:`, `Certainty:`, `Differs:`,
`Assumes:`, `Edges:`); the systems papers are layouts; two rows of the index have no language model.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.algorithms import NAMES, algorithm
from agentrl.algorithms.base import Algorithm, Part

SYSTEMS = {
    "prefix_grouper": "agentrl.layouts.packed",
    "stream_bp": "agentrl.layouts.streaming",
    "tree_training": "agentrl.layouts.tree",
}
"""Papers that change no number: the module of the layout that computes the same one cheaper."""

FIELDS = ("source", "tier", "certainty", "differs", "assumes", "edges")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the index."""

    name: str
    summary: str
    """The idea in one line."""
    place: str
    """The module that implements it, and the record in it."""
    source: str = ""
    tier: str = ""
    """A formula certain, B parts reconstructed, C text analogue, D nothing to train."""
    certainty: str = ""
    differs: str = ""
    assumes: str = ""
    edges: str = ""


NOT_TEXT = (
    Entry(
        name="grnet",
        summary="Goal recognition from action traces with a small recurrent network.",
        place="",
        source="GRNet: Goal Recognition as a Deep Learning Task",
        tier="D",
        differs="No language model and no policy to train; no record.",
    ),
    Entry(
        name="pde_pareto",
        summary="A survey of multi-objective optimisation under PDE constraints.",
        place="",
        source="Multi-objective optimisation of non-smooth PDE-constrained problems",
        tier="D",
        differs="No learning; no record.",
    ),
)


def entries() -> list[Entry]:
    """Every record and every systems paper by name, then what has no record."""
    records = {name: f"agentrl.algorithms.{place}" for name, place in NAMES.items()}
    found = [entry(name, place) for name, place in sorted({**records, **SYSTEMS}.items())]
    return [*found, *NOT_TEXT]


def entry(name: str, place: str) -> Entry:
    """What a module's docstring says of it."""
    document = inspect.getdoc(importlib.import_module(place.partition(":")[0])) or ""
    fields = {key: field(document, key.capitalize()) for key in FIELDS}
    fields["tier"] = fields["tier"][:1]
    return Entry(name=name, summary=document.split("\n")[0], place=place, **fields)


def field(document: str, name: str) -> str:
    """A `Name: text` paragraph of a docstring, on one line."""
    found = re.search(rf"^{name}: (.*?)(?=^\w[\w ]*:|\n\n|\Z)", document, re.MULTILINE | re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


def formula(part: Part) -> str:
    """A part's formula with its settings filled in."""
    document = inspect.getdoc(part.function) or ""
    text = field(document, "Formula")
    if not text:
        return document.split("\n")[0]
    for name, value in part.settings.items():
        text = text.replace("{" + name + "}", shown(value))
    return text


def shown(value: Any) -> str:
    """A setting inside a formula: a part by its name and formula, a mapping without braces."""
    if isinstance(value, Part):
        return f"{value.name} ({formula(value)})"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    return str(value)


def formulas(record: Algorithm) -> dict[str, str]:
    """`part: formula` of every live slot."""
    off = set() if record.live_penalty is not None else {"penalty"}
    parts = {slot: part for slot, part in record.parts.items() if slot not in off}
    return {slot: f"{part.name}: {formula(part)}" for slot, part in parts.items()}


def difference(name: str) -> list[tuple[str, str, str]]:
    """`(slot, GRPO's, the record's)` for every slot that is not GRPO's; empty text for none."""
    base, other = formulas(algorithm("grpo")), formulas(algorithm(name))
    slots = [slot for slot in {**base, **other} if base.get(slot) != other.get(slot)]
    return [(slot, base.get(slot, ""), other.get(slot, "")) for slot in slots]


def record_dict(found: Entry) -> dict[str, Any]:
    """An entry as JSON knows it."""
    return {name: getattr(found, name) for name in found.__dataclass_fields__}
