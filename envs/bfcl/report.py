"""Accuracy as BFCL counts it, without ever counting what did not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.bfcl.data import CATEGORIES, LIVE, MULTI_TURN, NOT_RUN, UNSOLVABLE, entries, entry
from agentrl.envs.bfcl.package import version
from agentrl.types import Group

LIVE_CALLS = tuple(name for name in LIVE if "relevance" not in name)
MEANS: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "live": (LIVE_CALLS, True),
    "irrelevance": (("irrelevance", "live_irrelevance"), False),
    "relevance": (("live_relevance",), False),
    "multi_turn": (MULTI_TURN, False),
}
"""The package's means: of which categories, and whether each counts by its number of entries."""
CALLS = ("simple_python", "simple_java", "simple_javascript")
NEEDED: Mapping[str, tuple[str, ...]] = {
    "non_live": (*CALLS, "multiple", "parallel", "parallel_multiple"),
    "overall": (*CATEGORIES, *(name for name in NOT_RUN if name != "format_sensitivity")),
}
"""The package's means that need categories which do not run here."""


def scores(groups: Sequence[Group], asked: Sequence[str]) -> dict[str, Any]:
    """Every category that was played, means of them, and why the others were not.

    `asked` are the categories that could be drawn from.

    `official`, of a category and of a mean, is what the package's own command line counts, which
    has the unsolvable entries too; given where all tasks were played.
    """
    played: dict[str, list[Group]] = {}
    for one in groups:
        played.setdefault(entry(str(one.task.data["id"])).category, []).append(one)
    found = {name: accuracy(played[name], name) for name in CATEGORIES if name in played}
    silent = {
        name: "none of its tasks was drawn" if name in asked else "not asked for"
        for name in CATEGORIES
        if name not in played
    }
    unsolvable = {id: why for id, why in UNSOLVABLE.items() if entry(id).category in played}
    return {
        "package": f"bfcl-eval {version()}",
        "categories": found,
        "means": means(found),
        "not_run": {**silent, **NOT_RUN},
        **({"unsolvable": unsolvable} if unsolvable else {}),
    }


def accuracy(groups: Sequence[Group], category: str) -> dict[str, Any]:
    """The share of attempts that are right among those that did not fail; those are apart."""
    live = [episode for one in groups for episode in one.live]
    right = sum(episode.main.success for episode in live)
    possible = [id for id in entries(category) if id not in UNSOLVABLE]
    unsolvable = len(entries(category)) - len(possible)
    whole = unsolvable and len(live) == len(possible)
    official = {"unsolvable": unsolvable, "official": right / (len(live) + unsolvable or 1)}
    return {
        "accuracy": right / len(live) if live else None,
        "n": len(live),
        "right": right,
        "failed": sum(len(one.episodes) for one in groups) - len(live),
        "tasks": len(groups),
        "of": len(possible),
        **(official if whole else {}),
    }


def means(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The package's means where all their categories ran, else which are missing."""
    told: dict[str, Any] = {}
    for name, (wanted, weighted) in MEANS.items():
        missing = [one for one in wanted if not found.get(one, {}).get("n")]
        parts = [] if missing else [found[one] for one in wanted]
        told[name] = _mean(parts, weighted) if parts else {"missing": missing}
    for name, needed in NEEDED.items():
        told[name] = {"missing": [one for one in needed if not found.get(one, {}).get("n")]}
    return told


def _mean(parts: Sequence[Mapping[str, Any]], weighted: bool) -> dict[str, Any]:
    whole = all(part["n"] == part["of"] for part in parts)
    told = {"accuracy": _weighed([(part["accuracy"], part["n"]) for part in parts], weighted)}
    if whole and any("official" in part for part in parts):
        counted = [
            (part.get("official", part["accuracy"]), part["n"] + part.get("unsolvable", 0))
            for part in parts
        ]
        told["official"] = _weighed(counted, weighted)
    return {**told, "whole": whole}


def _weighed(parts: Sequence[tuple[float, int]], weighted: bool) -> float:
    """The mean of accuracies, each with the number of its entries."""
    sizes = [size if weighted else 1 for _, size in parts]
    return sum(size * one for size, (one, _) in zip(sizes, parts, strict=True)) / sum(sizes)
