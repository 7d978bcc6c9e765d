"""The package's function documents as JSON schemas, and arguments that fit them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentrl.envs.bfcl.package import constant, written

TYPES = "bfcl_eval.constants.type_mappings"
KEPT = ("description", "default", "enum", "format", "maximum")
"""What a document says of a parameter in JSON Schema's own words; `optional` is none of them."""
HINT = " Note that the provided function is in Python 3 syntax."
"""What the package's generation puts behind the descriptions of functions that are there at first.
"""
WORDS = ("alpha", "2024-01-01", "London", "report.txt", "en")


def hinted(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as models read it."""
    return {**document, "description": document["description"] + HINT}


def schema(document: Mapping[str, Any], dots: bool) -> dict[str, Any]:
    """A document as OpenAI's API and chat templates know tools; `dots` may stay in its name."""
    described = {
        "name": written(document["name"], dots),
        "description": document["description"],
        "parameters": converted(document["parameters"]),
    }
    return {"type": "function", "function": described}


def converted(node: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one parameter, and of those inside it; unknown types are strings."""
    kinds = constant(TYPES, "GORILLA_TO_OPENAPI")
    found: dict[str, Any] = {"type": kinds.get(node.get("type"), "string")}
    found |= {name: node[name] for name in KEPT if name in node}
    if isinstance(node.get("items"), Mapping):
        found["items"] = converted(node["items"])
    if isinstance(node.get("properties"), Mapping):
        inside = node["properties"].items()
        found["properties"] = {name: converted(one) for name, one in inside}
        found["required"] = list(node.get("required", ()))
    return found


def arguments(parameters: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Arguments that a schema allows: all that are required, others by the toss of a coin."""
    required = parameters.get("required", ())
    return {
        name: value(one, rng)
        for name, one in parameters.get("properties", {}).items()
        if name in required or rng.random() < 0.5
    }


def value(node: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """A value that a schema allows."""
    if node.get("enum"):
        return node["enum"][int(rng.integers(len(node["enum"])))]
    whole = int(rng.integers(100))
    plain = {"integer": whole, "number": whole / 2, "boolean": whole < 50}
    if node["type"] in plain:
        return plain[node["type"]]
    if node["type"] == "array":
        return [value(node.get("items", {"type": "string"}), rng)]
    if node["type"] == "object":
        return arguments(node, rng)
    return WORDS[whole % len(WORDS)]
